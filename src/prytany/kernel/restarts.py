"""Restarts: who failed begins again when its time has come, also when the kernel went down meanwhile."""

from __future__ import annotations

import asyncio
from typing import Protocol

from prytany.abi import events as ev
from prytany.abi.supervision import HELD_NS
from prytany.kernel.pools import Core as WithFleets
from prytany.kernel.pools import PoolTimes
from prytany.kernel.progress import Core as WithWorkers
from prytany.kernel.progress import Progress
from prytany.kernel.trees import Core, TreeTimes
from prytany.ports.clock import Clock


class Owner(WithFleets, Core, WithWorkers, Protocol):
    """The kernel, as restarts see it."""

    def note(self, events: tuple[ev.Event, ...]) -> None:
        """Record events."""
        ...


class Restarts:
    """Timers of processes that failed. The times themselves are in the table."""

    def __init__(self, clock: Clock, owner: Owner) -> None:
        self._clock = clock
        self._owner = owner
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._closing = False
        self.times = TreeTimes(owner, clock, owner.lost)
        self.progress = Progress(owner, clock, owner.lost)
        self.pools = PoolTimes(owner, clock, owner.lost)

    def begin(self) -> None:
        """A kernel goes on: who was to begin again still is, and who was being ended still is."""
        for pid in self._owner.table.restarting:
            self.schedule(pid)
        self.times.begin()
        self.progress.begin()
        self.pools.begin()

    def schedule(self, pid: int) -> None:
        """Let `pid` begin again at the time that the table says; one that is held does when its supervisor says so."""
        until_ns = self._owner.table.restarting.get(pid, HELD_NS)
        if not self._closing and pid not in self._tasks and until_ns != HELD_NS:
            task = self._tasks[pid] = asyncio.ensure_future(self._restart(pid))
            task.add_done_callback(lambda done: self._ended(pid))
            task.add_done_callback(self._owner.lost)

    async def _restart(self, pid: int) -> None:
        # It may have been stopped, continued and failed again since: then it has another time.
        while (until_ns := self._owner.table.restarting.get(pid, HELD_NS)) != HELD_NS:
            await self._clock.sleep_until(until_ns)
            if self._owner.table.restarting.get(pid) == until_ns:
                self._owner.note((ev.ProcessReady(pid, self._owner.table.require(pid).incarnation),))
                return

    def _ended(self, pid: int) -> None:
        del self._tasks[pid]
        self.schedule(pid)

    async def close(self) -> None:
        """Stop; the next kernel goes on."""
        await self.times.close()
        await self.progress.close()
        await self.pools.close()
        self._closing = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
