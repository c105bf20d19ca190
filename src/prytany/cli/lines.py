"""What a person says, as it comes in: typed, pasted, piped, or out of a file; each is one message.

On a terminal a line is edited and found again as readline does it, where that is there. What is pasted comes as one, so
do lines between two lines of `\"\"\"`, and a line that ends in a backslash goes on in the next. Elsewhere each line is
a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import select
import stat
import sys
import termios
import threading
from collections.abc import AsyncIterator, Callable
from types import ModuleType
from typing import Any

from prytany.abi.errors import Einval

LINE_BYTES_MAX = 1_000_000
"""Of one message; what carries it to the kernel has a bound of its own, a little above."""
PROMPT = "> "
MORE = "… "
BLOCK = '"""'
PASTED_S = 0.03
"""What comes within it after a line was not typed."""


class Lines:
    """The messages of standard input."""

    def __init__(self, show_prompt: Callable[[str], None], *, plain: bool) -> None:
        """`show_prompt` is told what a person is asked with, and of "" when they have answered; `plain` asks nobody."""
        self._show_prompt = show_prompt
        self.typed = not plain and sys.stdin.isatty() and sys.stdout.isatty()
        """A person sits there."""
        self._coming = self._dropped = False
        self._readline: ModuleType | None = None
        self._before = termios.tcgetattr(0) if self.typed else None
        if self.typed:
            with contextlib.suppress(ImportError):
                self._readline = importlib.import_module("readline")
            stream: Any = sys.stdin  # a text stream that is a terminal can be told
            stream.reconfigure(errors="replace")

    @property
    def begun(self) -> str:
        """What was typed of a line so far, as far as anybody knows."""
        return str(self._readline.get_line_buffer()) if self._readline is not None else ""

    def drop(self) -> bool:
        """Forget what was just typed, before it is handed over; False where there is nothing of that kind."""
        self._dropped = self._coming
        return self._coming

    @property
    def hung_up(self) -> bool:
        """There was a terminal, and it is gone."""
        if not self.typed:
            return False
        try:
            termios.tcgetattr(0)
        except termios.error:
            return True
        return False

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._before is not None:
            with contextlib.suppress(termios.error):  # it is gone
                termios.tcsetattr(0, termios.TCSADRAIN, self._before)

    def __aiter__(self) -> AsyncIterator[str]:
        if self.typed:
            return self._of_a_person()
        mode = os.fstat(0).st_mode
        waits = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(0)
        return _of_a_pipe() if waits else _of_a_file()

    async def _of_a_person(self) -> AsyncIterator[str]:
        while (line := await self._line(PROMPT)) is not None:
            begins = line.split("\n", 1)[0].strip() == BLOCK
            text = await (self._block(line) if begins else self._continued(line))
            if self._dropped:
                self._dropped = False
                continue
            yield _whole(text.encode("utf-8", "replace"))

    async def _block(self, first: str) -> str:
        """What stands between two lines of `\"\"\"`."""
        lines = first.split("\n")[1:]
        while not (lines and lines[-1].strip() == BLOCK):
            if (more := await self._line(MORE)) is None:
                return "\n".join(lines)
            lines += more.split("\n")
        return "\n".join(lines[:-1])

    async def _continued(self, line: str) -> str:
        """A line with those that it goes on in."""
        while line.endswith("\\") and (more := await self._line(MORE)) is not None:
            line = f"{line[:-1]}\n{more}"
        return line

    async def _line(self, prompt: str) -> str | None:
        """What is typed up to a line's end, and all that comes with it; None at the end."""
        loop = asyncio.get_running_loop()
        typed: asyncio.Future[str | None] = loop.create_future()

        def answer(line: str | None) -> None:
            self._coming = False
            if not typed.done():
                typed.set_result(line)

        def read() -> None:
            # A thread of its own, which nobody waits for: it sits there until somebody types.
            try:
                line: str | None = self._input(prompt)
            except (EOFError, OSError, ValueError):
                line = None
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
                loop.call_soon_threadsafe(answer, line)

        self._show_prompt(prompt)
        try:
            threading.Thread(target=read, daemon=True).start()
            return await typed
        finally:
            self._show_prompt("")

    def _input(self, prompt: str) -> str:
        """In a thread: a line, and what comes with it."""
        lines = [input(prompt)]
        self._coming = True
        size = len(lines[0])
        while size <= LINE_BYTES_MAX and select.select([0], [], [], PASTED_S)[0]:
            try:
                lines.append(input())
            except EOFError:
                break
            size += len(lines[-1]) + 1
        return "\n".join(lines)


async def _of_a_file() -> AsyncIterator[str]:
    """A file, or a device such as /dev/null, is there at once: a loop that is to wait for it aborts."""
    with os.fdopen(os.dup(0), "rb") as file:
        while line := file.readline(LINE_BYTES_MAX + 2):
            yield _whole(line)


async def _of_a_pipe() -> AsyncIterator[str]:
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX + 2)
    pipe = os.fdopen(os.dup(0), "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                raise _too_long() from None
            if not line:
                return
            yield _whole(line)
    finally:
        transport.close()
        os.set_blocking(0, True)


def all_of_input() -> str:
    """All of standard input as one message. Raises Einval."""
    return _whole(sys.stdin.buffer.read(LINE_BYTES_MAX + 2))


def checked(text: str) -> str:
    """A message that came otherwise. Raises Einval."""
    return _whole(text.encode("utf-8", "surrogateescape" if _from_bytes(text) else "replace"))


def _from_bytes(text: str) -> bool:
    return all(not 0xD800 <= ord(c) <= 0xDFFF or 0xDC80 <= ord(c) <= 0xDCFF for c in text)


def _whole(line: bytes) -> str:
    line = line.rstrip(b"\r\n")
    if len(line) > LINE_BYTES_MAX:
        raise _too_long()
    return line.decode("utf-8", "replace")


def _too_long() -> Einval:
    error = Einval(f"a message has at most {LINE_BYTES_MAX} bytes")
    error.add_note("put what is long into a file that the agent is unveiled, and name that")
    return error
