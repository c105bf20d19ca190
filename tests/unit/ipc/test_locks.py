"""Lines of locks: nobody is passed, nobody has what another has alone, and everything is free at the end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prytany.abi import events as ev
from prytany.ipc.locks import ALONE, Locks

NAMES = ("a", "b", "c")
PERMITS = {"s": 2, "t": 3}
PIDS = (1, 2, 3, 4)
SCOPE = "run:1"


class Naive:
    """The same by looking at everything each time: claims in the order in which they came."""

    def __init__(self) -> None:
        self.claims: list[dict[str, Any]] = []

    def may_have(self, claim: dict[str, Any]) -> bool:
        """Whether those before it leave room in all its lines."""
        before = self.claims[: self.claims.index(claim)]
        return all(
            sum(other["takes"].get(name, 0) for other in before) + takes <= PERMITS.get(name, ALONE)
            for name, takes in claim["takes"].items()
        )


class LockMachine(RuleBasedStateMachine):
    """What handlers and the kernel record, in any order, and kernels that come back."""

    def __init__(self) -> None:
        super().__init__()
        self.locks, self.naive = Locks(), Naive()
        self.n = 0

    def take(self, pid: int, names: list[str], shared: list[str], permits: int) -> None:
        self.n += 1
        takes = dict.fromkeys(names, 1 if permits else ALONE) | dict.fromkeys(shared, 1)
        claim = {"pid": pid, "n": self.n, "takes": takes, "fence": 0}
        free = all(self.locks.room(f"{SCOPE}/{name}", amount) for name, amount in takes.items())
        self.naive.claims.append(claim)
        assert free == self.naive.may_have(claim)
        if free:
            claim["fence"] = self.locks.fences + 1
        event = ev.LockClaimed(pid, self.n, SCOPE, names, shared, permits, claim["fence"])  # type: ignore[arg-type]
        self.locks.claimed(self.n, event)

    @rule(pid=st.sampled_from(PIDS), wants=st.dictionaries(st.sampled_from(NAMES), st.booleans(), min_size=1))
    def lock(self, pid: int, wants: dict[str, bool]) -> None:
        self.take(
            pid, [name for name, alone in wants.items() if alone], [n for n, alone in wants.items() if not alone], 0
        )

    @rule(pid=st.sampled_from(PIDS), name=st.sampled_from(sorted(PERMITS)))
    def permit(self, pid: int, name: str) -> None:
        self.take(pid, [name], [], PERMITS[name])

    @precondition(lambda self: self.locks.due)
    @rule()
    def grant(self) -> None:
        claim = self.locks.claims[next(iter(self.locks.due))]
        fence = self.locks.fences + 1
        self.locks.granted(self.n, ev.LockGranted(claim.pid, claim.n, fence))
        self.locks.closed(self.n, ev.CallClosed(claim.pid, claim.n, "", b"", 0))
        (found,) = [one for one in self.naive.claims if one["n"] == claim.n]
        assert self.naive.may_have(found)
        found["fence"] = fence

    @precondition(lambda self: any(claim["fence"] for claim in self.naive.claims))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from([one for one in self.naive.claims if one["fence"]]))
        self.locks.released(self.n, ev.LockReleased(claim["pid"], claim["fence"]))
        self.locks.released(self.n, ev.LockReleased(claim["pid"], claim["fence"]))  # again is nothing
        self.naive.claims.remove(claim)

    @precondition(lambda self: any(not claim["fence"] for claim in self.naive.claims))
    @rule(data=st.data(), errno=st.sampled_from(["ECANCELED", "ETIMEDOUT", "EDEADLK"]))
    def give_up(self, data: st.DataObject, errno: str) -> None:
        claim = data.draw(st.sampled_from([one for one in self.naive.claims if not one["fence"]]))
        self.locks.closed(self.n, ev.CallClosed(claim["pid"], claim["n"], errno, b"", 0))
        self.naive.claims.remove(claim)

    @rule(pid=st.sampled_from(PIDS))
    def end(self, pid: int) -> None:
        self.locks.ended(pid)
        self.naive.claims = [claim for claim in self.naive.claims if claim["pid"] != pid]

    @rule()
    def come_back(self) -> None:
        self.locks = msgspec.msgpack.decode(msgspec.msgpack.encode(self.locks), type=Locks)

    @invariant()
    def everybody_who_can_have_it_has_it_or_is_due(self) -> None:
        due = {self.locks.claims[ticket].n for ticket in self.locks.due}
        assert due == {one["n"] for one in self.naive.claims if not one["fence"] and self.naive.may_have(one)}
        assert all(self.naive.may_have(one) for one in self.naive.claims if one["fence"])

    @invariant()
    def nothing_is_kept_of_what_nobody_is_in(self) -> None:
        wanted = {f"{SCOPE}/{name}" for claim in self.naive.claims for name in claim["takes"]}
        assert set(self.locks.lines) == wanted
        assert len(self.locks.claims) == len(self.naive.claims)
        assert set(self.locks.held) == {one["pid"] for one in self.naive.claims if one["fence"]}
        assert set(self.locks.waiting) == {one["pid"] for one in self.naive.claims if not one["fence"]}

    @invariant()
    def who_is_before_whom_is_said(self) -> None:
        for at, claim in enumerate(self.naive.claims):
            lines = {
                line.name: (line.room, list(line.before())) for line in self.locks.before(claim["pid"], claim["n"])
            }
            for name, (room, of) in lines.items():
                assert room == PERMITS.get(name, ALONE) - claim["takes"][name]
                before = [one for one in self.naive.claims[:at] if name in one["takes"]]
                assert {(one.pid, one.n, takes) for one, takes in of} == {
                    (one["pid"], one["n"], one["takes"][name]) for one in before
                }
                for one in before:
                    behind = [pid for key, _, of in self.locks.behind(one["pid"]) for pid in of if key.endswith(name)]
                    assert claim["pid"] in behind


TestLocks = LockMachine.TestCase
TestLocks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_writer_that_came_first_is_before_readers_that_came_later() -> None:
    locks = Locks()
    locks.claimed(0, ev.LockClaimed(1, 1, SCOPE, [], ["a"], 0, 1))
    locks.claimed(0, ev.LockClaimed(2, 1, SCOPE, ["a"], []))
    assert not locks.room(f"{SCOPE}/a", 1), "a reader would pass the writer that waits"
    locks.claimed(0, ev.LockClaimed(3, 1, SCOPE, [], ["a"]))
    locks.released(0, ev.LockReleased(1, 1))
    assert [locks.claims[ticket].pid for ticket in locks.due] == [2]


def test_names_of_other_scopes_are_other_locks() -> None:
    locks = Locks()
    locks.claimed(0, ev.LockClaimed(1, 1, "run:1", ["a/b"], [], 0, 1))
    assert locks.room("run:2/a/b", ALONE)
    assert not locks.room("run:1/a/b", 1)


@pytest.mark.parametrize("kind", ["granted", "released", "closed"])
def test_what_names_nobody_changes_nothing(kind: str) -> None:
    locks = Locks()
    event = {
        "granted": ev.LockGranted(1, 1, 1),
        "released": ev.LockReleased(1, 1),
        "closed": ev.CallClosed(1, 1, "", b"", 0),
    }
    getattr(locks, kind)(0, event[kind])
    assert locks == Locks()
