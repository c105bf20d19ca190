"""Standard error for a process that must not wait for it: a kernel goes on while its terminal stands still.

A terminal is stopped with Ctrl-S, a window's far end hangs, a pager stops reading: whoever writes to it then waits.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import select
import threading
from collections import deque

PENDING_MAX = 256
"""Writes that wait for a reader; what comes after is not shown."""
FLUSH_S = 1.0
"""How long an end waits for what is pending."""


class Aside(io.TextIOBase):
    """A text stream over a descriptor. To a terminal, and to what takes nothing now, a thread of its own writes."""

    def __init__(self, fd: int = 2) -> None:
        """The descriptor stays open."""
        self._fd = fd
        self._terminal = os.isatty(fd)
        self._pending: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._writer: threading.Thread | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As it is written."""
        return "utf-8"

    def isatty(self) -> bool:
        """Somebody looks."""
        return self._terminal

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def write(self, text: str) -> int:
        """Never waits; what finds no room, or nobody who reads, is dropped."""
        data = text.encode("utf-8", "replace")
        with self._changed:
            if not (self._pending or self._terminal) and len(data) <= select.PIPE_BUF and self._takes():
                with contextlib.suppress(OSError):
                    os.write(self._fd, data)
            elif len(self._pending) < PENDING_MAX:
                self._pending.append(data)
                if self._writer is None:
                    self._writer = threading.Thread(target=self._write_all, daemon=True)
                    self._writer.start()
                    atexit.register(self.settle)
                self._changed.notify_all()
        return len(text)

    def settle(self) -> None:
        """Wait a moment for what is pending; what nobody reads is given up."""
        with self._changed:
            self._changed.wait_for(lambda: not self._pending, FLUSH_S)

    def _takes(self) -> bool:
        return bool(select.select([], [self._fd], [], 0)[1])

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._pending))
                data = self._pending[0]
            with contextlib.suppress(OSError):  # the terminal is gone, and the work goes on
                while data:
                    data = data[os.write(self._fd, data) :]
            with self._changed:
                self._pending.popleft()
                self._changed.notify_all()
