"""What a process waits for is followed along its edges, and each ends in something that can be done or awaited."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from prytany.abi import events as ev
from prytany.abi.control import CAUSES_MAX, CauseRow
from prytany.abi.errors import Esrch
from prytany.abi.signals import Signal
from prytany.kernel.waiting.explain import explain
from prytany.ports.memory import PRESSURE
from tests.unit.kernel.world import World


def _why(world: World, pid: int, *, live: bool = True) -> list[CauseRow]:
    kernel = world.kernel
    return explain(kernel.ledger.state, pid, kernel if live else None, kernel.now_ns())


def test_a_call_that_waits_for_a_resource_names_who_has_it(tmp_path: Path) -> None:
    async def body() -> None:
        world = await World.make(tmp_path)
        holder = await world.open("tool_call", "shop.pay", {"order": "wait"})
        waiter = await world.open("tool_call", "shop.pay", {"order": "wait"})
        behind = await world.open("process_wait", world.child_.pid)
        for live in (True, False):
            rows = _why(world, 1, live=live)
            assert [(row.pid, row.n, row.kind, row.depth) for row in rows] == [
                (1, holder, "doing", 0), (1, waiter, "resource", 0), (1, behind, "child", 0),
                (world.child_.pid, 0, "nothing", 1),
            ]  # fmt: skip
            assert f"process 1 (program), call {holder} of shop.pay has" in rows[1].text

    asyncio.run(body())


def test_a_stopped_process_names_the_command_that_lets_it_go_on(tmp_path: Path) -> None:
    async def body() -> None:
        world = await World.make(tmp_path)
        world.kernel.operator.signal(1, Signal.STOP, uid=0)
        await world.settled()
        (row,) = _why(world, 1)
        assert (row.kind, row.help) == ("stopped", ["unpause 1"])

    asyncio.run(body())


def test_what_stands_still_for_want_of_memory_says_that(tmp_path: Path) -> None:
    async def body() -> None:
        world = await World.make(tmp_path)
        world.kernel.ledger.commit((ev.ProcessPaused(1, PRESSURE),), {})
        await world.settled()
        (row,) = _why(world, 1)
        assert row.kind == "memory"
        assert "unpause 1" in row.help

    asyncio.run(body())


def test_what_works_and_what_has_ended_wait_for_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        world = await World.make(tmp_path)
        assert [row.kind for row in _why(world, 1)] == ["nothing"]
        world.kernel.operator.signal(world.mute.pid, Signal.KILL, uid=0)
        await world.settled()
        assert [row.kind for row in _why(world, world.mute.pid)] == ["ended"]
        with pytest.raises(Esrch):
            _why(world, 99)

    asyncio.run(body())


def test_many_open_calls_are_bounded(tmp_path: Path) -> None:
    async def body() -> None:
        world = await World.make(tmp_path)
        for _ in range(50):
            await world.open("tool_call", "shop.pay", {"order": "wait"})
        rows = _why(world, 1)
        assert len(rows) == 9
        assert rows[-1].text == "42 more calls are open"
        assert len(rows) <= CAUSES_MAX

    asyncio.run(body())
