"""A clock that goes on where the machine's steps back.

The kernel's time never goes back: an entry is never before the last one. Were it to stand still meanwhile, whoever
sleeps would do so until the machine's clock has caught up: an hour, where that was an hour fast for a moment. So from a
step back on time goes by the machine's monotonic clock, a hundredth slower, until the two agree again. A step forward
is believed: a machine that slept looks the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

STEP_S = 60.0
"""Within which a step of the clock is noticed by whoever sleeps."""
SLOWER = 100


class SteadyClock:
    """See the module."""

    def __init__(
        self, floor_ns: int = 0, wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:  # fmt: skip
        """It begins at `floor_ns`, nanoseconds since the epoch, or later."""
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._last_ns = floor_ns
        self._seen_ns: int | None = None
        """Of the monotonic clock, when it was last looked at; None while the machine's clock is followed."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, never less than before."""
        wall_ns = self._wall_ns()
        if self._seen_ns is None and wall_ns >= self._last_ns:
            self._last_ns = wall_ns
            return wall_ns
        return self._without(wall_ns)

    def _without(self, wall_ns: int) -> int:
        """The time, while the machine's clock is behind."""
        seen_ns, self._seen_ns = self._seen_ns, self._monotonic_ns()
        if seen_ns is not None:
            passed_ns = self._seen_ns - seen_ns
            self._last_ns += passed_ns - passed_ns // SLOWER
        if wall_ns >= self._last_ns:
            self._last_ns, self._seen_ns = wall_ns, None
        return self._last_ns

    async def sleep_until(self, deadline_ns: int) -> None:
        """Return at `deadline_ns` or soon after; in steps, so that a step of the clock is noticed."""
        while (left_ns := deadline_ns - self.now_ns()) > 0:
            await asyncio.sleep(min(left_ns / 1e9, STEP_S))
