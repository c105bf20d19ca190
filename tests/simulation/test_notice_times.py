"""When notices are told, in virtual time: at once, together where there are many, ever later where nobody listens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.kernel.notices import AT_ONCE
from prytany.ports.courier import Letter, Missed
from prytany.testing.virtual_time import VirtualLoop
from tests.simulation.couriers import CountingCourier
from tests.simulation.steered import Home, Steered
from tests.simulation.test_notices import ALL, declare, new_home, start

PERIOD_S = limits.NOTICE_PERIOD_MS // 1_000


class TimedCourier(CountingCourier):
    """Notes when it was tried, in seconds, and with what count."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self.loop = loop
        self.times: list[tuple[int, int]] = []
        self.of: dict[str, list[int]] = {}

    async def deliver(self, letter: Letter) -> bytes:
        self.times.append((round(self.loop.time()), msgspec.json.decode(letter.body)["count"]))
        self.of.setdefault(letter.id, []).append(round(self.loop.time()))
        return await super().deliver(letter)


def virtual(test: Callable[[Home, TimedCourier], Awaitable[Any]]) -> None:
    loop = VirtualLoop()
    courier = TimedCourier(loop)
    home, _ = new_home(courier)
    home.virtual = loop
    try:
        loop.run_until_complete(test(home, courier))
    finally:
        loop.close()


async def passes(seconds: float) -> None:
    await asyncio.sleep(seconds)  # noqa: TID251 - virtual


async def begun(steered: Steered) -> int:
    declare(steered, ALL)
    pid = start(steered, "asks")
    await passes(1)
    return pid


def happen(steered: Steered, pid: int, n: int) -> None:
    steered.kernel.note((ev.IncidentOpened(pid, "fault", -n),))


def test_a_few_are_told_one_by_one_at_once_and_a_storm_once_a_period_with_its_count() -> None:
    async def test(home: Home, courier: TimedCourier) -> None:
        async with home.life() as steered:
            pid = await begun(steered)
            for n in range(600):
                happen(steered, pid, n)
                await passes(1)
            await passes(3 * PERIOD_S)
            calm = len(courier.times)
            happen(steered, pid, 700)
            await passes(1)
            assert len(courier.times) == calm + 1, "after the storm, one is told at once again"
        assert sum(count for _, count in courier.times) == 602
        assert [count for _, count in courier.times[: limits.NOTICES_A_PERIOD]] == [1] * limits.NOTICES_A_PERIOD
        storm = courier.times[limits.NOTICES_A_PERIOD : calm]
        assert len(storm) <= 600 // PERIOD_S + 1
        assert all(PERIOD_S - 1 <= b - a <= PERIOD_S + 1 for (a, _), (b, _) in pairwise(storm))
        assert max(count for _, count in storm) <= PERIOD_S + 1

    virtual(test)


def test_attempts_come_twice_as_late_each_time_also_over_a_crash() -> None:
    async def test(home: Home, courier: TimedCourier) -> None:
        courier.always = Missed("unreachable")
        async with home.life() as steered:
            await begun(steered)
            await passes(40)
        async with home.life():
            await passes(200)
        first, *_ = courier.of.values()
        pauses = [b - a for a, b in pairwise(first)]
        assert pauses[:5] == [1, 2, 4, 8, 16]
        assert pauses[5:7] == [32, 64], "the next kernel waits for the time that was recorded"

    virtual(test)


def test_a_receiver_is_left_alone_for_as_long_as_it_asks_within_reason() -> None:
    async def test(home: Home, courier: TimedCourier) -> None:
        courier.faults = [Missed("status 503", retry_after_ms=100_000), Missed("status 503", retry_after_ms=10**12)]
        async with home.life() as steered:
            await begun(steered)
            await passes(2 * limits.NOTICE_BACKOFF_MS_MAX / 1_000)
        (first, _), (second, _), (third, _) = courier.times
        assert second - first == 100
        assert third - second == limits.NOTICE_BACKOFF_MS_MAX // 1_000

    virtual(test)


def test_nobody_listens_and_everything_is_bounded_and_still_nothing_is_lost() -> None:
    async def test(home: Home, courier: TimedCourier) -> None:
        courier.always = Missed("unreachable")
        async with home.life() as steered:
            pid = await begun(steered)
            for n in range(3_000):
                happen(steered, pid, n)
                await passes(10)
            channel = steered.kernel.fleets.fleets[1].channels[0]
            waiting = sum(notice.count for notice in channel.waiting.values())
            given_up = sum(notice.count for notice in channel.given_up.values())
            tallied = sum(tally.count for tally in channel.tallies.values())
            assert len(channel.waiting) <= limits.NOTICES_WAITING_MAX
            assert len(channel.given_up) <= limits.NOTICES_GIVEN_UP_MAX
            assert channel.forgotten or waiting + given_up + tallied == 3_001
        async with home.life():
            courier.always = None
            await passes(2 * limits.NOTICE_BACKOFF_MS_MAX / 1_000)
        told = sum(body["count"] for body in courier.taken.values())
        assert told == waiting + tallied + 1, "and that the key is refused to the next kernel too"

    virtual(test)


def test_a_storm_that_goes_on_is_told_once_in_ten_minutes_with_how_many_failures_it_had() -> None:
    async def test(home: Home, courier: TimedCourier) -> None:
        async with home.life() as steered:
            pid = await begun(steered)
            every_s, times = 2, 900
            for n in range(times):
                steered.kernel.note((ev.ProcessFailed(pid, n + 2, 1, 0, "raised X", b"", 1),))
                await passes(every_s)
        storms = [body for body in courier.taken.values() if body["kind"] == "storm"]
        assert len(storms) == times * every_s // (limits.STORM_QUIET_MS // 1_000)
        said = [int(body["about"][0]["what"].partition(" ")[0]) for body in storms]
        assert said[0] == limits.STORM_RESTARTS
        assert all(290 <= count <= 310 for count in said[1:])
        assert {body["about"][0]["agent"] for body in storms} == {"asks"}

    virtual(test)


class Hanging(CountingCourier):
    """Takes as long as it is let, and takes nothing."""

    async def deliver(self, letter: Letter) -> bytes:
        self.tried[letter.id] += 1
        await passes(limits.NOTICE_TIMEOUT_MS / 1_000)
        raise Missed("timeout")


def test_a_fleet_whose_receivers_all_hang_does_not_keep_another_from_being_told() -> None:
    loop = VirtualLoop()
    courier = TimedCourier(loop)
    home, _ = new_home()
    home.virtual = loop
    hanging = [Hanging() for _ in range(AT_ONCE)]
    home.couriers.update({f"1/{at}": each for at, each in enumerate(hanging)})
    home.couriers["2/0"] = courier

    async def test() -> None:
        async with home.life() as steered:
            declare(steered, *[ALL] * AT_ONCE)
            declare(steered, ALL, name="other")
            pid = start(steered, "asks")
            await passes(1)
            for n in range(limits.NOTICES_A_PERIOD - 1):
                happen(steered, pid, n)
            await passes(1)
            began_s = round(loop.time())
            start(steered, "asks", number=2)
            await passes(2 * limits.NOTICE_TIMEOUT_MS / 1_000)
            assert courier.times
            assert courier.times[0][0] - began_s <= limits.NOTICE_TIMEOUT_MS / 1_000
            assert all(len(each.tried) > 1 for each in hanging)

    try:
        loop.run_until_complete(test())
    finally:
        loop.close()
