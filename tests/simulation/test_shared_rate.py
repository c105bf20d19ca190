"""Bytes a second that a fleet shares, in virtual time: fairly, interactive first, seen, and over a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from prytany.abi import events as ev
from prytany.abi.control import CauseRow
from prytany.abi.qos import Qos
from prytany.abi.signals import Signal
from prytany.kernel.freezing import freeze
from prytany.kernel.handlers.schedule import schedule
from prytany.kernel.waiting.explain import explain
from prytany.process.process import PACED, State
from prytany.testing.virtual_time import VirtualLoop
from prytany.userland.process import Process
from tests.simulation.steered import UID, Steered
from tests.simulation.test_paced import RATE, SIZE, World, agent, declare, nobody, passes, start


async def large(proc: Process) -> int:
    await proc.calls.file_write("large", b"x" * 10 * SIZE)
    return 1


@pytest.fixture
def world() -> Iterator[World]:
    loop = VirtualLoop()
    world = World(loop)
    world.home.programs["large"] = large
    yield world
    loop.close()


def why(steered: Steered, pid: int) -> list[CauseRow]:
    kernel = steered.kernel
    return explain(kernel.ledger.state, pid, kernel, kernel.now_ns())


def names(world: World) -> str:
    return "".join(path[0] for path, _ in world.disk.touched)


def test_agents_share_it_evenly_whatever_each_starts(world: World) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("writes", 0), agent("other", 0, "writes"), rate=RATE)
        pids = [start(steered, number, "writes", "a", 6), start(steered, number, "writes", "b", 6)]
        pids.append(start(steered, number, "other", "c", 6))
        for pid in pids:
            assert (await steered.ended(pid))["result"] == 6
        assert nobody(steered)

    world.run(test)
    assert names(world)[:12].count("c") == 6, "one agent has two processes, and no more than the other"
    assert [round(at) for _, at in world.disk.touched] == list(range(18))


def test_a_call_larger_than_a_second_s_worth_is_let_through_and_paid_for_in_time(world: World) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("large", 0), agent("reads", 0), rate=RATE)
        pids = [start(steered, number, "large"), start(steered, number, "reads", "r", 2)]
        for pid in pids:
            await steered.ended(pid)

    world.run(test)
    assert [(path, round(at)) for path, at in world.disk.touched] == [("large", 0), ("r0", 10), ("r1", 11)]


def test_a_person_s_calls_pass_and_it_is_seen_who_waits_and_why(world: World) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("writes", 0), agent("other", 0, "writes"), rate=RATE)
        night = start(steered, number, "writes", "n", 6, qos=Qos.BACKGROUND)
        await passes(0.2)
        person = start(steered, number, "other", "p", 3, qos=Qos.INTERACTIVE)
        await passes(0.2)
        assert steered.process(night).shown_state() == (State.WAITING, PACED)
        [first, *_] = why(steered, night)
        assert (first.kind, first.call, first.n) == ("bytes", "file_write", 2)
        assert first.text == (
            "bytes a second: the 1,000 of its fleet small; it is background, and process 2 (other) is next, in 0.6 s; "
            "8 calls of the fleet wait"
        )
        assert first.help == [f"schedule {night} --qos interactive"]
        first, second, *_ = why(steered, person)
        assert first.text.endswith("; it is interactive, and next, in 0.6 s")
        assert second.text.endswith("; it is interactive, and its call 1 is next, in 0.6 s; 8 calls of the fleet wait")
        assert second.help == []
        assert explain(steered.kernel.ledger.state, night, None, 0)[0].text == f"its turn by {PACED}"
        for pid in (person, night):
            await steered.ended(pid)

    world.run(test)
    assert names(world) == "npppnnnnn"


def test_who_is_given_another_class_waits_by_that_from_then_on(world: World) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("writes", 0), agent("other", 0, "writes"), rate=RATE)
        first = start(steered, number, "writes", "a", 4)
        await passes(0.1)
        second = start(steered, number, "other", "b", 4, qos=Qos.BACKGROUND)
        await passes(0.1)
        process = steered.kernel.table.require(second)
        event = schedule(process, "interactive", 0, -1, -1, steered.kernel.now_ns())
        steered.kernel.ledger.commit((event,), {})
        for pid in (first, second):
            await steered.ended(pid)

    world.run(test)
    assert names(world) == "abbbbaaa"


def test_an_agent_s_own_rate_holds_within_the_fleet_s(world: World) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("writes", RATE // 2), agent("other", 0, "writes"), rate=2 * RATE)
        slow = start(steered, number, "writes", "s", 4)
        await passes(0.1)
        quick = start(steered, number, "other", "q", 9)
        await passes(0.1)
        assert "the 500 of its agent writes" in why(steered, slow)[0].text
        for pid in (slow, quick):
            await steered.ended(pid)

    world.run(test)
    assert world.seconds("s") == [0, 2, 4, 6]
    assert max(world.seconds("q")) <= 6


def test_another_rate_of_the_fleet_holds_at_once(world: World) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("writes", 0), rate=1)
        pid = start(steered, number, "writes", "w", 4)
        await passes(2)
        assert len(world.disk.touched) == 1
        declare(steered, agent("writes", 0), number=number)
        assert (await steered.ended(pid))["result"] == 4

    world.run(test)
    assert world.loop.time() < 5


def test_what_waited_for_the_fleet_waits_on_after_a_crash(world: World) -> None:
    pids: list[int] = []

    async def first(steered: Steered) -> None:
        number = declare(steered, agent("reads", 0), agent("pays", 0), rate=RATE // 2)
        pids.extend(
            start(steered, number, "reads", f"{n}", 2, qos=qos)
            for n, qos in enumerate((Qos.BACKGROUND, Qos.INTERACTIVE))
        )
        await passes(0.5)

    async def second(steered: Steered) -> None:
        for pid in pids:
            assert (await steered.ended(pid))["result"] == [SIZE] * 2
        assert nobody(steered)

    world.run(first)
    world.run(second)
    assert sorted({path for path, _ in world.disk.touched}) == ["00", "01", "10", "11"]
    folded = [e for entry in world.home.entries() for e in entry.events if isinstance(e, ev.CallPaced)]
    assert len([e for e in folded if e.waits]) == len([e for e in folded if not e.waits]) > 0


def test_those_that_are_killed_or_stopped_while_they_wait_hold_nobody_up(world: World) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("large", 0), agent("writes", 0), agent("reads", 0), rate=RATE)
        killed, stopped = start(steered, number, "writes", "k", 50), start(steered, number, "reads", "s", 3)
        await passes(0.5)
        steered.kernel.operator.signal(killed, Signal.KILL, uid=UID)
        steered.kernel.operator.signal(stopped, Signal.STOP, uid=UID)
        last = start(steered, number, "writes", "l", 3)
        assert (await asyncio.wait_for(steered.ended(last), 10))["result"] == 3
        steered.kernel.operator.signal(stopped, Signal.CONT, uid=UID)
        await steered.ended(stopped)
        assert nobody(steered)

    world.run(test)


def test_rates_hold_for_a_fleet_by_its_number_and_for_nobody_else(world: World) -> None:

    async def test(steered: Steered) -> None:
        one = declare(steered, agent("writes", 0), rate=1)
        two = declare(steered, agent("writes", 0))
        start(steered, one, "writes", "w", 2)
        assert (await steered.ended(start(steered, two, "writes", "f", 20)))["result"] == 20
        assert world.loop.time() < 1

    world.run(test)


def test_those_that_were_frozen_do_not_all_begin_at_once_when_they_are_thawed(world: World) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("reads", 0), rate=RATE)
        pids = [start(steered, number, "reads", f"{n}.", 2) for n in range(5)]
        await passes(0.5)
        freeze(steered.kernel, UID, thaw=False)
        await passes(100)
        assert len(world.disk.touched) == 1
        freeze(steered.kernel, UID, thaw=True)
        for pid in pids:
            assert (await steered.ended(pid))["result"] == [SIZE] * 2
        assert nobody(steered)

    world.run(test)
    assert [round(at - 0.5) for _, at in world.disk.touched] == [0, *range(100, 109)]
