"""One alarm: something is done at a time, unless that is put off or called off before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prytany.ports.clock import Clock


class Alarm:
    """It rings once for each time that is set."""

    def __init__(self, clock: Clock, ring: Callable[[], None], lost: Callable[[asyncio.Task[None]], None]) -> None:
        """`lost` is told of the end of its task, and what it raised."""
        self._clock = clock
        self._ring = ring
        self._lost = lost
        self._task: asyncio.Task[None] | None = None
        self._at_ns: int | None = None

    def set(self, at_ns: int | None) -> None:
        """From now on it rings at that time, or not at all; to set the same time again costs nothing."""
        if at_ns == self._at_ns:
            return
        self._at_ns = at_ns
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if at_ns is not None:
            self._task = asyncio.get_running_loop().create_task(self._wait(at_ns))
            self._task.add_done_callback(self._lost)

    async def close(self) -> None:
        """It rings no more."""
        task = self._task
        self.set(None)
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    async def _wait(self, at_ns: int) -> None:
        await self._clock.sleep_until(at_ns)
        self._at_ns = self._task = None
        self._ring()
