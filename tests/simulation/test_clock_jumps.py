"""A machine's clock that is wrong for a while: who sleeps wakes in time, and notices are tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.drivers.clocks.steady import SLOWER, STEP_S, SteadyClock
from prytany.kernel.letting_go import keep_letting_go
from prytany.ports.courier import Missed
from prytany.testing.virtual_time import VirtualLoop
from prytany.userland.process import Process
from tests.simulation.steered import Home, Steered
from tests.simulation.test_notice_times import TimedCourier, begun, happen, passes
from tests.simulation.test_notices import new_home

S_NS = 1_000_000_000
HOUR_S, DAY_S, YEAR_S = 3_600, 86_400, 366 * 86_400


class Wall:
    """The machine's clock, which is so many seconds ahead of the time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.ahead_s = 0

    def now_ns(self) -> int:
        return self._loop.now_ns + self.ahead_s * S_NS


async def sleeps(proc: Process, seconds: float, times: int) -> int:
    for _ in range(times):
        await proc.sleep(seconds)
    return times


def jumping(test: Callable[[Home, Wall, VirtualLoop, TimedCourier], Awaitable[Any]]) -> None:
    loop = VirtualLoop()
    courier, wall = TimedCourier(loop), Wall(loop)
    home, _ = new_home(courier)
    home.programs = {**home.programs, "sleeps": sleeps}
    home.virtual, home.wall_ns = loop, wall.now_ns
    try:
        loop.run_until_complete(test(home, wall, loop, courier))
    finally:
        loop.close()


async def took_s(steered: Steered, loop: VirtualLoop, seconds: float, times: int = 1) -> float:
    began_s = loop.time()
    pid = steered.kernel.operator.spawn("sleeps", [seconds, times], {}, uid=1, kind="inline")
    assert (await steered.ended(pid))["result"] == times
    return loop.time() - began_s


@pytest.mark.parametrize("fast_s", [60, HOUR_S, YEAR_S])
def test_who_sleeps_wakes_in_time_though_the_clock_was_set_back(fast_s: int) -> None:
    async def test(home: Home, wall: Wall, loop: VirtualLoop, courier: TimedCourier) -> None:
        wall.ahead_s = fast_s
        async with home.life() as steered:
            assert 1 <= await took_s(steered, loop, 1) < 1.1
            wall.ahead_s = 0
            assert 10 <= await took_s(steered, loop, 1, times=10) < 10.5
        async with home.life() as steered:  # and the next kernel, whose journal ends in the future
            assert 10 <= await took_s(steered, loop, 1, times=10) < 10.5

    jumping(test)


def test_who_sleeps_while_the_clock_is_set_back_is_late_by_a_minute_at_most() -> None:
    async def test(home: Home, wall: Wall, loop: VirtualLoop, courier: TimedCourier) -> None:
        async with home.life() as steered:
            sleeping = asyncio.ensure_future(took_s(steered, loop, 600))
            await passes(300)
            wall.ahead_s = -DAY_S
            assert await sleeping <= 600 * (1 + 1 / SLOWER) + STEP_S

    jumping(test)


def test_a_notice_is_tried_again_in_time_and_the_storm_is_told_though_the_clock_was_set_back() -> None:
    async def test(home: Home, wall: Wall, loop: VirtualLoop, courier: TimedCourier) -> None:
        wall.ahead_s = HOUR_S
        courier.always = Missed("unreachable")
        async with home.life() as steered:
            pid = await begun(steered)
            wall.ahead_s = 0
            await passes(40)
            (first,) = courier.of.values()
            assert [b - a for a, b in pairwise(first)][1:5] == [2, 4, 8, 16]
            courier.always = None
            for n in range(100):
                happen(steered, pid, n)
            await passes(2 * limits.NOTICE_PERIOD_MS / 1_000)
        assert sum(body["count"] for body in courier.taken.values()) == 101

    jumping(test)


@pytest.mark.parametrize("ahead_s", [HOUR_S, YEAR_S])
def test_a_clock_that_jumps_forwards_and_back_again_and_again_repeats_no_notice(ahead_s: int) -> None:
    async def test(home: Home, wall: Wall, loop: VirtualLoop, courier: TimedCourier) -> None:
        async with home.life() as steered:
            pid = await begun(steered)
            for n in range(30):
                wall.ahead_s = ahead_s * (n % 3 - 1)
                happen(steered, pid, n)
                await passes(5)
            await passes(3 * limits.NOTICE_PERIOD_MS / 1_000)
        assert sum(body["count"] for body in courier.taken.values()) == 31
        assert set(courier.tried.values()) == {1}
        times = [entry.time_ns for entry in home.entries()]
        assert times == sorted(times)

    jumping(test)


def test_what_ended_is_kept_for_as_long_as_was_said_after_the_clock_was_set_back() -> None:
    async def test(home: Home, wall: Wall, loop: VirtualLoop, courier: TimedCourier) -> None:
        wall.ahead_s = 30 * DAY_S
        async with home.life() as steered:
            clock = steered.kernel.outside.clock
            ageing = asyncio.ensure_future(keep_letting_go(steered.kernel, clock))
            await took_s(steered, loop, 1)
            wall.ahead_s = 0
            await passes(6.9 * DAY_S)
            assert steered.kernel.table.ended
            await passes(0.3 * DAY_S)
            assert not steered.kernel.table.ended
            ageing.cancel()
            await asyncio.gather(ageing, return_exceptions=True)
        assert any(isinstance(e, ev.ProcessReaped) for entry in home.entries() for e in entry.events)

    jumping(test)


def test_the_time_agrees_with_the_machine_s_again_in_the_end() -> None:
    loop = VirtualLoop()
    wall = Wall(loop)

    async def test() -> None:
        wall.ahead_s = 60
        clock = SteadyClock(0, wall.now_ns, lambda: loop.now_ns)
        before_ns = clock.now_ns()
        wall.ahead_s = 0
        for _ in range(SLOWER + 2):
            assert clock.now_ns() >= before_ns
            before_ns = clock.now_ns()
            await passes(60)
        assert clock.now_ns() == wall.now_ns()
        wall.ahead_s = 5
        assert clock.now_ns() == wall.now_ns(), "a step forward is believed"

    loop.run_until_complete(test())
    loop.close()
