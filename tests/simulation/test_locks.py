"""Robots that share a corridor by locks, meet in it, and back off: the machine goes out at every entry in turn."""

from __future__ import annotations

import asyncio
from random import Random  # noqa: TID251 seeded
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Edeadlk, KernelError
from prytany.abi.signals import Signal
from prytany.kernel.kernel import Kernel
from prytany.testing.virtual_shard import VirtualShard, passes
from prytany.userland.process import Process

CELLS = 3


async def robot(proc: Process, west: bool) -> int:
    """Through the corridor, cell by cell: the next is locked before the last is left. How often it backed off."""
    cells = [f"corridor/{cell}" for cell in (range(CELLS) if west else reversed(range(CELLS)))]
    for backed_off in range(20):
        behind = None
        try:
            for cell in cells:
                lock = proc.lock(cell)
                await lock.acquire()
                await proc.sleep(1 + proc.random())
                if behind is not None:
                    await behind.release()
                behind = lock
            assert behind is not None
            await behind.release()
            return backed_off
        except Edeadlk:
            assert behind is not None
            await behind.release()
            await proc.sleep(3 * proc.random())
    raise AssertionError("it never got through")


async def corridor(proc: Process, robots: int) -> list[Any]:
    pids = [await proc.spawn("robot", bool(number % 2)) for number in range(robots)]
    return [(await proc.wait(pid)).result for pid in pids]


def shard(**programs: Any) -> VirtualShard:
    return VirtualShard({"robot": robot, "corridor": corridor, **programs}, {}, pledge=("proc", "ipc"))


def held(shard: VirtualShard) -> int:
    """Looks through a journal: what one has alone no other has, and each grant's number is above all before. How many
    grants there were."""
    having: dict[tuple[str, str], int] = {}
    wanted: dict[tuple[int, int], ev.LockClaimed] = {}
    granted: dict[tuple[int, int], list[tuple[str, str]]] = {}
    fences = 0

    def grant(claimed: ev.LockClaimed, fence: int) -> None:
        nonlocal fences
        assert fence > fences
        fences = fence
        for name in () if claimed.permits else claimed.names:
            assert (claimed.scope, name) not in having, f"process {claimed.pid} has what another has"
            having[claimed.scope, name] = claimed.pid
        granted[claimed.pid, fence] = [] if claimed.permits else [(claimed.scope, name) for name in claimed.names]

    for event in (event for entry in shard.entries() for event in entry.events):
        match event:
            case ev.LockClaimed(fence=0):
                wanted[event.pid, event.n] = event
            case ev.LockClaimed():
                grant(event, event.fence)
            case ev.LockGranted():
                grant(wanted.pop((event.pid, event.n)), event.fence)
            case ev.LockReleased():
                for key in granted.pop((event.pid, event.fence)):
                    del having[key]
            case ev.ProcessExited() | ev.ProcessFailed() | ev.ProcessExeced():
                for pid, fence in [key for key in granted if key[0] == event.pid]:
                    for key in granted.pop((pid, fence)):
                        del having[key]
            case _:
                pass
    assert not having, "something was held to the end"
    return fences


def test_robots_that_meet_in_a_corridor_get_through_wherever_the_machine_goes_out() -> None:
    async def cross(kernel: Kernel) -> Any:
        root = next(iter(kernel.table.processes), 0) or undisturbed.spawn(kernel, "corridor", 3)
        ended = await kernel.operator.wait_ended(root)
        assert kernel.state.locks.lines == {}
        assert kernel.state.locks.claims == {}
        return ended["result"]

    undisturbed = shard()
    assert sum(undisturbed.run(cross)) > 0, "they never met: this tries nothing"
    held(undisturbed)
    found = undisturbed.events(ev.DeadlockFound)
    assert all(len(event.pids) == 2 for event in found)
    last = undisturbed.store.reader().head()
    undisturbed.loop.close()
    assert last is not None
    for stop_at in range(2, last.seq):
        world = undisturbed = shard()
        assert world.run(cross, stop_at) is None
        result = world.run(cross)
        assert len(result) == 3, stop_at
        held(world)
        world.loop.close()


async def taker(proc: Process, seed: int) -> int:
    """Takes and leaves locks at random, several at once, shared and alone, and semaphores; some of it in a hurry."""
    draw, done = Random(seed), 0
    for _ in range(6):
        names = draw.sample(["a", "b", "c"], draw.randint(1, 3))
        kind = draw.random()
        timeout_ms = draw.choice([0, 0, 0, 700])
        if kind < 0.3:
            lock = proc.semaphore("s", 2, timeout_ms=timeout_ms)
        elif kind < 0.6:
            lock = proc.locks(*names[1:], shared=names[:1], timeout_ms=timeout_ms)
        else:
            lock = proc.lock(names[0], timeout_ms=timeout_ms)
        try:
            async with lock:
                await proc.sleep(draw.random())
                if draw.random() < 0.4:
                    async with proc.lock(draw.choice(["a", "b", "c", "d"]), shared=draw.random() < 0.5):
                        await proc.sleep(draw.random())
                if draw.random() < 0.05:
                    raise RuntimeError("told to fail")
                done += 1
        except KernelError:
            await proc.sleep(draw.random())
    return done


@pytest.mark.parametrize("seed", range(12))
def test_whoever_is_killed_stopped_or_fails_everything_is_free_at_the_end(seed: int) -> None:
    world = shard(taker=taker)
    draw = Random(seed)

    async def live(kernel: Kernel) -> bool:
        if not kernel.table.processes:
            for number in range(8):
                world.spawn(kernel, "taker", seed * 100 + number, restarts=number % 2)
        pids = list(kernel.table.processes)
        while any(kernel.table.require(pid).alive for pid in pids):
            await passes(draw.uniform(0.05, 0.8))
            alive = [pid for pid in pids if kernel.table.require(pid).alive]
            if not alive:
                break
            signal = draw.choice([Signal.KILL, Signal.TERM, Signal.STOP, Signal.CONT, Signal.CONT, Signal.CONT])
            chosen = draw.choice(alive)
            if signal in (Signal.STOP, Signal.CONT) or draw.random() < 0.1:
                kernel.operator.signal(chosen, signal, uid=0)
            for pid in alive:
                if signal is Signal.CONT and kernel.table.require(pid).alive:
                    kernel.operator.signal(pid, Signal.CONT, uid=0)
        await kernel.wait_durable(kernel.ledger.journal.head.seq)
        locks = kernel.state.locks
        assert (locks.lines, locks.claims, locks.waiting, locks.held, locks.due) == ({}, {}, {}, {}, {})
        return True

    for _ in range(6):
        if world.run(live, len(world.entries()) + draw.randint(5, 60)):
            break
    else:
        assert world.run(live)
    assert held(world) > 10
    world.loop.close()


def test_a_cancelled_wait_and_a_grant_that_nobody_saw_leave_nothing_held() -> None:
    async def hurried(proc: Process) -> str:
        async with proc.lock("a"):
            pass
        try:
            async with asyncio.timeout(2):
                await proc.lock("held").acquire()
        except TimeoutError:
            return "gave up"
        return "had it"

    async def holder(proc: Process) -> None:
        async with proc.lock("held"):
            await proc.sleep(10)

    async def both(proc: Process) -> Any:
        first = await proc.spawn("holder")
        await proc.sleep(0.5)
        result = await proc.run("hurried")
        await proc.wait(first)
        return result

    world = shard(hurried=hurried, holder=holder, both=both)

    async def live(kernel: Kernel) -> Any:
        ended = await kernel.operator.wait_ended(world.spawn(kernel, "both"))
        assert kernel.state.locks.claims == {}
        return ended["result"]

    assert world.run(live) == "gave up"
    world.loop.close()


async def crossing(proc: Process, first: str, then: str, before: float, timeout_ms: int = 0) -> str:
    async with proc.lock(first):
        await proc.sleep(before)
        try:
            async with proc.lock(then, timeout_ms=timeout_ms):
                return "had both"
        except KernelError as error:
            return error.errno


def crossed(first: dict[str, Any], second: dict[str, Any], stops: bool = False, timeout_ms: int = 0) -> list[str]:
    """Two that want what the other has; the first waits first, and may be stopped by then. How each ended."""
    world = shard(crossing=crossing)

    async def live(kernel: Kernel) -> list[str]:
        root = world.spawn(kernel, "pair", first, second, timeout_ms)
        ended = asyncio.ensure_future(kernel.operator.wait_ended(root))
        if stops:
            await passes(3)
            kernel.operator.signal(root + 1, Signal.STOP, uid=0)
            await passes(10)
            kernel.operator.signal(root + 1, Signal.CONT, uid=0)
        return list((await ended)["result"])

    async def pair(proc: Process, first: dict[str, Any], second: dict[str, Any], timeout_ms: int) -> list[Any]:
        one = await proc.spawn("crossing", "a", "b", 1, **first)
        two = await proc.spawn("crossing", "b", "a", 5, timeout_ms, **second)
        return [(await proc.wait(pid)).result for pid in (one, two)]

    world.programs["pair"] = pair
    said: list[str] = world.run(live)
    (found,) = world.events(ev.DeadlockFound)
    assert sorted(found.pids) == [2, 3]
    held(world)
    world.loop.close()
    return said


def test_the_lowest_class_gives_way_and_else_who_began_to_wait_last() -> None:
    assert crossed({}, {}) == ["had both", "EDEADLK"]
    assert crossed({"qos": "background"}, {}) == ["EDEADLK", "had both"]
    assert crossed({}, {"qos": "background"}) == ["had both", "EDEADLK"]


def test_a_time_limit_is_no_way_to_go_on_and_a_stop_changes_nothing() -> None:
    assert crossed({}, {}, timeout_ms=60_000) == ["had both", "EDEADLK"]
    assert crossed({}, {}, stops=True) == ["had both", "EDEADLK"]
