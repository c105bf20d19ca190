"""Time, as the kernel is given it."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """A source of time. The kernel makes it monotonic: a source that steps back is one that stands still, and with it
    whoever sleeps."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""
        ...

    async def sleep_until(self, deadline_ns: int) -> None:
        """Return at `deadline_ns` or soon after."""
        ...
