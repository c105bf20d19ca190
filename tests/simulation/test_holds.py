"""What a tool needs is held over several calls: others wait, its holder goes through, wherever the kernel stops."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prytany.abi.errors import Edeadlk, KernelError
from prytany.userland.process import Process
from tests.simulation.fleet import StoppingStore
from tests.simulation.steered import Home
from tests.simulation.tools import PATH, CountingTools


async def shopper(proc: Process, number: int) -> list[str]:
    """Two calls that belong together, of the same order as everybody's."""
    said: list[str] = []
    async with proc.tools.hold("shop.pay", order="a"):
        for _ in range(2):
            said.append(await proc.tools.shop.pay(order="a"))
    said.append(await proc.tools.shop.pay(order="a"))
    return said


async def shoppers(proc: Process) -> list[Any]:
    pids = [await proc.spawn("shopper", number) for number in range(3)]
    return [(await proc.wait(pid)).result for pid in pids]


async def crossed(proc: Process, mine: str, other: str) -> str:
    async with proc.tools.hold("shop.pay", order=mine):
        await proc.calls.timer_wait(0)
        for _ in range(20):
            await proc.nop()
        try:
            return str(await proc.tools.shop.pay(order=other))
        except Edeadlk as error:
            return f"{len(error.detail['cycle'])}"  # type: ignore[arg-type]


async def crossing(proc: Process) -> list[Any]:
    pids = [await proc.spawn("crossed", *way) for way in (("a", "b"), ("b", "a"))]
    return sorted([(await proc.wait(pid)).result for pid in pids])


def home_of() -> tuple[Home, CountingTools]:
    programs = {"shopper": shopper, "shoppers": shoppers, "crossed": crossed, "crossing": crossing}
    home = Home(programs, pledge=("tools", "proc", "ipc"))
    tools = CountingTools()
    home.tools[PATH] = tools
    return home, tools


def lived(home: Home, program: str) -> Any:
    async def life() -> Any:
        async with home.life() as kernel:
            if not kernel.kernel.table.processes:
                kernel.spawn(program)
            ended = await kernel.ended(1)
            turns = kernel.kernel.turns
            assert (turns.calls, turns.queues, turns.holds, turns.due) == ({}, {}, {}, {})
            return ended["result"]

    return asyncio.run(asyncio.wait_for(life(), 20))


def test_calls_that_belong_together_follow_each_other_wherever_the_kernel_stops() -> None:
    home, tools = home_of()
    done = ["shop.pay a done"] * 3
    assert lived(home, "shoppers") == [done] * 3
    assert tools.most == 1
    head = home.store.reader().head()
    assert head is not None
    for stop_at in range(2, head.seq + 1, 2):
        home, tools = home_of()
        home.store = StoppingStore(home.store, stop_at, after_commit=bool(stop_at % 4))

        async def crash(home: Home = home) -> None:
            async with home.life() as kernel:
                kernel.spawn("shoppers")
                await kernel.stopped()

        with pytest.raises(Exception, match=f"at {stop_at}"):
            asyncio.run(asyncio.wait_for(crash(), 20))
        home.store = StoppingStore(home.store, 0, after_commit=False)
        assert lived(home, "shoppers") == [done] * 3, stop_at
        assert tools.most == 1, stop_at


def test_who_holds_what_the_other_wants_is_a_deadlock() -> None:
    home, _ = home_of()
    size, paid = lived(home, "crossing")
    assert size == "2"
    assert paid in ("shop.pay a done", "shop.pay b done")


def test_what_is_held_is_free_when_its_holder_fails_or_is_killed() -> None:
    async def greedy(proc: Process, how: str) -> None:
        await proc.calls.tool_hold("shop.pay", {"order": "a"})
        if how == "raise":
            raise RuntimeError("told to")
        await proc.receive()

    async def next_(proc: Process) -> Any:
        said = []
        for how in ("raise", "kill"):
            pid = await proc.spawn("greedy", how)
            for _ in range(20):
                await proc.nop()
            if how == "kill":
                await proc.kill(pid, 9)
            said.append(await proc.tools.shop.pay(order="a"))
            await proc.wait(pid)
        try:
            await proc.calls.tool_hold("shop.look", {"order": "a"})
        except KernelError as error:
            said.append(error.errno)
        return [*said, await proc.calls.tool_release(999)]

    home = Home({"greedy": greedy, "next": next_}, pledge=("tools", "proc", "ipc"))
    home.tools[PATH] = CountingTools()
    assert lived(home, "next") == ["shop.pay a done"] * 2 + ["EINVAL", False]
