"""Restarts: who failed begins again when its time has come, also when the kernel went down meanwhile."""

from __future__ import annotations

import asyncio
from typing import Protocol

from prytany.abi import events as ev
from prytany.ports.clock import Clock
from prytany.process.table import Table


class Owner(Protocol):
    """The kernel, as restarts see it."""

    @property
    def table(self) -> Table:
        """The process table."""
        ...

    def note(self, events: tuple[ev.Event, ...]) -> None:
        """Record events."""
        ...

    def lost(self, task: asyncio.Task[None]) -> None:
        """A task has ended; what it raised stops the kernel."""
        ...


class Restarts:
    """Timers of processes that failed. The times themselves are in the table."""

    def __init__(self, clock: Clock, owner: Owner) -> None:
        self._clock = clock
        self._owner = owner
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._closing = False

    def schedule(self, pid: int) -> None:
        """Let `pid` begin again at the time that the table says."""
        if not self._closing and pid not in self._tasks and pid in self._owner.table.restarting:
            task = self._tasks[pid] = asyncio.ensure_future(self._restart(pid))
            task.add_done_callback(lambda done: self._ended(pid))
            task.add_done_callback(self._owner.lost)

    async def _restart(self, pid: int) -> None:
        # It may have been stopped, continued and failed again since: then it has another time.
        while (until_ns := self._owner.table.restarting.get(pid)) is not None:
            await self._clock.sleep_until(until_ns)
            if self._owner.table.restarting.get(pid) == until_ns:
                self._owner.note((ev.ProcessReady(pid, self._owner.table.require(pid).incarnation),))
                return

    def _ended(self, pid: int) -> None:
        del self._tasks[pid]
        self.schedule(pid)

    async def close(self) -> None:
        """Stop; the next kernel goes on."""
        self._closing = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
