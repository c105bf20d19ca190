"""An unsafe effect that may have happened is asked about, though its process has ended or gone on without it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Einval, Enoent, KernelError
from prytany.abi.signals import Signal
from prytany.kernel.folding import fold, fold_from_start
from prytany.kernel.views import incident_rows, inspection
from prytany.ports.store import StoreError
from prytany.process.process import State
from prytany.userland.process import Process
from tests.simulation.fleet import StoppingStore
from tests.simulation.looped import looped
from tests.simulation.steered import UID, Home, Steered
from tests.simulation.tools import PATH, CountingTools

GO_ON = "go on"


async def waits(proc: Process, name: str) -> Any:
    return await proc.calls.tool_call(name, {"order": "a"})


def under_way(proc: Process, name: str) -> asyncio.Task[Any]:
    return asyncio.ensure_future(waits(proc, name))


async def fails(proc: Process, name: str) -> None:
    call = under_way(proc, name)
    await proc.receive()
    call.cancel()
    raise ValueError("no")


async def returns(proc: Process, name: str) -> str:
    _ = under_way(proc, name)
    await proc.receive()
    return "done"


async def execs(proc: Process, name: str) -> str:
    if proc.state is not None:
        return "done"
    _ = under_way(proc, name)
    await proc.receive()
    await proc.exec("again")
    return "never"


async def cancels(proc: Process, name: str) -> str:
    """As a time limit does, in a worker."""
    call = under_way(proc, name)
    await proc.receive()
    assert await proc.calls.call_cancel(2)
    await asyncio.gather(call, return_exceptions=True)
    return "done"


async def greedy(proc: Process) -> list[bool]:
    said: list[bool] = []
    for turn in range(4):
        call = under_way(proc, "shop.ship")
        await proc.nop(b"")
        await proc.nop(b"")  # its answer is durable after the start of the tool
        said.append(await proc.calls.call_cancel(4 * turn + 2))
        await asyncio.gather(call, return_exceptions=True)
    return said


async def parent(proc: Process, name: str) -> Any:
    pid = await proc.spawn("waits", name)
    await proc.receive()
    await proc.kill(pid, 9)
    return (await proc.wait(pid)).signal


PROGRAMS = {f.__name__: f for f in (waits, fails, returns, execs, cancels, greedy, parent)}


def home_of() -> tuple[Home, CountingTools]:
    home = Home(PROGRAMS, pledge=("ipc", "proc", "tools"))
    tools = CountingTools()
    tools.gate = asyncio.Event()
    home.tools[PATH] = tools
    return home, tools


def begun(tools: CountingTools, name: str = "shop.ship") -> Callable[[], bool]:
    return lambda: bool(tools.begun[f"{name} a"])


def events_of(home: Home, kind: type) -> list[Any]:
    return [e for entry in home.entries() for e in entry.events if isinstance(e, kind)]


async def killed(k: Steered, pid: int) -> None:
    k.kernel.operator.signal(pid, Signal.KILL, uid=UID)
    await k.ended(pid)


async def told(k: Steered, pid: int) -> None:
    k.kernel.operator.send(pid, GO_ON, None, uid=UID)
    await k.ended(pid)


LEAVINGS: list[tuple[str, Callable[[Steered, int], Awaitable[None]]]] = [
    ("waits", killed), ("fails", told), ("returns", told), ("execs", told), ("cancels", told),
]  # fmt: skip


@pytest.mark.parametrize(("program", "leave"), LEAVINGS)
@looped
async def test_a_call_under_way_that_its_process_leaves_is_asked_about_until_a_person_has_seen_to_it(
    program: str, leave: Callable[[Steered, int], Awaitable[None]]
) -> None:
    home, tools = home_of()
    async with home.life() as k:
        pid = k.spawn(program, "shop.ship")
        await k.until(begun(tools))
        (at,) = (call.seq for call in k.process(pid).open.values() if call.tool)
        await leave(k, pid)
    # It stays over the end of the process, of the run, and of the kernel.
    async with home.life() as k:
        table = k.kernel.table
        assert table.require(pid).state is State.TERMINATED
        (row,) = incident_rows(table)
        assert (row.pid, row.n, row.kind, row.call) == (pid, -at, "abandoned", "tool_call shop.ship")
        assert [r.n for r in inspection(k.kernel.ledger.state, pid, 0).incidents] == [-at]
        for choice in ("retry", "give"):
            with pytest.raises(Einval):
                k.settle(pid, -at, choice, "x" if choice == "give" else None)
        with pytest.raises(Enoent):
            k.settle(pid + 1, -at, "skip")
        k.settle(pid, -at, "skip")
        assert (table.incidents, table.abandoned, table.abandoned_of) == ({}, {}, {})
        with pytest.raises(Enoent):
            k.settle(pid, -at, "skip")
        await k.until(lambda: k.kernel.ledger.journal.durable == k.kernel.ledger.journal.head.seq)
    assert tools.begun == {"shop.ship a": 1}
    assert fold(home.store.reader())[0].digest() == fold_from_start(home.store.reader()).state.digest()
    (closed,) = [e for e in events_of(home, ev.IncidentClosed) if e.kind == "abandoned"]
    assert (closed.n, closed.uid) == (-at, UID)


@pytest.mark.parametrize("name", ["shop.look", "shop.pay"])
@pytest.mark.parametrize(("program", "leave"), LEAVINGS)
@looped
async def test_what_may_be_made_again_is_in_no_doubt(
    program: str, leave: Callable[[Steered, int], Awaitable[None]], name: str
) -> None:
    home, tools = home_of()
    async with home.life() as k:
        pid = k.spawn(program, name)
        await k.until(begun(tools, name))
        await leave(k, pid)
        assert k.kernel.table.incidents == {}
    assert events_of(home, ev.CallAbandoned) == []


@looped
async def test_a_call_that_waited_for_its_turn_is_in_no_doubt() -> None:
    home, tools = home_of()
    async with home.life() as k:
        first, second = k.spawn("waits", "shop.pay"), k.spawn("waits", "shop.ship")
        await k.until(begun(tools, "shop.pay"))
        await k.until(lambda: bool(k.process(second).open))
        await killed(k, second)
        await killed(k, first)
        assert k.kernel.table.incidents == {}
    assert tools.begun["shop.ship a"] == 0


@looped
async def test_the_doubt_of_a_child_outlives_its_place_in_the_table() -> None:
    home, tools = home_of()
    async with home.life() as k:
        pid = k.spawn("parent", "shop.ship")
        await k.until(begun(tools))
        await told(k, pid)
        assert k.kernel.table.get(pid + 1) is None
        (row,) = incident_rows(k.kernel.table)
        assert (row.pid, row.kind, row.name) == (pid + 1, "abandoned", "waits")
        k.settle(row.pid, row.n, "skip")
        assert incident_rows(k.kernel.table) == []


@looped
async def test_what_was_in_doubt_already_stays_asked_about_when_its_process_is_killed() -> None:
    home, tools = home_of()
    tools.deaths["shop.ship"] = 1
    assert tools.gate is not None
    tools.gate.set()
    async with home.life() as k:
        pid = k.spawn("waits", "shop.ship")
        await k.incident(pid, 1)
        at = k.process(pid).open[1].seq
        await killed(k, pid)
        assert list(k.kernel.table.incidents) == [f"{pid}:abandoned:{-at}"]


@pytest.mark.parametrize("resumed", [False, True])
@looped
async def test_what_was_under_way_in_a_crash_and_is_killed_while_nothing_runs_is_asked_about(resumed: bool) -> None:
    home, tools = home_of()
    async with home.life() as k:
        pid = k.spawn("waits", "shop.ship")
        await k.until(begun(tools))
    if resumed:
        async with home.life() as k:
            await k.incident(pid, 1)
    async with home.life(idle=True) as k:
        k.kernel.operator.signal(pid, Signal.KILL, uid=UID)
    async with home.life() as k:
        assert [row.kind for row in incident_rows(k.kernel.table)] == ["abandoned"]
    assert tools.begun == {"shop.ship a": 1}


@looped
async def test_what_nobody_waits_for_is_bounded_and_a_person_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ABANDONED_MAX", 2)
    home, tools = home_of()
    async with home.life() as k:
        pid = k.spawn("greedy")
        assert (await k.ended(pid))["result"] == [True, True, False, False]
        assert tools.begun["shop.ship a"] == 2
        other = k.spawn("waits", "shop.ship")
        await k.until(lambda: tools.begun["shop.ship a"] == 3)
        await killed(k, other)
        assert k.kernel.table.abandoned_of == {pid: 2, other: 1}
        k.settle(pid, incident_rows(k.kernel.table)[0].n, "skip")
        assert k.kernel.table.abandoned_of == {pid: 1, other: 1}
        monkeypatch.setattr(limits, "ABANDONED_ALL_MAX", 2)
        assert (await k.ended(k.spawn("greedy")))["result"] == [False] * 4, "nor do all runs together go beyond theirs"


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_kernel_that_stops_at_any_append_around_a_kill_loses_no_doubt(after_commit: bool) -> None:
    asked_as: set[str] = set()
    for stop_at in range(3, 7):
        home, tools = home_of()
        home.store = StoppingStore(home.store, stop_at, after_commit=after_commit)
        asyncio.run(asyncio.wait_for(crash(home, tools), 20))
        home.store = StoppingStore(home.store, 0, after_commit=False)
        begun_once = tools.begun["shop.ship a"]
        asked = events_of(home, ev.CallAbandoned)
        if not asked and begun_once:
            asyncio.run(asyncio.wait_for(come_back(home), 20))
            asked = events_of(home, ev.CallDoubted)
        assert len(asked) == begun_once == tools.begun["shop.ship a"], f"stopped at {stop_at}"
        asked_as |= {type(e).__name__ for e in asked}
    # Where the entry of the kill is the first that is lost, nobody has decided to abandon the call.
    assert asked_as == ({"CallAbandoned"} if after_commit else {"CallAbandoned", "CallDoubted"})


async def crash(home: Home, tools: CountingTools) -> None:
    """The kernel of a process that is killed in the middle of its call stops at an append, if it comes to that one."""
    with suppress(StoreError, KernelError):
        async with home.life() as k:
            stopped = asyncio.ensure_future(k.stopped())
            going = asyncio.ensure_future(until_killed(k, tools))
            await asyncio.wait([stopped, going], return_when=asyncio.FIRST_COMPLETED)
            for task in (stopped, going):
                task.cancel()
            await asyncio.gather(stopped, going, return_exceptions=True)


async def until_killed(k: Steered, tools: CountingTools) -> None:
    pid = k.spawn("waits", "shop.ship")
    await k.until(begun(tools))
    await killed(k, pid)


async def come_back(home: Home) -> None:
    async with home.life() as k:
        await k.incident(1, 1)
