"""Streams: `proc.stdin`, `proc.stdout`, `proc.pipe`.

async for line in proc.stdin:
    await proc.stdout.write(line.upper())
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Self

from prytany.userland.calls import Calls

NO_ENDS: Final[Mapping[str, int]] = MappingProxyType({})
Call = Callable[[str, tuple[Any, ...]], Awaitable[Any]]


def joined(chunks: list[Any]) -> Any:
    """Chunks as one: texts and bytes in a row, one chunk as it is, others as a list."""
    if chunks and all(isinstance(chunk, str) for chunk in chunks):
        return "".join(chunks)
    if chunks and all(isinstance(chunk, bytes) for chunk in chunks):
        return b"".join(chunks)
    if not chunks:
        return ""
    return chunks[0] if len(chunks) == 1 else chunks


class Input:
    """The end of a pipe that is read; `async for` gives its chunks until the end."""

    def __init__(self, call: Call, calls: Calls, number: int = 0, *, piped: bool = True) -> None:
        """Of pipe `number`; 0 is the standard input."""
        self._call = call
        self._calls = calls
        self._number = number
        self._reading: Awaitable[Any] | None = None
        self._ended = False
        self.piped = piped
        """It was a pipe when this program began."""

    async def read(self) -> Any:
        """The next chunk, when there is one; None at the end, and where the standard input is no pipe.

        Who is cancelled meanwhile loses nothing: the chunk is what the next `read` gives.

        Raises:
            Enoent: it was closed.
            Epipe: this program failed, and what it had read before is too much to be given again.
        """
        if self._ended:
            return None
        if self._reading is None:
            self._reading = self._call("pipe_read", (self._number,))
        reading = self._reading
        got: Mapping[str, Any] = await asyncio.shield(reading)
        if self._reading is reading:
            self._reading = None
        self._ended = "data" not in got
        return got.get("data")

    async def rest(self) -> Any:
        """All that is still to come, as one: texts and bytes in a row, one chunk as it is, others as a list."""
        return joined([chunk async for chunk in self])

    async def close(self) -> None:
        """Read no more: whoever writes there hears EPIPE."""
        self._ended = True
        await self._calls.pipe_close(self._number, "read")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        chunk = await self.read()
        if chunk is None:
            raise StopAsyncIteration
        return chunk


class Output:
    """The end of a pipe that is written."""

    def __init__(self, calls: Calls, number: int = 0, *, piped: bool = True) -> None:
        """Of pipe `number`; 0 is the standard output."""
        self._calls = calls
        self._number = number
        self.piped = piped
        """It was a pipe when this program began; else people are shown what is written."""

    async def write(self, chunk: Any) -> None:
        """Write a chunk, plain data; waits while the pipe is full.

        Raises:
            Epipe: nobody reads it any more. A program that lets this pass ends by it, as by SIGPIPE: status 141.
            Einval: it is None, or too large.
        """
        await self._calls.pipe_write(chunk, self._number)

    async def close(self) -> None:
        """Write no more: when all who write have, it is the end for whoever reads."""
        await self._calls.pipe_close(self._number, "write")


class Pipe:
    """A pipe that this process opened."""

    def __init__(self, call: Call, calls: Calls, number: int) -> None:
        """Made by `Process.pipe`."""
        self._calls = calls
        self.number = number
        self.input = Input(call, calls, number)
        """For this process to read."""
        self.output = Output(calls, number)
        """For this process to write."""

    async def look(self) -> dict[str, Any]:
        """How many chunks were `written` and `read`, and how many `chunks` of how many `bytes` lie in it."""
        return await self._calls.pipe_look(self.number)

    async def close(self) -> None:
        """Let go of both ends, as far as this process has them. Those of others stay."""
        await self._calls.pipe_close(self.number)

    def __repr__(self) -> str:
        return f"Pipe({self.number})"


class Piping:
    """A part of `Process`."""

    calls: Calls
    _call: Call
    stdin: Input
    stdout: Output

    def _join(self, start: Mapping[str, Any]) -> None:
        reads, writes = start.get("ends", (False, False))
        self.stdin, self.stdout = Input(self._call, self.calls, piped=reads), Output(self.calls, piped=writes)

    async def pipe(self, writer: int = 0, reader: int = 0, *, outlet: bool = False) -> Pipe:
        """Join the output of one child to the input of another; 0 is this process itself.

        Without either, this process has both ends, and gives them to children: `proc.spawn(..., stdout=pipe)`. It has
        them itself, too, until it closes them; who reads reaches the end when the last who writes has let go.

        Args:
            writer: the pid of who writes.
            reader: the pid of who reads.
            outlet: nobody reads: what is written is shown to whoever looks at the run.

        Raises:
            Esrch: there is no such child that goes on.
            Ebusy: its standard input or output is a pipe already.
            Eagain: there are too many pipes.
        """
        return Pipe(self._call, self.calls, await self.calls.pipe_open(writer, reader, outlet))


def ends_of(stdin: Pipe | None, stdout: Pipe | None) -> dict[str, int]:
    """What a child is to be born with."""
    named = (("stdin", stdin), ("stdout", stdout))
    return {name: pipe.number for name, pipe in named if pipe is not None}
