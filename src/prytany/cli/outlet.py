"""Standard output that somebody may not take: a write to it stands still, and the loop heeds no signal meanwhile.

Python itself looks for signals while a write waits. So who is told to end in the middle of one is heeded there.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

from prytany.drivers.clocks.system import SystemClock

STUCK_NS = 1_000_000_000
"""From then on Ctrl-C means a write that waits, and not the answer that it is a part of."""


class Untaken(Exception):
    """A signal came while nobody took what was written."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number} while output was not taken")
        self.number = number


class Outlet:
    """Standard output of the thread that signals come to."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._since_ns = 0
        self._unheeded = 0
        """A signal that the loop has not come to."""

    def write(self, text: str) -> None:
        """Write it at once. Raises OSError, and Untaken where a signal comes that ends this, or has just come."""
        if self._unheeded not in (0, signal.SIGINT):
            raise Untaken(self._unheeded)
        self._since_ns = self._clock.now_ns()
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        finally:
            self._since_ns = 0

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Python's handler, beside that of the loop. Raises Untaken where the loop will not come to it."""
        if not self._since_ns:
            self._unheeded = number
        elif number != signal.SIGINT or self._clock.now_ns() - self._since_ns > STUCK_NS:
            raise Untaken(number)

    def heeded(self) -> None:
        """The loop has come to it."""
        self._unheeded = 0
