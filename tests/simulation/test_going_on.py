"""What goes wrong with one process keeps neither it nor the others from going on."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Eagain
from prytany.abi.signals import Signal
from prytany.drivers.stores.memory import MemoryStore
from prytany.ports.runner import UTILITY
from prytany.process.process import State
from tests.simulation.looped import looped
from tests.simulation.steered import UID, Home
from tests.simulation.stepped import Life, SteppedWorker
from tests.simulation.tools import PATH, CountingTools

NEVER_NS = 1 << 60
Program = Generator[Any, Any, None]


def asker(question: str) -> Program:
    yield [("nop", b"x")]
    yield [("model_chat", [{"role": "user", "content": question}], "", {})]


def failing() -> Program:
    yield [("nop", b"x")]
    yield [("process_exit", 1, None, {"type": "E"})]


def waiting() -> Program:
    yield [("nop", b"x")]
    yield [("timer_wait", NEVER_NS)]
    yield []


def events_of(life: Life, kind: type[Any]) -> list[Any]:
    entries = (ev.decode_entry(row.record) for row in life.store.reader().rows(1))
    return [event for entry in entries for event in entry.events if isinstance(event, kind)]


@looped
async def test_a_call_whose_arguments_are_gone_ends_and_everybody_else_comes_back() -> None:
    life = Life(MemoryStore(), {"asker": asker}, 9)
    damaged, other = life.spawn("asker", "A" * 9000), life.spawn("asker", "b")
    store = await life.stop()
    gone = life.kernel.table.require(damaged).open[2].argument
    bodies: Any = getattr(store, "_bodies")  # noqa: B009
    for key in [key for key in bodies if gone in key]:
        del bodies[key]
    life = Life(store, {"asker": asker}, 9)
    life.model.gate.set()
    await life.ended(other)
    await life.settled()
    assert [(e.pid, e.errno) for e in events_of(life, ev.CallClosed) if e.errno] == [(damaged, "EIO")]
    assert life.kernel.table.require(damaged).usage.reserved_prompt_tokens == 0
    await life.stop()


@looped
async def test_a_process_that_no_runner_starts_ends_and_gives_its_place_up() -> None:
    life = Life(MemoryStore(), {"asker": asker}, 1)
    life.model.gate.set()
    lost = life.kernel.operator.spawn("asker", ["a"], {}, uid=UID, kind="inline")
    other = life.spawn("asker", "b")
    assert (await life.ended(lost))["reason"].startswith("no worker could be started")
    await life.ended(other)
    await life.stop()


@looped
async def test_a_worker_that_is_not_wanted_any_more_and_never_came_is_not_waited_for() -> None:
    life = Life(MemoryStore(), {"asker": asker}, 9)
    asked, answer = asyncio.Event(), asyncio.Event()

    async def late(pid: int, item: bytes, host: Any, qos: int = UTILITY) -> SteppedWorker:
        asked.set()
        await answer.wait()
        raise Eagain("no process can be forked now")

    life.runner.start = late  # type: ignore[method-assign]
    pid = life.spawn("asker", "a")
    await asked.wait()
    life.kernel.operator.signal(pid, Signal.KILL, uid=UID)
    await life.ended(pid)
    assert [live.run for live in life.kernel.workers.leaving[pid]] == [pid]
    answer.set()
    await life.settled()
    assert life.kernel.workers.leaving == {}
    await life.stop()


@looped
async def test_a_passing_failure_to_start_stops_a_process_that_has_a_state() -> None:
    def program() -> Program:
        yield [("nop", b"x")]
        yield [("process_exec", b"state worth keeping")]

    life = Life(MemoryStore(), {"program": program}, 9)
    start = life.runner.start

    async def once(pid: int, item: bytes, host: Any, qos: int = UTILITY) -> SteppedWorker:
        if life.runner.started:
            raise Eagain("no process can be forked now")
        return await start(pid, item, host)

    life.runner.start = once  # type: ignore[method-assign]
    pid = life.spawn("program")
    await life.settled()
    assert life.kernel.table.require(pid).state is State.STOPPED
    assert list(life.kernel.table.require(pid).incidents.values()) == ["worker"]
    await life.stop()


@looped
async def test_whoever_asked_for_a_place_and_came_another_way_is_not_let_in_again() -> None:
    life = Life(MemoryStore(), {"waiting": waiting}, 1)
    pid = life.spawn("waiting")
    await life.settled()
    life.kernel.places.ask(pid, UTILITY)
    life.kernel.places.update(life.kernel.table.require(pid))
    assert life.kernel.places.next() is None
    assert life.kernel.places.free == 1
    await life.stop()


@looped
async def test_orphans_of_who_was_reaped_are_reaped_when_they_end() -> None:
    def kid() -> Program:
        yield [("timer_wait", 100)]
        yield [("process_exit", 0, None, None)]

    def parent() -> Program:
        yield [("process_spawn", "kid", [], {}, "", None)]
        yield [("process_exit", 0, None, None)]

    def boss() -> Program:
        _, pid = yield [("process_spawn", "parent", [], {}, "", None)]
        yield [("process_wait", pid)]
        yield [("timer_wait", NEVER_NS)]

    life = Life(MemoryStore(), {"kid": kid, "parent": parent, "boss": boss}, 9)
    pid = life.spawn("boss")
    await life.settled()
    assert len(life.kernel.table.processes) == 2
    life.clock.pass_to(life.clock.now_ns() + 1000)
    await life.settled()
    assert list(life.kernel.table.processes) == [pid]
    await life.stop()


@looped
async def test_a_model_call_made_in_the_batch_of_a_stop_is_charged_once() -> None:
    def late() -> Program:
        yield [("timer_wait", 5)]
        yield [("model_chat", [{"role": "user", "content": "q"}], "", {})]
        yield []

    life = Life(MemoryStore(), {"late": late}, 9)
    life.model.gate.set()
    call = life.kernel.trap.call

    def stopped_and_continued(live: Any, n: int, name: str, raw: bytes) -> None:
        if name == "model_chat":
            life.kernel.operator.signal(live.pid, Signal.STOP, uid=UID)
            life.kernel.operator.signal(live.pid, Signal.CONT, uid=UID)
        call(live, n, name, raw)

    life.kernel.trap.call = stopped_and_continued  # type: ignore[method-assign]
    life.spawn("late")
    await life.settled()
    life.clock.pass_to(life.clock.now_ns() + 100)
    await life.settled()
    assert len(events_of(life, ev.ModelReserved)) == 1
    assert [e.cause for e in events_of(life, ev.ModelUsed)] == [""]
    await life.stop()


@looped
async def test_who_is_stopped_and_continued_in_the_pause_before_a_restart_waits_for_its_time() -> None:
    life = Life(MemoryStore(), {"failing": failing}, 9)
    pid = life.kernel.operator.spawn("failing", [], {}, uid=UID, restarts=2)
    await life.settled()  # the first restart is at once
    until_ns = life.kernel.table.restarting[pid]
    life.kernel.operator.signal(pid, Signal.STOP, uid=UID)
    await life.settled()
    assert not life.kernel.table.restarting
    life.kernel.operator.signal(pid, Signal.CONT, uid=UID)
    await life.settled()
    process = life.kernel.table.require(pid)
    assert process.failures == 2
    assert life.kernel.table.restarting == {pid: until_ns}
    life.clock.pass_to(until_ns)
    await life.ended(pid)
    assert process.history == 1
    await life.stop()


@looped
async def test_a_signal_that_nobody_can_take_is_refused_and_a_deadly_one_says_what_it_ended() -> None:
    life = Life(MemoryStore(), {"failing": failing, "waiting": waiting}, 9)
    failed = life.kernel.operator.spawn("failing", [], {}, uid=UID, restarts=5)
    stopped = life.spawn("waiting")
    await life.settled()
    life.kernel.operator.signal(stopped, Signal.STOP, uid=UID)
    for pid in (failed, stopped):
        with pytest.raises(Eagain):
            life.kernel.operator.signal(pid, Signal.USR1, uid=UID)
        life.kernel.operator.signal(pid, Signal.TERM, uid=UID)
    assert (await life.ended(failed))["reason"] == "ended before it ran again"
    assert (await life.ended(stopped))["reason"] == "ended while it was stopped"
    await life.stop()


@looped
async def test_what_a_task_of_the_kernel_raises_stops_the_kernel() -> None:
    life = Life(MemoryStore(), {"asker": asker}, 9)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)

    def broken(*result: Any) -> None:
        raise ZeroDivisionError

    life.kernel.complete = broken  # type: ignore[method-assign, assignment]
    life.spawn("asker", "q")
    life.model.gate.set()
    await life.settled()
    assert "ZeroDivisionError" in str(life.failed.result())
    await life.stop()


async def ship(proc: Any) -> Any:
    return await proc.calls.tool_call("shop.ship", {"order": "a"})


async def quick(proc: Any) -> str:
    return "done"


@looped
async def test_who_waits_for_a_resource_needs_no_place() -> None:
    home = Home({"ship": ship, "quick": quick}, pledge=("tools", "proc"), places=1)
    tools = CountingTools()
    tools.deaths["shop.ship"] = 1
    home.tools[PATH] = tools
    async with home.life() as k:
        doubted = k.spawn("ship")
        await k.incident(doubted, 1)
        waits = k.spawn("ship")
        await k.until(lambda: bool(k.process(waits).open))
        await k.ended(k.spawn("quick"))
        k.settle(doubted, 1, "skip")
        assert (await k.ended(waits))["status"] == 0
        assert k.process(waits).usage.wait_us >= 0
        assert k.process(waits).busy == 0


@looped
async def test_the_turn_of_a_process_that_fails_is_taken_by_the_next() -> None:
    fail = asyncio.Event()

    async def holder(proc: Any) -> None:
        task = asyncio.ensure_future(proc.calls.tool_call("shop.pay", {"order": "a"}))
        await proc.calls.nop(b"")
        await fail.wait()
        task.cancel()
        raise ValueError

    async def second(proc: Any) -> Any:
        return await proc.calls.tool_call("shop.pay", {"order": "a"})

    home = Home({"holder": holder, "second": second}, pledge=("tools", "proc"))
    tools = CountingTools()
    tools.gate = asyncio.Event()
    home.tools[PATH] = tools
    async with home.life() as k:
        k.kernel.operator.spawn("holder", [], {}, uid=UID, kind="inline", tools=[PATH], restarts=3)
        await k.until(lambda: bool(tools.begun))
        waits = k.spawn("second")
        await k.until(lambda: bool(k.process(waits).open))
        fail.set()
        await k.until(lambda: k.process(waits).open[1].started)
