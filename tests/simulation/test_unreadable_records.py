"""What brings a process back is missing or damaged: it waits for a person, the others go on, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.signals import Signal
from prytany.drivers.stores.memory import MemoryStore
from prytany.journal.bodies import pack, unpack
from prytany.kernel.ledger import TENANT
from prytany.process.process import State
from tests.simulation.looped import looped
from tests.simulation.stepped import Life

LATER_NS = 10**14


def asks(word: str) -> Generator[Any, Any, None]:
    """Is answered, and waits."""
    _, answer = yield [("model_chat", [{"role": "user", "content": word}], "", {})]
    assert answer["text"] == f"answer to {word}"
    yield [("timer_wait", LATER_NS)]
    yield [("process_exit", 0, word, None)]


PROGRAMS: Any = {"asks": asks}
Damage = Callable[[MemoryStore, int], None]


def rows_of(store: MemoryStore, pid: int, kind: type) -> list[int]:
    """The rows that hold an event of that kind of the process."""
    found: list[int] = []
    for row in store.reader().rows(1):
        if any(isinstance(e, kind) and getattr(e, "pid", 0) == pid for e in ev.decode_entry(row.record).events):
            found.append(row.seq)
    return found


def missing(kind: type) -> Damage:
    def damage(store: MemoryStore, pid: int) -> None:
        for seq in rows_of(store, pid, kind):
            store._rows[seq] = store._rows[seq]._replace(bodies=b"")

    return damage


def flipped(kind: type) -> Damage:
    def damage(store: MemoryStore, pid: int) -> None:
        for seq in rows_of(store, pid, kind):
            pairs = [(digest, content[:-1] + b"\xa0") for digest, content in unpack(store._rows[seq].bodies)]
            store._rows[seq] = store._rows[seq]._replace(bodies=pack(pairs))

    return damage


def no_pack(store: MemoryStore, pid: int) -> None:
    (seq,) = rows_of(store, pid, ev.CallClosed)
    store._rows[seq] = store._rows[seq]._replace(bodies=b"\xc1 no pack")


def no_source(store: MemoryStore, pid: int) -> None:
    store.forget(TENANT, [digest for _, digest in store._bodies])


def other_record(record: Callable[[bytes], bytes]) -> Damage:
    def damage(store: MemoryStore, pid: int) -> None:
        (seq,) = rows_of(store, pid, ev.CallClosed)
        store._rows[seq] = store._rows[seq]._replace(record=record(store._rows[seq].record))

    return damage


def round_and_round(record: bytes) -> bytes:
    entry = ev.decode_entry(record)
    events = [e.__class__(*(*e.__reduce__()[1][:-1], 99)) if isinstance(e, ev.CallClosed) else e for e in entry.events]
    return ev.encode_entry(ev.Entry(entry.time_ns, events, entry.payer, entry.content_bytes))


DAMAGES: dict[str, Damage] = {
    "its arguments are missing": missing(ev.ProcessSpawned),
    "its arguments are damaged": flipped(ev.ProcessSpawned),
    "its program is missing": no_source,
    "an answer is missing": missing(ev.CallClosed),
    "an answer is damaged": flipped(ev.CallClosed),
    "a row's content is no pack": no_pack,
    "an entry is no entry": other_record(lambda record: b"\xc1"),
    "an entry goes round": other_record(round_and_round),
}


async def stopped_halfway() -> tuple[MemoryStore, int, int]:
    life = Life(MemoryStore(), PROGRAMS, 9)
    life.model.gate.set()
    one, other = life.spawn("asks", "one"), life.spawn("asks", "other")
    await life.until(lambda: all(list(life.kernel.table.require(pid).open) == [2] for pid in (one, other)))
    return await life.stop(), one, other


@pytest.mark.parametrize("how", DAMAGES)
@looped
async def test_it_is_paused_and_goes_on_when_what_was_lost_is_back(how: str) -> None:
    store, one, other = await stopped_halfway()
    rows, bodies = dict(store._rows), dict(store._bodies)
    life = Life(store, PROGRAMS, 9)
    DAMAGES[how](store, one)
    for pid in (one, other):
        life.kernel.reactions.come_back(pid)  # something came for them
    await life.settled()
    process = life.kernel.table.require(one)
    assert (process.state, process.incidents) == (State.STOPPED, {0: "record"})
    assert process.reason.startswith("its record cannot be read: ")
    if how != "its program is missing":  # it is the other's as well
        assert life.kernel.table.require(other).state is State.RUNNING

    life.kernel.operator.settle(one, 0, "retry", None, uid=0)
    await life.settled()
    life.kernel.reactions.come_back(one)
    await life.settled()
    assert process.incidents == {0: "record"}  # it cannot be read yet

    for seq, row in rows.items():
        store._rows[seq] = row
    store._bodies.update(bodies)
    for pid in (one, other):
        if life.kernel.table.require(pid).incidents:
            life.kernel.operator.settle(pid, 0, "retry", None, uid=0)
    await life.settled()
    life.clock.pass_to(LATER_NS)
    assert [(await life.ended(pid))["result"] for pid in (one, other)] == ["one", "other"]
    assert not life.model.asked  # nothing is asked a second time
    assert not life.kernel.workers.live
    await life.stop()


@pytest.mark.parametrize("end", ["kill", "skip"])
@looped
async def test_it_can_be_killed_and_ended(end: str) -> None:
    store, one, other = await stopped_halfway()
    life = Life(store, PROGRAMS, 9)
    DAMAGES["its arguments are missing"](store, one)
    life.kernel.reactions.come_back(one)
    await life.until(lambda: bool(life.kernel.table.require(one).incidents))
    if end == "kill":
        life.kernel.operator.signal(one, Signal.KILL, uid=0)
    else:
        life.kernel.operator.settle(one, 0, "skip", None, uid=0)
    ended = await life.ended(one)
    assert ended["signal"] == (Signal.KILL if end == "kill" else 0)
    assert not life.kernel.table.incidents
    life.clock.pass_to(LATER_NS)
    assert (await life.ended(other))["result"] == "other"
    await life.stop()


@looped
async def test_a_process_whose_arguments_are_gone_before_it_began_is_paused_too() -> None:
    life = Life(MemoryStore(), PROGRAMS, 9)
    life.kernel.workers.start_items.keep = lambda pid, argument: None  # type: ignore[method-assign]
    first = life.spawn("asks", "one")
    content = life.kernel.content

    def gone(digest: bytes, seq: int = 0) -> bytes:
        life.kernel.content = content  # type: ignore[method-assign]
        missing(ev.ProcessSpawned)(life.store, first)
        return content(digest, seq)

    life.kernel.content = gone  # type: ignore[method-assign]
    await life.settled()
    process = life.kernel.table.require(first)
    assert (process.state, process.incidents) == (State.STOPPED, {0: "record"})
    await life.stop()
