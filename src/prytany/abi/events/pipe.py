"""Events of pipes: streams of chunks between processes. No event holds a chunk, only its digest."""

from __future__ import annotations

import msgspec

from prytany.abi.events.digest import Digest


class PipeOpened(msgspec.Struct, array_like=True, frozen=True, tag="pipe.opened/1"):
    """A pipe, by process `pid`, with its first writer and its first reader. Who is not `pid` has it as its own standard
    output or input. An outlet has no reader: what is written to it is for whoever looks at the run."""

    pid: int
    pipe: int
    writer: int
    reader: int
    outlet: bool = False


class PipeGiven(msgspec.Struct, array_like=True, frozen=True, tag="pipe.given/1"):
    """A process is born with these ends as its standard input and output; 0 for none."""

    pid: int
    stdin: int
    stdout: int


class PipeAwaited(msgspec.Struct, array_like=True, frozen=True, tag="pipe.awaited/1"):
    """Call `n` waits: for room, where it has a chunk, or for a chunk."""

    pid: int
    n: int
    pipe: int
    chunk: Digest = b""
    size: int = 0
    """Of the chunk, bytes."""


class PipeWritten(msgspec.Struct, array_like=True, frozen=True, tag="pipe.written/1"):
    """A chunk is in the pipe; that of a call that waited lies in the entry in which that was recorded. Pipe 0 is where
    those write whose output is joined to nothing: it is for whoever looks at the run."""

    pid: int
    n: int
    pipe: int
    chunk: Digest
    size: int
    shown: bool = False
    """Nobody else reads it."""


class PipeRead(msgspec.Struct, array_like=True, frozen=True, tag="pipe.read/1"):
    """The oldest chunk was read by call `n`. It is `kept` for a reader that may be begun again, until its state is."""

    pid: int
    n: int
    pipe: int
    kept: bool = False


class PipeClosed(msgspec.Struct, array_like=True, frozen=True, tag="pipe.closed/1"):
    """A process let go of an end: `read` or `write`."""

    pid: int
    pipe: int
    end: str
