"""Pools at work: a message goes to the member that has waited longest; there are more members where many wait, at once,
and one less where none has come for a while.

Who is ended then waits for a message, so that it has nothing in hand. Each decision is an event.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Protocol

from prytany.abi import events as ev
from prytany.abi import supervision as words
from prytany.abi.errors import KernelError
from prytany.abi.signals import Signal
from prytany.ipc.pools import Pool
from prytany.kernel.alarm import Alarm
from prytany.kernel.fleet_trees import Core as TreesCore
from prytany.kernel.fleet_trees import add_to_tree
from prytany.kernel.handlers.receiving import hand_passed
from prytany.ports.clock import Clock
from prytany.process.process import Process, State


class Core(TreesCore, Protocol):
    """The kernel, as pools see it."""

    closing: bool


def fill_pools(k: Core) -> bool:
    """Hand a message of a pool to a member that waits, or let the pool grow; False where nothing is due."""
    pools = k.state.pools
    if not pools.due:
        return False
    pool = pools.pools[next(iter(pools.due))]
    if pool.free:
        _pass(k, pool)
    else:
        _grow(k, pool)
    return True


def _pass(k: Core, pool: Pool) -> None:
    pid = next(iter(pool.free))
    p, box = k.table.require(pid), k.post.box(pid)
    if p.state is not State.RUNNING or box.awaiting not in p.open:
        k.ledger.commit((ev.MemberBusy(pid),), {})
        return
    message = next(iter(k.post.box(pool.pid).waiting.values()))
    events, content = hand_passed(k, p, box.awaiting, message)
    passed = ev.MessagePassed(message.number, pool.pid, pid)
    k.ledger.commit((passed, *events), {k.digest(content): content}, payer=pid)


def _grow(k: Core, pool: Pool) -> None:
    waiting, there = len(k.post.box(pool.pid).waiting), len(pool.members)
    group = k.table.require(pool.pid)
    more = pool.wanted(waiting) - there
    own = k.state.trees.supervisors.get(pool.pid)
    try:
        if own is None or own.after or group.state is not State.RUNNING:
            raise KernelError("it is being ended")
        k.ledger.commit((ev.PoolScaled(pool.pid, there + more, waiting),), {}, payer=0)
        add_to_tree(k, group, [pool.agent] * more, uid=-1, model=_model(k, pool))
    except KernelError:
        k.ledger.commit((ev.PoolScaled(pool.pid, there, waiting, full=True),), {}, payer=0)


def _model(k: Core, pool: Pool) -> str:
    """What its members ask: what they have been given so far."""
    return next((k.table.require(pid).model for pid in pool.members), "")


class PoolTimes:
    """When pools have been idle for long."""

    def __init__(self, kernel: Core, clock: Clock, lost: Callable[[asyncio.Task[None]], None]) -> None:
        self._k = kernel
        self._alarm = Alarm(clock, self._ring, lost)
        self._at: list[tuple[int, int]] = []
        self._set: set[int] = set()

    def begin(self) -> None:
        """A kernel goes on."""
        for pid in self._k.state.pools.pools:
            self.look(pid)

    def look(self, pid: int) -> None:
        """It has more members than it needs at the least, perhaps."""
        pool = self._k.state.pools.pools.get(pid)
        if pool is not None and pid not in self._set and len(pool.members) > pool.least:
            self._set.add(pid)
            heapq.heappush(self._at, (max(pool.busy_ns, self._k.now_ns()) + pool.idle_ms * 1_000_000, pid))
            self._alarm.set(self._at[0][0])

    async def close(self) -> None:
        """Nobody is ended any more."""
        await self._alarm.close()

    def _ring(self) -> None:
        now_ns = self._k.now_ns()
        while self._at and self._at[0][0] <= now_ns and not self._k.closing:
            pid = heapq.heappop(self._at)[1]
            self._set.discard(pid)
            self._due(pid, now_ns)
        self._alarm.set(self._at[0][0] if self._at else None)

    def _due(self, pid: int, now_ns: int) -> None:
        pool = self._k.state.pools.pools.get(pid)
        if pool is None:
            return
        quiet = pool.busy_ns + pool.idle_ms * 1_000_000 <= now_ns
        if quiet and not self._k.post.box(pid).waiting and pool.free and len(pool.members) > pool.least:
            self._end(pool, self._k.table.require(next(reversed(pool.free))), now_ns)
        self.look(pid)

    def _end(self, pool: Pool, p: Process, now_ns: int) -> None:
        k = self._k
        if p.state is not State.RUNNING:
            k.ledger.commit((ev.MemberBusy(p.pid),), {})
            return
        grace_ns = k.state.trees.children[p.pid].shutdown_ms * 1_000_000
        k.ledger.commit(
            (
                ev.PoolScaled(pool.pid, len(pool.members) - 1, 0),
                ev.MemberBusy(p.pid),
                ev.ChildDropped(p.pid),
                ev.ChildTold(p.pid, now_ns + max(grace_ns, words.PROGRESS_MS_MIN)),
                ev.ProcessSignalled(p.pid, Signal.TERM, pool.pid, p.tail),
            ),
            {},
        )
