"""A bug of ours at one process stops that process, where the rest is whole, and else the kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import KernelPanic
from prytany.abi.signals import Signal
from prytany.drivers.stores.memory import MemoryStore
from prytany.kernel import kernel as kernel_module
from prytany.kernel.folding import fold_from_start
from prytany.kernel.handlers import HANDLERS
from prytany.kernel.reactions import _REACTIONS
from prytany.ports.store import StoreError
from prytany.process.process import State
from tests.simulation.looped import looped
from tests.simulation.stepped import Life, SteppedWorker

LATER_NS = 10**14


class Told(list[dict[str, Any]]):
    """What the loop's exception handler was told."""

    def __init__(self) -> None:
        super().__init__()
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.append(context))


class Broken(Exception):
    """A bug."""


def asks(word: str) -> Generator[Any, Any, None]:
    """Makes two calls at once that are answered in one batch with everybody's, waits, and ends."""
    _, answer = yield [("model_chat", [{"role": "user", "content": word}], "", {}), ("nop", word.encode())]
    while not isinstance(answer, dict):
        _, answer = yield []
    yield [("timer_wait", LATER_NS)]
    yield [("process_exit", 0, answer["text"], None)]


PROGRAMS: Any = {"asks": asks}
WORDS = ("one", "two", "three")


def failing_for(pid: int, kind: type, patch: pytest.MonkeyPatch, error: Exception, times: int = 1) -> list[int]:
    """Let the reaction to events of `kind` of process `pid` fail; one number for each time that it did."""
    reaction = _REACTIONS[kind]
    failed: list[int] = []

    def fails(reactions: Any, entry: Any, event: Any) -> None:
        if event.pid == pid and len(failed) < times:
            failed.append(len(failed))
            raise error
        reaction(reactions, entry, event)

    patch.setitem(_REACTIONS, kind, fails)
    return failed


async def lived(store: MemoryStore) -> tuple[Life, list[int]]:
    life = Life(store, PROGRAMS, 9)
    pids = list(life.kernel.table.processes) or [life.spawn("asks", word) for word in WORDS]
    return life, pids


async def come_to_their_ends(life: Life, pids: list[int]) -> None:
    life.model.gate.set()
    await life.settled()
    life.clock.pass_to(LATER_NS)
    for pid, word in zip(pids, WORDS, strict=True):
        assert (await life.ended(pid))["result"] == f"answer to {word}"


@pytest.mark.parametrize(
    "kind",
    [ev.CallDone, ev.CallClosed, ev.CallOpened, ev.ProcessStarted, ev.ProcessReady],
    ids=lambda kind: kind.__name__,
)
@looped
async def test_a_fault_at_one_process_stops_that_and_the_answers_of_all_others_leave(
    kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SteppedWorker, "log", lambda worker, text: None)
    told = Told()
    life, pids = await lived(MemoryStore())
    faulty, *others = pids
    failed = failing_for(faulty, kind, monkeypatch, Broken("said what"))
    life.model.gate.set()
    await life.settled()
    assert failed == [0]
    process = life.kernel.table.require(faulty)
    assert (process.state, process.incidents) == (State.STOPPED, {0: "fault"})
    assert "Broken in test_faults.py:" in process.reason
    assert "said what" not in process.reason  # it may be content
    assert [type(context["exception"]) for context in told] == [Broken]
    for pid in others:
        assert list(life.kernel.table.require(pid).open) == [3]  # they were answered, and wait
    assert faulty not in life.kernel.workers.live
    assert not life.kernel.places.holds(faulty)

    life.kernel.operator.settle(faulty, 0, "retry", None, uid=0)
    await come_to_their_ends(life, pids)
    assert max(life.model.asked.values()) == 1
    store = await life.stop()
    assert fold_from_start(store.reader()).state.digest() == life.kernel.ledger.state.digest()


@looped
async def test_many_faults_of_one_batch_are_one_incident_and_it_can_be_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    life, pids = await lived(MemoryStore())
    failed = failing_for(pids[0], ev.CallDone, monkeypatch, Broken(), times=100)
    second = failing_for(pids[0], ev.CallOpened, monkeypatch, Broken(), times=100)
    life.model.gate.set()
    await life.settled()
    assert (failed, second) == ([0], [0])
    assert len(told) == 2
    events = [e for row in life.store.reader().rows(1) for e in ev.decode_entry(row.record).events]
    assert sum(isinstance(e, ev.IncidentOpened) for e in events) == 1
    life.kernel.operator.signal(pids[0], Signal.KILL, uid=0)
    assert (await life.ended(pids[0]))["signal"] == Signal.KILL
    await life.stop()


@pytest.mark.parametrize("kind", [ev.ProcessExited, ev.ProcessPaused], ids=lambda kind: kind.__name__)
@looped
async def test_where_something_was_being_taken_away_the_kernel_stops_and_the_next_goes_on(
    kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    life, pids = await lived(MemoryStore())
    await life.settled()
    with monkeypatch.context() as patch:
        failing_for(pids[0], kind, patch, Broken())
        life.kernel.operator.signal(pids[0], Signal.KILL if kind is ev.ProcessExited else Signal.STOP, uid=0)
        await life.settled()
    assert isinstance(await life.failed, StoreError)
    assert life.kernel.closing
    assert [type(context["exception"]) for context in told] == [Broken]
    store = await life.stop()
    life, _ = await lived(store)
    await life.settled()
    if kind is ev.ProcessPaused:
        life.kernel.operator.signal(pids[0], Signal.CONT, uid=0)
        await come_to_their_ends(life, pids)
    else:
        assert (await life.ended(pids[0]))["signal"] == Signal.KILL
    await life.stop()


@pytest.mark.parametrize("how", ["a panic", "letting in", "admitting", "ending the worker"])
@looped
async def test_what_is_nobodys_doing_stops_the_kernel(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    life, pids = await lived(MemoryStore())
    await life.settled()

    def fails(*args: Any) -> Any:
        raise Broken

    if how == "a panic":
        failing_for(pids[0], ev.CallClosed, monkeypatch, KernelPanic("no invariant holds"))
    elif how == "letting in":
        monkeypatch.setattr(life.kernel.places, "next", fails)
    elif how == "admitting":
        monkeypatch.setattr(type(life.kernel.ledger.state.turns), "due", property(lambda turns: [None]))
    else:
        failing_for(pids[0], ev.CallClosed, monkeypatch, Broken())
        monkeypatch.setattr(life.kernel.workers.live[pids[0]].worker, "kill", fails)
    life.model.gate.set()
    if how == "letting in":
        life.kernel.operator.signal(pids[0], Signal.KILL, uid=0)
    await life.settled()
    assert life.failed.done()
    assert life.kernel.closing
    assert any(isinstance(context["exception"], KernelPanic | Broken) for context in told)
    monkeypatch.undo()
    store = await life.stop()
    fold_from_start(store.reader())


@looped
async def test_who_watches_and_fails_is_told_no_more_and_nothing_else_happens() -> None:
    told = Told()
    life, pids = await lived(MemoryStore())

    def watch(seq: int, time_ns: int, events: Any) -> None:
        raise Broken

    life.kernel.reactions._watch = watch
    await come_to_their_ends(life, pids)
    assert [type(context["exception"]) for context in told] == [Broken]
    await life.stop()


@looped
async def test_a_fault_in_a_handler_stops_its_caller_and_the_call_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Told()
    life, pids = await lived(MemoryStore())
    nop = HANDLERS["nop"]
    failed: list[int] = []

    def fails(k: Any, p: Any, n: int, a: Any) -> Any:
        if p.pid == pids[1] and not failed:
            failed.append(n)
            raise Broken
        return nop(k, p, n, a)

    monkeypatch.setitem(HANDLERS, "nop", fails)
    await life.settled()
    process = life.kernel.table.require(pids[1])
    assert (process.state, process.incidents) == (State.STOPPED, {0: "fault"})
    assert len(told) == 1
    life.kernel.operator.settle(pids[1], 0, "retry", None, uid=0)
    await come_to_their_ends(life, pids)
    await life.stop()


@looped
async def test_a_fault_at_one_process_that_comes_back_keeps_no_other_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    life, pids = await lived(MemoryStore())
    await life.settled()
    store = await life.stop()
    Told()
    life, _ = await lived(store)
    begin_open = life.kernel.reactions.begin_open

    def fails(process: Any, before: int) -> None:
        if process.pid == pids[0] and not process.incidents:
            raise Broken
        begin_open(process, before)

    monkeypatch.setattr(life.kernel.reactions, "begin_open", fails)
    await life.settled()
    assert life.kernel.table.require(pids[0]).incidents == {0: "fault"}
    assert not life.kernel.places.holds(pids[0])
    monkeypatch.undo()
    life.kernel.operator.settle(pids[0], 0, "retry", None, uid=0)
    await come_to_their_ends(life, pids)
    await life.stop()


@pytest.mark.parametrize("gone", ["by itself", "with its zygote"])
@looped
async def test_a_fault_at_the_end_of_a_worker_leaves_its_process_to_a_person(
    gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    life, pids = await lived(MemoryStore())
    await life.settled()

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise Broken

    with monkeypatch.context() as patch:
        if gone == "by itself":
            patch.setattr(kernel_module, "end_events", fails)
            life.kernel.on_exit(pids[0], 1, 0, "it is gone", 0)
        else:
            patch.setattr(kernel_module, "lose", fails)
            life.kernel.on_lost(pids[0], "it is gone")
    await life.settled()
    assert life.kernel.table.require(pids[0]).incidents == {0: "fault"}
    assert len(told) == 1
    life.kernel.operator.settle(pids[0], 0, "retry", None, uid=0)
    await come_to_their_ends(life, pids)
    await life.stop()
