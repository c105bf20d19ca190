"""A command on a terminal of its own, typed at and looked at."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.surfaces.commands import ROOT, command

READ_S = 60.0


class Terminal:
    """What a person sees and does."""

    def __init__(self, pid: int, fd: int) -> None:
        self.pid = pid
        self._fd = fd
        self._seen = b""
        self._status: int | None = None

    def type(self, text: str | bytes) -> None:
        """As it comes from the keyboard: Ctrl-C is byte 3, Ctrl-D byte 4."""
        os.write(self._fd, text.encode() if isinstance(text, str) else text)

    def until(self, text: str) -> str:
        """What is seen up to and with `text`, from where it was last looked."""
        wanted = text.encode()
        while wanted not in self._seen:
            assert select.select([self._fd], [], [], READ_S)[0], self._seen
            try:
                read = os.read(self._fd, 1 << 16)
            except OSError:  # the other end is closed
                read = b""
            assert read, self._seen
            self._seen += read
        seen, _, self._seen = self._seen.partition(wanted)
        return (seen + wanted).decode("utf-8", "replace")

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self._fd)
        self._fd = -1

    def kill(self) -> None:
        """The command dies without a word."""
        os.kill(self.pid, signal.SIGKILL)

    def ended(self) -> int:
        """Its exit code, or minus the signal that ended it; what it still writes is read meanwhile."""
        while self._fd >= 0 and self._status is None:
            ready = select.select([self._fd], [], [], READ_S)[0]
            assert ready, "it does not end"
            try:
                if not os.read(self._fd, 1 << 16):
                    break
            except OSError:
                break
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def close(self) -> None:
        """Whatever became of it."""
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                self.kill()
            self.ended()
        if self._fd >= 0:
            os.close(self._fd)


@contextmanager
def on_terminal(*words: str, home: Path, **environment: str) -> Iterator[Terminal]:
    """A command of prytany's."""
    line = command(*words, home=home)
    variables = {**os.environ, "TERM": "xterm", **environment}
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(line[0], line, variables)
    terminal = Terminal(pid, fd)
    try:
        yield terminal
    finally:
        terminal.close()
