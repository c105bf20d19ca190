"""Triggers in virtual time: times with daylight saving, downtime, overlaps, events, messages, files; nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Einval
from prytany.kernel.cron import check_cron, next_ns, passed, zone_of
from prytany.kernel.fleets import Agent
from prytany.kernel.folding import fold_from_start
from prytany.kernel.kernel import Kernel
from prytany.kernel.outcome import Program
from prytany.kernel.triggers_of_fleets import TriggerForm
from prytany.testing.virtual_shard import VirtualShard, passes
from prytany.userland.process import Process
from tests.simulation.shards import SHARDS

MINUTE_S = 60
PLEDGE = ("ipc", "proc")


def form(name: str, kind: str, on: str, agent: str, **given: Any) -> TriggerForm:
    said: dict[str, Any] = {
        "zone": "UTC", "every_ms": 0, "how": "start", "overlap": "skip", "missed": "once", "at_once": 1, "jitter_ms": 0,
        "debounce_ms": 0, "args": b"", **given,
    }  # fmt: skip
    return TriggerForm(name, kind, [on], agent, **said)


EVERY = form("tick", "every", "1m", "clerk", every_ms=60_000)


class World:
    """A fleet that is up, its programs, and what they were given."""

    def __init__(self, takes_s: float = 1) -> None:
        self.got: list[Any] = []

        async def clerk(proc: Process, told: Any = None, **given: Any) -> None:
            self.got.append(told or given)
            await proc.sleep(takes_s)

        async def desk(proc: Process) -> None:
            while True:
                message = await proc.receive()
                self.got.append([message.type, message.body])
                await message.done("done")

        async def asks(proc: Process) -> Any:
            await proc.publish("orders.new", id=7)
            return [await proc.call("front", "hello", x=1), await proc.call("front", "again")]

        self.programs = {"clerk": clerk, "desk": desk, "asks": asks}
        self.shard = VirtualShard(self.programs, {}, pledge=PLEDGE)
        SHARDS.append(self.shard)

    def up(self, kernel: Kernel, *forms: TriggerForm) -> int:
        agents = [Agent(name, "inline", Program(name, name, name.encode(), PLEDGE)) for name in self.programs]
        number = next(iter(kernel.fleets.fleets), 0)
        return kernel.fleet_operator.declare(
            "f", agents, models={}, tools=[], resolved=b"f", uid=0, stays=True, number=number, triggers=forms
        )

    def lives(self, seconds: float, *forms: TriggerForm, stop_at: int = 0) -> Any:
        async def does(kernel: Kernel) -> Any:
            if forms:
                self.up(kernel, *forms)
            await passes(seconds)
            return {t.name: (t.fired, t.skipped) for t in kernel.state.triggers.triggers.values()}

        return self.shard.run(does, stop_at)

    def fired(self) -> list[int]:
        return [e.pid for e in self.shard.events(ev.TriggerFired)]


def test_an_agent_is_started_at_each_time_and_waits_as_no_process() -> None:
    world = World()
    assert world.lives(5 * MINUTE_S, EVERY) == {"tick": (5, 0)}
    assert [told["trigger"] for told in world.got] == ["tick"] * 5
    assert len(world.shard.events(ev.ProcessSpawned)) == 5


@pytest.mark.parametrize(("overlap", "started", "skipped"), [("skip", 2, 2), ("queue", 3, 0), ("allow", 4, 0)])
def test_where_one_is_still_running_its_overlap_says_what_happens(overlap: str, started: int, skipped: int) -> None:
    world = World(takes_s=100)
    assert world.lives(4 * MINUTE_S + 1, EVERY._replace(overlap=overlap)) == {"tick": (started, skipped)}


@pytest.mark.parametrize(("missed", "more"), [("skip", 0), ("once", 1), ("all", 10)])
def test_times_that_passed_without_a_kernel_are_made_up_for_as_it_says(missed: str, more: int) -> None:
    world = World(takes_s=0)
    before = world.lives(90, EVERY._replace(missed=missed, overlap="allow"))["tick"][0]
    world.shard.loop.run_until_complete(passes(10 * MINUTE_S + 1))
    assert world.lives(1)["tick"][0] == before + more


def test_a_crash_at_any_entry_fires_each_time_once() -> None:
    whole = World(takes_s=0)
    whole.lives(3 * MINUTE_S, EVERY)
    for stop_at in range(2, len(whole.shard.entries()) + 1):
        world = World(takes_s=0)
        world.lives(3 * MINUTE_S, EVERY, stop_at=stop_at)
        world.lives(2 * MINUTE_S, EVERY)
        times = [at for e in world.shard.events(ev.TriggerTimed) for at in e.times]
        assert times == sorted(set(times)), f"stopped at {stop_at}"
        fired = world.shard.events(ev.TriggerFired)
        assert [e.number for e in fired] == list(range(1, len(times) + 1)), f"stopped at {stop_at}"
        assert fold_from_start(world.shard.store.reader()).state.triggers.triggers["1/tick"].fired == len(times)


def test_an_event_goes_to_who_lives_and_a_message_starts_whom_it_is_for_and_is_answered() -> None:
    world = World()
    forms = [form("orders", "topic", "orders.*", "desk", how="message"), form("front", "message", "front", "desk")]

    async def does(kernel: Kernel) -> Any:
        number = world.up(kernel, *forms)
        pid = kernel.fleet_operator.start(number, "asks", [], {}, uid=0)
        ended = await asyncio.wait_for(kernel.operator.wait_ended(pid), 100)
        return ended["result"], [p.name for p in kernel.table.processes.values()]

    said, names = world.shard.run(does)
    assert said == ["done", "done"]
    assert names == ["asks", "desk"], "one desk for all of them"
    kinds = [kind for kind, _ in world.got]
    assert sorted(kinds) == ["again", "hello", "triggered"]
    assert next(body for kind, body in world.got if kind == "triggered")["body"] == {"id": 7}


def test_arguments_are_filled_in_with_what_came() -> None:
    world = World()
    args = msgspec.msgpack.encode({"id": "<body.id>", "topic": "<topic>", "none": "<body.x.y>", "text": "<b>"})

    async def does(kernel: Kernel) -> None:
        number = world.up(kernel, form("orders", "topic", "orders.>", "clerk", args=args))
        kernel.fleet_operator.start(number, "asks", [], {}, uid=0)
        await passes(5)

    world.shard.run(does)
    assert world.got == [{"id": 7, "topic": "orders.new", "none": None, "text": "<b>"}]


def test_an_agent_that_cannot_be_started_is_skipped_with_its_errno() -> None:
    world = World()
    assert world.lives(90, EVERY._replace(agent="nobody")) == {"tick": (0, 1)}
    assert [e.why for e in world.shard.events(ev.TriggerSkipped)] == ["ENOENT"]


def test_one_that_is_switched_off_or_withdrawn_fires_no_more() -> None:
    world = World(takes_s=0)

    async def does(kernel: Kernel) -> list[int]:
        number = world.up(kernel, EVERY)
        counts: list[int] = []
        trigger = kernel.state.triggers.triggers["1/tick"]
        for on in (False, True):
            await passes(2 * MINUTE_S)
            counts.append(trigger.fired)
            kernel.ledger.commit((ev.TriggerSwitched(number, "tick", on),), {})
        await passes(2 * MINUTE_S)
        counts.append(trigger.fired)
        world.up(kernel)
        await passes(2 * MINUTE_S)
        return [*counts, trigger.fired]

    assert world.shard.run(does) == [2, 2, 4, 4]


class FakeWatch:
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[list[str]] = asyncio.Queue()
        self.asked: list[Any] = []

    async def changes(self, patterns: Sequence[str], since_ns: int, debounce_ms: int) -> AsyncIterator[list[str]]:
        self.asked.append((list(patterns), debounce_ms))
        while True:
            yield await self.said.get()


def test_changed_files_start_an_agent_that_is_told_which() -> None:
    world, watch = World(), FakeWatch()

    async def does(kernel: Kernel) -> None:
        kernel.triggers._watch = watch  # pyright: ignore[reportPrivateUsage]
        world.up(kernel, form("inbox", "files", "/in/*.csv", "clerk", debounce_ms=500))
        await passes(1)
        watch.said.put_nowait(["/in/a.csv", "/in/b.csv"])
        await passes(1)

    world.shard.run(does)
    assert watch.asked == [(["/in/*.csv"], 500)]
    (told,) = world.got
    assert (told["path"], told["paths"], told["count"]) == ("/in/a.csv", ["/in/a.csv", "/in/b.csv"], 2)


def ns(year: int, month: int, day: int, hour: int, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1_000_000_000


def spec(expression: str, zone: str) -> ev.TriggerSpec:
    return ev.TriggerSpec("cron", [expression], "clerk", zone)


def test_a_time_that_daylight_saving_skips_comes_once_and_one_that_it_repeats_comes_once() -> None:
    athens = spec("30 3 * * *", "Europe/Athens")
    # 2026-03-29: 03:00 becomes 04:00. 2026-10-25: 04:00 becomes 03:00.
    spring = next_ns(athens, ns(2026, 3, 28, 12))
    assert ns(2026, 3, 29, 1) <= spring <= ns(2026, 3, 29, 1, 30)
    assert next_ns(athens, spring) == ns(2026, 3, 30, 0, 30)
    autumn = next_ns(athens, ns(2026, 10, 24, 12))
    assert autumn in (ns(2026, 10, 25, 0, 30), ns(2026, 10, 25, 1, 30))
    assert next_ns(athens, autumn) == ns(2026, 10, 26, 1, 30)


def test_what_passed_is_counted_from_the_first_to_now() -> None:
    hourly = spec("0 * * * *", "UTC")
    times, more = passed(hourly, ns(2026, 1, 1, 0), ns(2026, 1, 1, 5))
    assert (times, more) == ([ns(2026, 1, 1, hour) for hour in range(6)], 0)
    times, more = passed(hourly, ns(2026, 1, 1, 0), ns(2026, 2, 1, 0))
    assert (len(times), times[-1], more) == (100, ns(2026, 2, 1, 0), 31 * 24 + 1 - 100)


@pytest.mark.parametrize("expression", ["", "x", "* * * *", "60 * * * *", "0 0 31 2 *", "* * * * * * *", "a" * 1_000])
def test_what_is_no_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(Einval):
        check_cron(expression)


@pytest.mark.parametrize("zone", ["", "Nowhere/City", "../etc/passwd", "/etc/passwd", "a\0b", "utc " * 100])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(Einval):
        zone_of(zone)
