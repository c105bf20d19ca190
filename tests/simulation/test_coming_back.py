"""After a crash no more come back at once than may run; who waits comes back on demand; and nobody is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest

from prytany.abi.signals import Signal
from prytany.drivers.stores.memory import MemoryStore
from prytany.process.process import State
from tests.simulation.stepped import Calls, Life, Steps, frames_of, stopping

LATER_NS = 10**15
Item = tuple[int, Any]
Program = Generator[Calls, Item, None]


def napper(until_ns: int = LATER_NS) -> Program:
    """Three no-ops, a wait, another no-op."""
    for _ in range(3):
        yield [("nop", b"x")]
    yield [("timer_wait", until_ns)]
    yield [("nop", b"after")]


def asker() -> Program:
    """A no-op, and a question that keeps its place."""
    yield [("nop", b"x")]
    yield [("model_chat", [{"role": "user", "content": "?"}], "", {})]


def both() -> Program:
    """A wait and a no-op in one step, then another no-op: it is at work while its timer is open."""
    yield [("timer_wait", LATER_NS), ("nop", b"1")]
    yield [("nop", b"2")]
    yield [("nop", b"3")]
    yield []


def parent() -> Program:
    """Waits for a child that asks."""
    _, pid = yield [("process_spawn", "asker", [], {}, "", None)]
    yield [("process_wait", pid)]


def stubborn() -> Program:
    """Takes a signal as a reason to work."""
    n, _ = yield [("timer_wait", LATER_NS)]
    assert n == -Signal.USR1
    yield [("nop", b"signalled")]
    yield []


def strange() -> Program:
    """Makes calls that there are not, twice each."""
    for name in ("no_such_call", "nor_this", "no_such_call", "nor_this"):
        _, errno = yield [(name, b"x")]
        assert errno == "EPERM"
    yield [("nop", b"x")]
    yield [("timer_wait", LATER_NS)]
    yield [("nop", b"after")]


PROGRAMS: dict[str, Steps] = {
    "napper": napper, "asker": asker, "both": both, "parent": parent, "stubborn": stubborn, "strange": strange,
}  # fmt: skip


def run(body: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(body(), 20))


async def lived(*programs: str, running_max: int = 99, store: MemoryStore | None = None) -> MemoryStore:
    """A store on which a kernel has started these, let them go as far as they can, and stopped."""
    life = Life(store or MemoryStore(), PROGRAMS, running_max)
    for program in programs:
        life.spawn(program)
    return await life.stop()


def calls(life: Life, pid: int) -> int:
    return life.kernel.table.require(pid).usage.calls


def test_who_waits_is_not_woken_and_comes_back_when_its_time_has_come() -> None:
    async def body() -> None:
        life = Life(await lived("napper", "napper", "napper"), PROGRAMS, 2)
        await life.settled()
        assert life.runner.started == []
        life.clock.pass_to(LATER_NS)
        for pid in (1, 2, 3):
            assert (await life.ended(pid))["status"] == 0
        assert sorted(life.runner.started) == [1, 2, 3]
        assert life.runner.most == 2
        await life.stop()

    run(body)


def test_who_waits_comes_back_for_its_child() -> None:
    async def body() -> None:
        life = Life(await lived("parent"), PROGRAMS, 1)
        await life.settled()
        assert life.runner.started == [2]
        life.model.gate.set()
        assert (await life.ended(1))["status"] == 0
        assert life.runner.started == [2, 1]
        await life.stop()

    run(body)


@pytest.mark.parametrize("idle", [True, False])
def test_who_waits_comes_back_for_a_signal_and_gives_its_place_up_again(idle: bool) -> None:
    async def body() -> None:
        store = await lived("stubborn", "stubborn")
        life = Life(store, PROGRAMS, 1)
        for pid in (1, 2):
            life.kernel.operator.signal(pid, Signal.USR1, uid=0)
            if idle:
                await life.settled()
        await life.until(lambda: calls(life, 1) == calls(life, 2) == 2)
        await life.settled()
        assert life.runner.started == [1, 2]
        await life.stop()

    run(body)


def test_a_signal_that_comes_while_the_worker_starts_is_not_lost() -> None:
    async def body() -> None:
        life = Life(MemoryStore(), PROGRAMS, 1)
        life.runner.gate = asyncio.Event()
        pid = life.spawn("stubborn")
        await life.until(lambda: life.runner.started == [pid])
        life.kernel.operator.signal(pid, Signal.USR1, uid=0)
        await life.settled()
        life.runner.gate.set()
        # The record begins with a signal, before any call: a program that has one handler less than it needs.
        await life.until(lambda: not life.kernel.table.require(pid).alive or calls(life, pid) == 2)
        assert calls(life, pid) == 2
        await life.stop()

    run(body)


def test_who_was_at_work_comes_back_in_order_as_places_become_free() -> None:
    async def body() -> None:
        life = Life(await lived(*["asker"] * 5, running_max=5), PROGRAMS, 2)
        await life.settled()
        assert life.runner.started == [1, 2]
        late = life.spawn("napper", LATER_NS)
        await life.settled()
        assert life.kernel.table.require(late).state is State.READY
        life.model.gate.set()
        for pid in range(1, 6):
            assert (await life.ended(pid))["status"] == 0
        await life.until(lambda: late in life.runner.started)
        assert life.runner.started == [1, 2, 3, 4, 5, late]
        assert life.model.asked == {"?": 5}
        await life.stop()

    run(body)


def test_who_waits_for_a_place_to_come_back_can_be_stopped_and_ended() -> None:
    async def body() -> None:
        life = Life(await lived(*["asker"] * 4, running_max=4), PROGRAMS, 1)
        await life.settled()
        life.kernel.operator.signal(2, Signal.STOP, uid=0)
        life.kernel.operator.signal(3, Signal.KILL, uid=0)
        await life.settled()
        life.model.gate.set()
        assert (await life.ended(4))["status"] == 0
        assert life.runner.started == [1, 4]
        life.kernel.operator.signal(2, Signal.CONT, uid=0)
        assert (await life.ended(2))["status"] == 0
        await life.stop()

    run(body)


def test_a_worker_cut_off_within_a_step_is_not_taken_for_idle() -> None:
    async def body() -> None:
        whole = Life(MemoryStore(), PROGRAMS, 1)
        whole.spawn("both")
        await whole.until(lambda: calls(whole, 1) == 4)
        store = await whole.stop()
        for at in range(4, len(list(store.reader().rows(1))) + 1):
            cut = stopping(None, at)
            first = Life(cut, PROGRAMS, 1)
            first.spawn("both")
            await first.stop()
            second = Life(stopping(cut, 0), PROGRAMS, 1)
            await second.until(lambda second=second: calls(second, 1) == 4)  # type: ignore[misc]
            assert calls(second, 1) == 4, f"cut at entry {at}"
            await second.stop()

    run(body)


def test_a_step_that_fills_its_frame_is_not_taken_for_the_last() -> None:
    async def body() -> None:
        with frames_of(1):
            store = await lived("napper")
        life = Life(store, PROGRAMS, 1)
        await life.until(lambda: bool(life.runner.started))
        assert life.runner.started == [1]
        await life.stop()

    run(body)


def test_a_process_is_idle_only_while_its_last_entry_says_so() -> None:
    async def body() -> None:
        life = Life(MemoryStore(), PROGRAMS, 2)
        pid, working = life.spawn("napper"), life.spawn("both")
        await life.settled()
        assert life.kernel.table.require(pid).idle
        assert not life.kernel.table.require(working).idle
        life.clock.pass_to(LATER_NS)
        await life.settled()
        assert not life.kernel.table.require(working).idle
        await life.stop()

    run(body)


def test_who_made_calls_that_there_are_not_comes_back_as_well() -> None:
    async def body() -> None:
        life = Life(await lived("strange"), PROGRAMS, 1)
        await life.settled()
        life.clock.pass_to(LATER_NS)
        await life.until(lambda: life.kernel.table.require(1).state is not State.RUNNING)
        process = life.kernel.table.require(1)
        assert (process.state, process.status, process.usage.denials) == (State.TERMINATED, 0, 4), process.reason
        await life.stop()

    run(body)
