"""Forgetting destroys what an ended process named, messages too, and nothing that somebody is still to be told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prytany.journal.verify import verify
from prytany.journal.writer import Journal
from prytany.kernel.content import said
from prytany.kernel.folding import fold_from_snapshot
from prytany.kernel.forgetting import forget
from prytany.kernel.ledger import Ledger
from prytany.process.process import State
from prytany.userland.process import Process
from tests.simulation.fleet import Fleet, Following, LogicalClock, StoppingStore

SECRET = "a secret that one tells another"


async def told(proc: Process) -> int:
    await proc.nop(b"")
    await proc.nop(b"")
    return len((await proc.calls.message_receive())["body"])


async def tells(proc: Process, size: int = 1) -> Any:
    pid = await proc.spawn("told")
    await proc.calls.message_send(pid, "t", SECRET * size)
    return (await proc.wait(pid)).result


async def tells_much(proc: Process) -> Any:
    return await tells(proc, 400)


async def same(proc: Process) -> str:
    return "R" * 6_000


async def waits_late(proc: Process) -> int:
    first, second = await proc.spawn("same"), await proc.spawn("same")
    await proc.wait(first)
    for _ in range(30):
        await proc.nop(b"")
    return len((await proc.wait(second)).result)


PROGRAMS = {f.__name__: f for f in (told, tells, tells_much, same, waits_late)}


async def forgets(fleet: Fleet, *pids: int) -> None:
    """As the command does on a home in which no kernel runs."""
    store = fleet.store = StoppingStore(fleet.store, 0, after_commit=False)
    folded = fold_from_snapshot(store.reader())
    clock = LogicalClock(folded.state.table.time_ns)
    ledger = Ledger(folded.state, fleet.keyring, clock, lambda entry: None)
    journal = Journal(store, asyncio.get_running_loop(), folded.head, ledger.on_durable, lambda error: None)
    ledger.attach(journal)
    reader: Any = Following(store)
    for pid in pids:
        await forget(ledger, reader, pid, 0)
    await journal.close()


def holds(fleet: Fleet) -> bool:
    reader = fleet.store.reader()
    packed = any(SECRET.encode() in row.bodies for row in reader.rows(1))
    return packed or any(SECRET.encode() in body.content for body in reader.bodies())


@pytest.mark.parametrize("root", ["tells", "tells_much"])
@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_message_is_gone_with_its_sender_and_its_receiver(root: str, order: tuple[int, int]) -> None:
    fleet = Fleet(root, PROGRAMS)
    assert asyncio.run(fleet.live()) is not None
    assert holds(fleet)
    asyncio.run(forgets(fleet, *order))
    assert not holds(fleet)
    assert verify(fleet.store.reader(), fleet.keyring, said).findings == []


def test_what_an_ended_child_left_stays_for_its_parent_though_another_left_the_same() -> None:
    for stop_at in range(10, 40):
        fleet = Fleet("waits_late", PROGRAMS)
        assert asyncio.run(fleet.live(stop_at, after_commit=True)) is None
        states = {pid: process.state for pid, process in fleet.table().processes.items()}
        if states.keys() == {1, 3} and states[3] is State.TERMINATED:
            break
    else:
        raise AssertionError("there is no such moment")
    asyncio.run(forgets(fleet, 2))
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["result"] == 6_000
