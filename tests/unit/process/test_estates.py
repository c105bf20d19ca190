"""Who stands in whose tree, whoever of it has left."""

from __future__ import annotations

from random import Random  # noqa: TID251 seeded

import pytest

from prytany.abi import events as ev
from prytany.abi.budgets import Budget, tree_account
from prytany.process.fold import apply
from prytany.process.table import Table


class Family:
    """Processes of one run; and, beside the table, whose descendants they are."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.table = Table()
        self.seq = 0
        self.above: dict[int, list[int]] = {}
        """Of who goes on or has left: all that it descends from, the nearest first."""
        self.bounded: set[int] = set()

    def fold(self, *events: ev.Event) -> None:
        self.seq += 1
        for event in events:
            apply(self.table, self.seq, self.seq, event)

    def alive(self) -> list[int]:
        return [process.pid for process in self.table.processes.values() if process.alive]

    def spawn(self, parent: int) -> None:
        pid = self.table.next_number
        self.above[pid] = [parent, *self.above[parent]] if parent else []
        events: list[ev.Event] = [
            ev.ProcessSpawned(pid, parent, 1, "p", "python", "p", b"", b"", ["proc"], {}, bytes(32))
        ]
        if pid > 1 and self.chance.random() < 0.4:
            self.bounded.add(pid)
            events.append(ev.BudgetGranted(tree_account(pid), Budget().total, Budget().minute, parent))
        self.fold(*events)

    def end(self, pid: int) -> None:
        process = self.table.require(pid)
        events: list[ev.Event] = [ev.ProcessExited(pid, 0, 0, "returned", b"")]
        events += [ev.ProcessReaped(child) for child in process.children if not self.table.require(child).alive]
        if process.parent not in self.alive():
            events.append(ev.ProcessReaped(pid))
        self.fold(*events)

    def check(self) -> None:
        alive = set(self.alive())
        for pid in alive:
            found, at = list[int](), pid
            while at := self.table.above(at):
                found.append(at)
            known = self.table.processes.keys() | self.bounded
            assert found == [above for above in self.above[pid] if above in known]
        for pid in (1, *self.bounded):
            expected = {other for other in alive if pid == other or pid in self.above[other]}
            assert set(self.table.tree(pid)) & alive == expected
            if pid not in self.table.processes:
                assert (pid in self.table.estates) == bool(expected)


@pytest.mark.parametrize("seed", range(30))
def test_a_bounded_tree_is_known_for_as_long_as_anybody_goes_on_in_it(seed: int) -> None:
    chance = Random(seed)
    family = Family(chance)
    family.spawn(0)
    for _ in range(120):
        others = [pid for pid in family.alive() if pid != 1]
        if others and chance.random() < 0.45:
            family.end(chance.choice(others))
            zombies = [p.pid for p in family.table.processes.values() if not p.alive]
            if zombies and chance.random() < 0.7:
                family.fold(ev.ProcessReaped(chance.choice(zombies)))
        else:
            family.spawn(chance.choice(family.alive()))
        family.check()
    for pid in [pid for pid in reversed(family.alive()) if pid != 1]:
        family.end(pid)
        family.check()
    family.end(1)
    assert not family.table.estates
