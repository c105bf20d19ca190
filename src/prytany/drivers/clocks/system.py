"""The machine's clock."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """Wall time. A machine that sleeps wakes to timers that are due."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return time.time_ns()

    async def sleep_until(self, deadline_ns: int) -> None:
        """Return at `deadline_ns` or soon after; in steps, so that a stepped clock is noticed within a minute."""
        while (left_ns := deadline_ns - time.time_ns()) > 0:
            await asyncio.sleep(min(left_ns / 1e9, 60.0))
