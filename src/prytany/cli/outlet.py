"""Standard output that somebody may not take: a write to it stands still, and the loop heeds no signal meanwhile.

Python looks for signals between its steps, so who is told to end while output waits is heeded there. A signal that
comes just before a call of the system would not be seen until that returns: so nothing waits in a write, but in short
looks at whether there is room for one.
"""

from __future__ import annotations

import io
import os
import select
import signal
import sys
from types import FrameType

from prytany.drivers.clocks.system import SystemClock

STUCK_NS = 1_000_000_000
"""From then on Ctrl-C means a write that waits, and not the answer that it is a part of."""
LOOK_MS = 100
"""So late a signal may be seen that came between two steps of Python."""
ROOM_BYTES = 512
"""What certainly goes into a pipe or a terminal that has room at all: the least PIPE_BUF that POSIX allows."""


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
        self._since_ns = self._clock.now_ns()
        try:
            if self._unheeded not in (0, signal.SIGINT):
                raise Untaken(self._unheeded)
            sys.stdout.flush()
            try:
                number = sys.stdout.fileno()
            except io.UnsupportedOperation:  # not a file: it takes everything
                sys.stdout.write(text)
            else:
                _write(number, text.encode(sys.stdout.encoding, sys.stdout.errors or "strict"))
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


def _write(number: int, data: bytes) -> None:
    room = select.poll()
    room.register(number, select.POLLOUT)
    rest = memoryview(data)
    while rest:
        if room.poll(LOOK_MS):
            rest = rest[os.write(number, rest[:ROOM_BYTES]) :]
