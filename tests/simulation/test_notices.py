"""Notices: what needs a person is told outside, at least once and under one id, whenever the kernel stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits, notices
from prytany.abi.errors import Enoent
from prytany.kernel.fleets import Agent, ChannelForm
from prytany.kernel.folding import fold
from prytany.kernel.notice_views import notice_rows, undelivered
from prytany.kernel.outcome import Program
from prytany.ports.courier import Missed
from prytany.userland.process import Process
from tests.simulation.couriers import CountingCourier
from tests.simulation.fleet import StoppingStore
from tests.simulation.steered import UID, Home, Steered
from tests.simulation.test_restored import restore
from tests.simulation.tools import PATH, CountingTools

ALL = ChannelForm("command page", notices.KINDS, b"a definition")
DOUBTS = ChannelForm("webhook example", [notices.DOUBT], b"another")


async def ships(proc: Process) -> Any:
    """Calls an unsafe tool whose process dies."""
    return await proc.calls.tool_call("shop.ship", {"order": "o0"})


async def fails(proc: Process) -> None:
    raise ValueError("a secret of the agent's")


async def asks(proc: Process) -> Any:
    return await proc.llm("hello")


async def boss(proc: Process) -> list[str]:
    return [(await proc.wait(await proc.spawn("fails"))).reason]


PROGRAMS: dict[str, Any] = {"ships": ships, "fails": fails, "asks": asks, "boss": boss}


def new_home(*couriers: CountingCourier) -> tuple[Home, CountingTools]:
    home = Home(PROGRAMS)
    tools = home.tools[PATH] = CountingTools()
    for at, courier in enumerate(couriers):
        home.couriers[f"1/{at}"] = courier
    return home, tools


def steer(home: Home, test: Callable[[Steered], Awaitable[Any]]) -> Any:
    async def life() -> Any:
        async with home.life() as kernel:
            return await test(kernel)

    return asyncio.run(asyncio.wait_for(life(), 30))


def declare(steered: Steered, *channels: ChannelForm, name: str = "small", number: int = 0, restarts: int = 0) -> int:
    agents = [
        Agent(name, "inline", Program(name, name, b"# " + name.encode(), ("tools", "proc", "model")),
              tools=["shop.ship"], restarts=restarts, spawns=["fails"])
        for name in PROGRAMS
    ]  # fmt: skip
    return steered.kernel.fleet_operator.declare(
        name, agents, models={}, tools=[PATH], resolved=b"{}", uid=UID, number=number, stays=True, channels=channels
    )


def start(steered: Steered, name: str, *args: Any, number: int = 1) -> int:
    return steered.kernel.fleet_operator.start(number, name, list(args), {}, uid=UID)


async def told(steered: Steered) -> None:
    """Wait until everything was delivered, or given up."""
    fleets = steered.kernel.fleets
    await steered.until(lambda: not fleets.telling and fleets.next_notice > 1)


def events_of(home: Home, kind: type) -> list[Any]:
    return [e for entry in home.entries() for e in entry.events if isinstance(e, kind)]


def test_a_doubt_is_told_once_with_who_and_how_to_look_and_nothing_that_was_said() -> None:
    courier = CountingCourier()
    home, tools = new_home(courier)
    tools.deaths["shop.ship"] = 1

    async def test(steered: Steered) -> None:
        declare(steered, ALL)
        start(steered, "ships")
        await told(steered)

    steer(home, test)
    ((id, body),) = courier.taken.items()
    assert courier.tried == {id: 1}
    assert len(id) == 32
    assert (body["kind"], body["count"], body["fleet"], body["look"]) == ("doubt", 1, "small", "prytany incidents")
    assert body["about"] == [{"pid": 1, "name": "ships", "agent": "ships", "what": "doubt", "n": 1}]
    assert b"o0" not in next(iter(courier.bodies[id])), "what a tool was asked is nobody's outside"
    (delivered,) = events_of(home, ev.NoticeDelivered)
    assert home.store.reader().body(0, delivered.said) is not None or delivered.said


def test_each_kind_goes_to_the_channels_that_want_it() -> None:
    every, doubts = CountingCourier(), CountingCourier()
    home, tools = new_home(every, doubts)
    tools.deaths["shop.ship"] = 1

    async def test(steered: Steered) -> None:
        declare(steered, ALL, DOUBTS)
        start(steered, "asks")
        start(steered, "ships")
        await steered.ended(start(steered, "fails"))
        await steered.until(lambda: len(every.taken) == 3 and bool(doubts.taken))

    steer(home, test)
    assert sorted(every.told) == [("doubt", 1), ("failure", 1), ("incident", 1)]
    assert doubts.told == [("doubt", 1)]
    (failure,) = (body for body in every.taken.values() if body["kind"] == "failure")
    assert failure["about"][0]["what"] == "status 1"
    assert "secret" not in str(every.taken)


def test_who_is_killed_or_whose_parent_hears_of_its_failure_is_no_news() -> None:
    courier = CountingCourier()
    home, _ = new_home(courier)

    async def test(steered: Steered) -> None:
        declare(steered, ALL)
        assert (await steered.ended(start(steered, "boss")))["result"] == ["raised ValueError"]
        waits = start(steered, "asks")
        await steered.until(lambda: bool(courier.taken))
        steered.kernel.operator.signal(waits, 9, uid=UID)
        await steered.ended(waits)

    steer(home, test)
    assert courier.told == [("incident", 1)], "only that the key is refused"
    assert [e.failed for e in events_of(home, ev.ProcessExited)] == [True, False, False]


def test_restarts_that_come_fast_are_one_storm_and_the_last_failure_is_told_too() -> None:
    courier = CountingCourier()
    home, _ = new_home(courier)

    async def test(steered: Steered) -> None:
        declare(steered, ALL, restarts=limits.STORM_RESTARTS)
        await steered.ended(start(steered, "fails"))
        await told(steered)

    steer(home, test)
    assert courier.told == [("storm", 1), ("failure", 1)]
    (stormed,) = events_of(home, ev.AgentStormed)
    assert (stormed.agent, stormed.failures) == ("fails", limits.STORM_RESTARTS)


def test_ten_thousand_at_once_are_a_handful_of_notices_and_none_is_lost() -> None:
    courier = CountingCourier()
    home, _ = new_home(courier)
    count = 10_000

    async def test(steered: Steered) -> None:
        declare(steered, ALL)
        pid = start(steered, "asks")
        await steered.until(lambda: bool(courier.taken))
        for n in range(count):
            steered.kernel.note((ev.IncidentOpened(pid, "fault", -n),))
        await steered.until(lambda: sum(body["count"] for body in courier.taken.values()) == count + 1)

    steer(home, test)
    assert len(courier.taken) <= 2 * limits.NOTICES_A_PERIOD
    assert max(len(body["about"]) for body in courier.taken.values()) <= limits.NOTICES_A_PERIOD
    assert max(len(body) for bodies in courier.bodies.values() for body in bodies) < 8_192


def test_what_fails_is_tried_again_later_and_later_with_the_same_words_until_it_is_given_up() -> None:
    courier = CountingCourier()
    courier.always = Missed("status 500", b"no")
    home, _ = new_home(courier)

    async def test(steered: Steered) -> None:
        declare(steered, ALL)
        start(steered, "asks")
        await told(steered)
        assert undelivered(steered.kernel.fleets) == (0, 1)
        (row,) = notice_rows(steered.kernel.fleets)
        assert (row.state, row.cause, row.attempts) == ("given up", "status 500", limits.NOTICE_ATTEMPTS_MAX)

    steer(home, test)
    assert list(courier.tried.values()) == [limits.NOTICE_ATTEMPTS_MAX]
    assert [len(bodies) for bodies in courier.bodies.values()] == [1]
    missed = events_of(home, ev.NoticeMissed)
    times = [entry.time_ns for entry in home.entries() if any(isinstance(e, ev.NoticeMissed) for e in entry.events)]
    pauses = [e.until_ns - at for e, at in zip(missed[:-1], times, strict=False)]
    assert pauses[0] >= limits.NOTICE_BACKOFF_MS * 999_000
    assert all(a <= b + 1_000_000 for a, b in pairwise(pauses))
    assert max(pauses) <= limits.NOTICE_BACKOFF_MS_MAX * 1_000_000
    assert missed[-1].until_ns == 0


def test_what_cannot_help_is_not_tried_again_and_an_operator_can_retry_or_drop_it() -> None:
    courier = CountingCourier()
    courier.faults = [Missed("redirected (302)", again=False)]
    home, _ = new_home(courier)

    async def test(steered: Steered) -> None:
        operator = steered.kernel.fleet_operator
        declare(steered, ALL)
        start(steered, "asks")
        await told(steered)
        assert courier.tried.total() == 1
        with pytest.raises(Enoent):
            operator.retry_notices(7, uid=UID)
        assert operator.retry_notices(uid=UID) == 1
        await steered.until(lambda: bool(courier.taken))
        assert operator.retry_notices(uid=UID) == 0
        courier.always = Missed("not found", again=False)
        start(steered, "asks")
        await steered.until(lambda: undelivered(steered.kernel.fleets) == (0, 1))
        assert operator.drop_notices(uid=UID) == 1
        assert undelivered(steered.kernel.fleets) == (0, 0)

    steer(home, test)
    assert list(courier.tried.values()) == [2, 1]


def test_a_channel_that_was_mended_delivers_what_the_one_before_could_not() -> None:
    broken, mended = CountingCourier(), CountingCourier()
    broken.always = Missed("not found", again=False)
    home, _ = new_home(broken)

    async def test(steered: Steered) -> None:
        number = declare(steered, ALL)
        start(steered, "asks")
        await told(steered)
        home.couriers["1/0"] = mended
        declare(steered, ALL, number=number)
        assert undelivered(steered.kernel.fleets) == (0, 1), "nothing changed, so nothing is tried"
        declare(steered, ALL._replace(definition=b"another program"), number=number)
        await steered.until(lambda: bool(mended.taken))
        declare(steered, number=number)
        start(steered, "asks")
        await steered.incident(2, 1)

    steer(home, test)
    assert mended.told == [("incident", 1)]
    (gone,) = events_of(home, ev.ChannelWithdrawn)
    assert gone.undelivered == 0


def test_two_fleets_are_told_of_their_own_alone_and_of_what_all_share() -> None:
    first, second = CountingCourier(), CountingCourier()
    home, _ = new_home(first)
    home.couriers["2/0"] = second

    async def test(steered: Steered) -> None:
        declare(steered, ALL, name="first")
        declare(steered, ALL, name="second")
        start(steered, "asks", number=2)
        await steered.until(lambda: bool(second.taken))
        steered.kernel.note((ev.LimitNeared("disk", 1_000),))
        await steered.until(lambda: bool(first.taken) and len(second.taken) == 2)

    steer(home, test)
    assert first.told == [("limit", 1)]
    assert second.told == [("incident", 1), ("limit", 1)]
    (body,) = first.taken.values()
    assert body["about"][0] == {"pid": 0, "name": "", "agent": "", "what": "disk: 1000 bytes left", "n": 0}


def test_names_that_are_no_names_are_escaped_and_cut() -> None:
    courier = CountingCourier()
    home, _ = new_home(courier)

    async def names(proc: Process) -> None:
        child = await proc.spawn(":another", name="x\r\nX-Evil: 1\x1b[31m\u202e" + "y" * 90, restarts=1)
        await proc.wait(child)

    home.programs |= {"boss": names, ":another": fails}

    async def test(steered: Steered) -> None:
        declare(steered, ALL)
        await steered.ended(start(steered, "boss"))
        await told(steered)

    steer(home, test)
    (body,) = courier.taken.values()
    name = body["about"][0]["name"]
    assert name.startswith("x\\r\\nX-Evil: 1\\x1b[31m\\u202e")
    assert len(name) == limits.NOTICE_NAME_CHARS_MAX + 1
    assert body["text"].isprintable()


def test_one_notice_of_a_channel_is_under_way_at_a_time_and_a_courier_that_fails_in_its_own_way_is_tried_again() -> (
    None
):
    courier = CountingCourier()
    courier.faults = [OSError("boom"), TimeoutError()]  # type: ignore[list-item]
    home, tools = new_home(courier)
    tools.deaths["shop.ship"] = 5

    async def test(steered: Steered) -> None:
        declare(steered, ALL)
        start(steered, "asks")
        for _ in range(4):
            start(steered, "fails")
        await told(steered)

    steer(home, test)
    assert courier.most == 1
    assert sum(body["count"] for body in courier.taken.values()) == 5
    causes = [e.cause for e in events_of(home, ev.NoticeMissed)]
    assert causes == ["the courier failed: OSError", "timeout"]


def test_a_fleet_that_was_taken_down_tells_the_last_of_it_and_then_goes() -> None:
    courier = CountingCourier()
    home, _ = new_home(courier)

    async def test(steered: Steered) -> None:
        courier.gate = asyncio.Event()
        declare(steered, ALL)
        await steered.ended(start(steered, "fails"))
        await steered.until(lambda: courier.under_way == 1)
        steered.kernel.fleet_operator.withdraw(1, uid=UID)
        steered.kernel.ledger.commit((ev.ProcessReaped(1),), {})
        assert 1 in steered.kernel.fleets.fleets
        courier.gate.set()
        await steered.until(lambda: not steered.kernel.fleets.fleets)

    steer(home, test)
    assert courier.told == [("failure", 1)]


def test_a_kernel_that_ends_tells_what_was_held_back() -> None:
    courier = CountingCourier()
    home, _ = new_home(courier)

    async def test(steered: Steered) -> None:
        declare(steered, ALL)
        pid = start(steered, "asks")
        await steered.until(lambda: bool(courier.taken))
        for n in range(1_000):
            steered.kernel.note((ev.IncidentOpened(pid, "fault", -n),))
        assert await steered.kernel.notices.drain() == 0
        assert sum(body["count"] for body in courier.taken.values()) == 1_001
        courier.always = Missed("unreachable")
        steered.kernel.note((ev.IncidentOpened(pid, "fault", -7),))
        assert await steered.kernel.notices.drain() in (0, 1), "it may have been given up: time is free here"

    steer(home, test)


def test_a_home_without_channels_keeps_nothing_of_what_it_could_tell() -> None:
    home, _ = new_home()

    async def test(steered: Steered) -> None:
        declare(steered, restarts=1)
        await steered.ended(start(steered, "fails"))
        fleets = steered.kernel.fleets
        assert (fleets.news, fleets.telling, fleets.suspects, fleets.fleets[1].failing) == (0, {}, {}, {})

    steer(home, test)
    assert not events_of(home, ev.NoticeOpened)


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_kernel_that_stops_at_any_append_tells_everything_under_one_id_each(after_commit: bool) -> None:
    async def begin(steered: Steered) -> None:
        if not steered.kernel.fleets.fleets:
            declare(steered, ALL, DOUBTS, restarts=1)
        table = steered.kernel.table
        for pid, name in enumerate(("ships", "fails"), 1):
            if table.next_number <= pid:
                start(steered, name)

    async def whole(steered: Steered) -> None:
        await begin(steered)
        await steered.ended(2)
        await steered.incident(1, 1)
        await told(steered)

    def fresh() -> tuple[Home, CountingCourier, CountingCourier]:
        every, doubts = CountingCourier(), CountingCourier()
        every.faults = [Missed("status 503")]
        home, tools = new_home(every, doubts)
        tools.deaths["shop.ship"] = 1
        return home, every, doubts

    home, every, doubts = fresh()
    steer(home, whole)
    assert sorted(every.told) == [("doubt", 1), ("failure", 1)]
    head = home.store.reader().head()
    assert head is not None
    again = 0
    for stop_at in range(2, head.seq + 1):
        where = f"stopped at {stop_at}"
        home, every, doubts = fresh()
        home.store = StoppingStore(home.store, stop_at, after_commit=after_commit)

        async def crash(home: Home = home) -> None:
            async with home.life() as kernel:
                await begin(kernel)
                await kernel.stopped()

        with pytest.raises(Exception, match=f"at {stop_at}"):
            asyncio.run(asyncio.wait_for(crash(), 20))
        durable = {e.id for e in events_of(home, ev.NoticeOpened)}
        assert set(every.tried) | set(doubts.tried) <= durable, f"{where}: something left before it was durable"
        home.store = StoppingStore(home.store, 0, after_commit=False)
        steer(home, whole)
        assert sorted(every.told) == [("doubt", 1), ("failure", 1)], where
        assert doubts.told == [("doubt", 1)], where
        for courier in (every, doubts):
            assert all(len(bodies) == 1 for bodies in courier.bodies.values()), where
        opened = [e.id for e in events_of(home, ev.NoticeOpened)]
        assert len(opened) == len(set(opened)) == 3, where
        again += sum(count > 1 for count in (every.tried + doubts.tried).values())
        assert fold(home.store.reader())[0].fleets.telling == {}, where
    assert again, "no attempt was made again: the sweep tries nothing"


def test_a_home_that_was_restored_goes_on_telling_under_the_same_ids_and_opens_others() -> None:
    courier = CountingCourier()
    courier.always = Missed("unreachable")
    home, _ = new_home(courier)

    async def crash(steered: Steered) -> None:
        declare(steered, ALL)
        start(steered, "asks")
        await steered.until(lambda: bool(courier.tried))

    steer(home, crash)
    (before,) = courier.tried
    restore(home.store)
    courier.always = None

    async def goes_on(steered: Steered) -> None:
        steered.kernel.fleet_operator.retry_notices(uid=UID)
        await steered.ended(start(steered, "fails"))
        await steered.until(lambda: len(courier.taken) >= 2)

    steer(home, goes_on)
    assert before in courier.taken
    assert len(courier.taken) >= 2
