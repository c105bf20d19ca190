"""Bytes a second, in virtual time: calls wait in order and none is refused; it is seen, and survives a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Eio, KernelError
from prytany.abi.qos import Qos
from prytany.abi.signals import Signal
from prytany.kernel.fleets import Agent
from prytany.kernel.outcome import Program
from prytany.process.process import PACED, State
from prytany.testing.virtual_time import VirtualLoop
from prytany.userland.process import Process
from tests.simulation.steered import UID, Home, Steered
from tests.simulation.tools import PATH, CountingTools

RATE = 1_000
SIZE = 1_000


class SlowDisk:
    """Files of any name and size; notes when each was touched."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.touched: list[tuple[str, float]] = []

    def _touch(self, path: str) -> None:
        self.touched.append((path, round(self.loop.time(), 1)))

    async def read(self, unveil: dict[str, str], path: str) -> bytes:
        self._touch(path)
        if path == "bad":
            raise Eio("the disk failed")
        return b"x" * SIZE

    async def write(self, unveil: dict[str, str], path: str, data: bytes) -> int:
        self._touch(path)
        return len(data)

    async def list(self, unveil: dict[str, str], path: str) -> list[str]:
        self._touch(path)
        return ["a", "b"]


async def reads(proc: Process, who: str, times: int) -> list[int]:
    return [len(await proc.calls.file_read(f"{who}{n}")) for n in range(times)]


async def writes(proc: Process, who: str, times: int) -> int:
    await asyncio.gather(*(proc.calls.file_write(f"{who}{n}", b"x" * SIZE) for n in range(times)))
    return times


async def pays(proc: Process, order: str, times: int) -> list[Any]:
    said: list[Any] = []
    for _ in range(times):
        try:
            said.append(await proc.calls.tool_call("shop.ship", {"order": order}))
        except KernelError as error:
            said.append(error.errno)
    return said


async def parent(proc: Process, who: str, times: int) -> int:
    children = [await proc.spawn("x:reads", f"{who}{n}.", times) for n in range(3)]
    ended = [await proc.wait(pid) for pid in children]
    return len([size for end in ended for size in end.result])


async def gives_up(proc: Process, who: str) -> list[str]:
    await proc.calls.file_write(f"{who}0", b"x" * SIZE)
    second = asyncio.ensure_future(proc.calls.file_write(f"{who}1", b"x" * SIZE))
    await proc.nop()
    await proc.calls.call_cancel(3)
    try:
        await second
    except KernelError as error:
        return [error.errno]
    return ["written"]


PROGRAMS = {f.__name__: f for f in (reads, writes, pays, parent, gives_up)}
PROGRAMS["x:reads"] = reads
PLEDGE = ("files.read", "files.write", "proc", "tools")


def agent(name: str, rate: int = RATE, program: str = "") -> Agent:
    found = Program(program or name, program or name, b"# x", PLEDGE)
    return Agent(name, "inline", found, tools=["shop.ship"], bytes_per_second=rate)


@pytest.fixture
def world() -> Iterator[World]:
    loop = VirtualLoop()
    yield World(loop)
    loop.close()


class World:
    """A home in virtual time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.home = Home(PROGRAMS, pledge=PLEDGE, places=2)
        self.home.virtual = self.loop
        self.disk = self.home.files = SlowDisk(self.loop)
        self.tools = self.home.tools[PATH] = CountingTools()

    def run(self, test: Callable[[Steered], Awaitable[Any]]) -> Any:
        async def life() -> Any:
            async with self.home.life() as kernel:
                return await test(kernel)

        return self.loop.run_until_complete(life())

    def seconds(self, who: str) -> list[int]:
        return [round(at - 0.01) for path, at in self.disk.touched if path.startswith(who)]


def declare(steered: Steered, *agents: Agent, number: int = 0, rate: int = 0) -> int:
    return steered.kernel.fleet_operator.declare(
        "small", agents, models={}, tools=[PATH], resolved=b"{}", uid=UID, number=number, stays=True,
        bytes_per_second=rate,
    )  # fmt: skip


def start(steered: Steered, number: int, name: str, *args: Any, qos: Qos = Qos.INITIATED) -> int:
    return steered.kernel.fleet_operator.start(number, name, list(args), {}, uid=UID, qos=qos)


def nobody(steered: Steered) -> bool:
    """Whether nobody waits or is under way."""
    flows = steered.kernel.paced._flows
    return (flows._where, flows.next_ns()) == ({}, None)


async def passes(seconds: float) -> None:
    await asyncio.sleep(seconds)  # noqa: TID251 virtual


def test_reads_come_at_the_rate_and_none_is_refused_and_an_agent_without_one_is_not_kept(world: World) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("reads"), agent("free", 0, "reads"))
        pids = [start(steered, number, "reads", "r", 6), start(steered, number, "free", "f", 20)]
        results = [(await steered.ended(pid))["result"] for pid in pids]
        assert results == [[SIZE] * 6, [SIZE] * 20]

    world.run(test)
    assert world.seconds("f") == [0] * 20
    assert world.seconds("r") == [0, 1, 2, 3, 4, 5]


def test_writes_at_once_wait_in_order_and_it_is_seen_why(world: World) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("writes"))
        pid = start(steered, number, "writes", "w", 5)
        await passes(1.5)
        process = steered.process(pid)
        assert process.shown_state() == (State.WAITING, PACED)
        assert [call.paced for call in process.open.values()] == [True, True, True]
        assert not process.needs_place()
        assert steered.kernel.places.free == 2
        assert (await steered.ended(pid))["result"] == 5

    world.run(test)
    assert [path for path, _ in world.disk.touched] == [f"w{n}" for n in range(5)]
    assert world.seconds("w") == [0, 1, 2, 3, 4]
    paced = [e for entry in world.home.entries() for e in entry.events if isinstance(e, ev.CallPaced)]
    assert [(e.n, e.waits) for e in paced if e.waits] == [(n, True) for n in range(2, 6)]
    assert [(e.n, e.waits) for e in paced if not e.waits] == [(n, False) for n in range(2, 6)]


def test_who_spawns_more_of_itself_gets_no_more(world: World) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("parent"))
        ended = await steered.ended(start(steered, number, "parent", "p", 4))
        assert ended["result"] == 12, ended

    world.run(test)
    assert 9 <= max(world.seconds("p")) <= 11


def test_a_tool_begins_at_the_rate_and_who_waits_for_it_keeps_nobody_from_its_resource(
    world: World,
) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("pays", 20), agent("free", 0, "pays"))
        slow = start(steered, number, "pays", "same", 8)
        await passes(0.5)
        quick = start(steered, number, "free", "same", 3)
        assert (await steered.ended(quick))["result"] == ["shop.ship same done"] * 3
        assert steered.process(slow).alive
        assert (await steered.ended(slow))["result"] == ["shop.ship same done"] * 8

    world.run(test)
    assert world.tools.most == 1
    assert world.loop.time() > 10


def test_a_call_that_is_cancelled_while_it_waits_is_not_made_and_keeps_nobody_waiting(world: World) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("gives_up", 10))
        pid = start(steered, number, "gives_up", "g")
        assert (await steered.ended(pid))["result"] == ["ECANCELED"]
        assert nobody(steered)

    world.run(test)
    assert [path for path, _ in world.disk.touched] == ["g0"]
    assert world.loop.time() < 5


def test_one_that_is_killed_while_it_waits_leaves_nothing_behind(world: World) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("writes", 1))
        pid = start(steered, number, "writes", "w", 50)
        await passes(1)
        steered.kernel.operator.signal(pid, Signal.KILL, uid=UID)
        await steered.ended(pid)
        assert nobody(steered)

    world.run(test)
    assert world.loop.time() < 5


def test_who_was_paused_meanwhile_makes_its_call_when_it_goes_on(world: World) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("reads"))
        pid = start(steered, number, "reads", "r", 4)
        await passes(0.5)
        steered.kernel.operator.signal(pid, Signal.STOP, uid=UID)
        await passes(20)
        assert len(world.disk.touched) == 1
        steered.kernel.operator.signal(pid, Signal.CONT, uid=UID)
        assert (await steered.ended(pid))["result"] == [SIZE] * 4

    world.run(test)
    assert world.seconds("r") == [0, 20, 21, 22]


def test_a_rate_that_is_raised_lets_those_go_on_who_wait(world: World) -> None:

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("writes", 1))
        pid = start(steered, number, "writes", "w", 4)
        await passes(2)
        assert len(world.disk.touched) == 1
        declare(steered, agent("writes", 0), number=number)
        assert (await steered.ended(pid))["result"] == 4

    world.run(test)
    assert world.loop.time() < 5


def test_what_waited_waits_on_after_a_crash_in_order_and_an_unsafe_tool_is_not_in_doubt(world: World) -> None:
    pids: list[int] = []

    async def first(steered: Steered) -> None:
        number = declare(steered, agent("reads", 500), agent("pays", 5))
        pids.extend([start(steered, number, "reads", f"r{n}.", 3) for n in range(3)])
        pids.append(start(steered, number, "pays", "o", 2))
        await passes(1)

    async def second(steered: Steered) -> list[Any]:
        assert {steered.process(pid).shown_state() for pid in pids} == {(State.WAITING, PACED)}
        await passes(0.1)
        calls = [call for pid in pids[:3] for call in steered.process(pid).open.values()]
        assert [call.paced for call in calls].count(True) >= 2, "one of them begins, as in a life that begins"
        return [(await steered.ended(pid))["result"] for pid in pids]

    world.run(first)
    assert sum(world.tools.begun.values()) == 1
    assert world.run(second) == [*[[SIZE] * 3] * 3, ["shop.ship o done"] * 2]
    assert sum(world.tools.begun.values()) == 2
    assert sorted(path for path, _ in world.disk.touched) == [f"r{n}.{m}" for n in range(3) for m in range(3)]
    assert not [e for entry in world.home.entries() for e in entry.events if isinstance(e, ev.CallDoubted)]


def test_a_file_that_cannot_be_read_is_an_error_after_it_has_waited(world: World) -> None:

    async def bad(proc: Process) -> str:
        await proc.calls.file_read("good")
        await proc.calls.file_read("good")
        try:
            await proc.calls.file_read("bad")
        except KernelError as error:
            return error.errno
        return ""

    world.home.programs["bad"] = bad

    async def test(steered: Steered) -> None:
        number = declare(steered, agent("bad"))
        assert (await steered.ended(start(steered, number, "bad")))["result"] == "EIO"

    world.run(test)
