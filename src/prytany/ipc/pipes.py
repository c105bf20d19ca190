"""Pipes: a fold of the journal's pipe events.

    written ─▶ chunks, the oldest first ─▶ read          as long as there is a writer, and a reader

A pipe is bounded: a writer waits while it is full, a reader while it is empty, each in its line. What waits and can go
on is `due`; deciding that it does is the kernel's. A chunk is held by its digest and the entry that it lies in.

Invariants: `due` holds exactly the pipes of which `step` knows a next step; nobody waits to write while there is room;
chunks are read in the order in which they were written, each once, but for those that are given again to a reader
that failed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import KernelPanic

READ, WRITE = "read", "write"


class Chunk(msgspec.Struct, array_like=True, frozen=True):
    """One chunk, by the entry that it lies in."""

    body: bytes
    seq: int
    size: int


class Waiting(msgspec.Struct, array_like=True, frozen=True):
    """A call that waits: to write this chunk, or to read."""

    pid: int
    n: int
    chunk: Chunk | None = None


class Place(msgspec.Struct, array_like=True, frozen=True):
    """Where a call waits."""

    pipe: int
    ticket: int


class Kept(msgspec.Struct, array_like=True, frozen=True):
    """A chunk that was read, and is given again if its reader fails."""

    pipe: int
    number: int
    chunk: Chunk


class Step(NamedTuple):
    """What is due: `read` and `end` of a reader, `write` and `broken` of a writer."""

    what: str
    waiting: Waiting


class Pipe(msgspec.Struct, array_like=True):
    """One pipe. `written` and `read` count chunks; `size` is what lies in it, bytes."""

    number: int
    outlet: bool
    writers: dict[int, None] = {}
    readers: dict[int, None] = {}
    chunks: dict[int, Chunk] = {}
    size: int = 0
    written: int = 0
    read: int = 0
    writing: dict[int, Waiting] = {}
    reading: dict[int, Waiting] = {}

    @property
    def broken(self) -> bool:
        """Nobody reads it any more."""
        return not self.readers and not self.outlet

    def has_room(self, size: int) -> bool:
        """Whether a chunk of that size may be written; one always may, however large, into an empty pipe."""
        if self.outlet or not self.chunks:
            return True
        return len(self.chunks) < limits.PIPE_CHUNKS_MAX and self.size + size <= limits.PIPE_BYTES_MAX

    def step(self) -> Step | None:
        """Who goes on next, if anybody can."""
        reader = next(iter(self.reading.values()), None)
        if reader is not None and self.chunks:
            return Step("read", reader)
        writer = next(iter(self.writing.values()), None)
        if writer is not None and self.broken:
            return Step("broken", writer)
        if writer is not None and writer.chunk is not None and self.has_room(writer.chunk.size):
            return Step("write", writer)
        if reader is not None and not (self.chunks or self.writing or self.writers):
            return Step("end", reader)
        return None


class Pipes(msgspec.Struct):
    """All pipes of a shard."""

    pipes: dict[int, Pipe] = {}
    next_number: int = 1
    next_ticket: int = 1
    held: dict[int, dict[int, None]] = {}
    """By process, the pipes that it has an end of."""
    stdin: dict[int, int] = {}
    """By process, the pipe that is its standard input; it stays when its end was closed."""
    stdout: dict[int, int] = {}
    born: dict[int, ev.PipeGiven] = {}
    """With what processes were born: each of their starts is told the same."""
    waits: dict[int, dict[int, Place]] = {}
    """By process and call."""
    kept: dict[int, dict[int, Kept]] = {}
    """By reader, what it read since its state was kept, or it began."""
    torn: dict[int, bool] = {}
    """Readers of which that is too much; whether they failed since, and cannot be given it again."""
    due: dict[int, None] = {}

    def has(self, pid: int, number: int, end: str) -> bool:
        """Whether a process has that end of a pipe."""
        pipe = self.pipes.get(number)
        return pipe is not None and pid in (pipe.writers if end == WRITE else pipe.readers)

    def closed(self, pid: int, n: int) -> None:
        """Fold that a call of a process has ended, however."""
        own = self.waits.get(pid)
        if own is None or (place := own.pop(n, None)) is None:
            return
        if not own:
            del self.waits[pid]
        pipe = self._require(place.pipe)
        if pipe.writing.pop(place.ticket, None) is None:
            del pipe.reading[place.ticket]
        self._settle(pipe)

    def _require(self, number: int) -> Pipe:
        pipe = self.pipes.get(number)
        if pipe is None:
            raise KernelPanic(f"an event names pipe {number}, which is not there")
        return pipe

    def _hold(self, pid: int, pipe: Pipe, end: str) -> None:
        (pipe.writers if end == WRITE else pipe.readers)[pid] = None
        self.held.setdefault(pid, {})[pipe.number] = None

    def _settle(self, pipe: Pipe) -> None:
        """What is due of it may be something else by now; a pipe that nobody has is gone."""
        if not (pipe.writers or pipe.readers or pipe.writing or pipe.reading):
            self.pipes.pop(pipe.number, None)
            self.due.pop(pipe.number, None)
            return
        if pipe.broken:
            pipe.chunks, pipe.size = {}, 0
        if pipe.step() is None:
            self.due.pop(pipe.number, None)
        else:
            self.due[pipe.number] = None

    def _let_go(self, pid: int, pipe: Pipe, end: str) -> None:
        (pipe.writers if end == WRITE else pipe.readers).pop(pid, None)
        if pid not in pipe.writers and pid not in pipe.readers and (own := self.held.get(pid)) is not None:
            own.pop(pipe.number, None)
            if not own:
                del self.held[pid]
        self._settle(pipe)

    def _stand(self, waiting: Waiting, number: int) -> None:
        pipe = self._require(number)
        (pipe.reading if waiting.chunk is None else pipe.writing)[self.next_ticket] = waiting
        self.waits.setdefault(waiting.pid, {})[waiting.n] = Place(number, self.next_ticket)
        self.next_ticket += 1
        self._settle(pipe)

    def _take(self, pid: int, n: int) -> Waiting | None:
        """A call that waited goes on."""
        place = self.waits.get(pid, {}).get(n)
        if place is None:
            return None
        pipe = self._require(place.pipe)
        waiting = pipe.writing.get(place.ticket) or pipe.reading[place.ticket]
        self.closed(pid, n)
        return waiting

    def on_opened(self, seq: int, e: ev.PipeOpened) -> None:
        """A new pipe."""
        pipe = self.pipes[e.pipe] = Pipe(e.pipe, e.outlet)
        self.next_number = e.pipe + 1
        self._hold(e.writer, pipe, WRITE)
        if e.reader:
            self._hold(e.reader, pipe, READ)
        if e.writer != e.pid:
            self.stdout[e.writer] = e.pipe
        if e.reader not in (0, e.pid):
            self.stdin[e.reader] = e.pipe

    def on_given(self, seq: int, e: ev.PipeGiven) -> None:
        """Ends that a process is born with."""
        self.born[e.pid] = e
        for number, end, slots in ((e.stdin, READ, self.stdin), (e.stdout, WRITE, self.stdout)):
            if number:
                slots[e.pid] = number
                self._hold(e.pid, self._require(number), end)

    def on_awaited(self, seq: int, e: ev.PipeAwaited) -> None:
        """A call stands in a line."""
        self._stand(Waiting(e.pid, e.n, Chunk(e.chunk, seq, e.size) if e.chunk else None), e.pipe)

    def on_written(self, seq: int, e: ev.PipeWritten) -> None:
        """A chunk is there, which may have waited."""
        if not e.pipe:
            return
        pipe, waited = self._require(e.pipe), self._take(e.pid, e.n)
        pipe.written += 1
        if not pipe.outlet:
            chunk = waited.chunk if waited is not None else None
            pipe.chunks[pipe.written] = chunk or Chunk(e.chunk, seq, e.size)
            pipe.size += e.size
        self._settle(pipe)

    def on_read(self, seq: int, e: ev.PipeRead) -> None:
        """A chunk has left."""
        pipe = self._require(e.pipe)
        self._take(e.pid, e.n)
        number = next(iter(pipe.chunks), None)
        if number is None:
            raise KernelPanic(f"pipe {e.pipe} was read, and is empty")
        chunk = pipe.chunks.pop(number)
        pipe.size -= chunk.size
        pipe.read += 1
        if e.kept and e.pid not in self.torn:
            kept = self.kept.setdefault(e.pid, {})
            kept[self.next_ticket] = Kept(e.pipe, number, chunk)
            self.next_ticket += 1
            if len(kept) > limits.PIPE_KEPT_MAX:
                del self.kept[e.pid]
                self.torn[e.pid] = False
        self._settle(pipe)

    def on_closed(self, seq: int, e: ev.PipeClosed) -> None:
        """An end was let go of."""
        self._let_go(e.pid, self._require(e.pipe), e.end)

    def kept_state(self, pid: int) -> None:
        """Fold that what follows from all that was read is kept."""
        self.kept.pop(pid, None)
        if self.torn.get(pid) is False:
            del self.torn[pid]

    def begins_again(self, pid: int) -> None:
        """Fold that a program goes on with a state of its own: nobody waits any more for what it asked."""
        for n in list(self.waits.get(pid, ())):
            self.closed(pid, n)
        self.kept_state(pid)

    def failed(self, pid: int) -> None:
        """Fold that an incarnation failed: what it had read since its state was kept lies in front again."""
        for n in list(self.waits.get(pid, ())):
            self.closed(pid, n)
        if pid in self.torn:
            self.torn[pid] = True
        back: dict[int, dict[int, Chunk]] = {}
        for kept in self.kept.pop(pid, {}).values():
            back.setdefault(kept.pipe, {})[kept.number] = kept.chunk
        for number, chunks in back.items():
            pipe = self.pipes.get(number)
            if pipe is not None and pid in pipe.readers:
                pipe.chunks = dict(sorted({**chunks, **pipe.chunks}.items()))
                pipe.size += sum(chunk.size for chunk in chunks.values())
                pipe.read -= len(chunks)
                self._settle(pipe)

    def ended(self, pid: int) -> None:
        """Fold the end of a process: it has no end of anything any more."""
        for n in list(self.waits.get(pid, ())):
            self.closed(pid, n)
        for number in list(self.held.get(pid, ())):
            pipe = self.pipes[number]
            self._let_go(pid, pipe, WRITE)
            self._let_go(pid, pipe, READ)
        self.kept.pop(pid, None)
        self.torn.pop(pid, None)

    def on_reaped(self, seq: int, e: ev.ProcessReaped) -> None:
        """Nobody asks for it any more."""
        for of in (self.stdin, self.stdout, self.born):
            of.pop(e.pid, None)


def _ends(fold: Callable[[Pipes, int], None]) -> Callable[[Pipes, int, ev.Event], None]:
    def of_process(pipes: Pipes, seq: int, e: ev.Event) -> None:
        if pipes.held or pipes.waits or pipes.kept or pipes.torn:
            fold(pipes, e.pid)  # type: ignore[union-attr]  # of those that it is registered for

    return of_process


def _done(pipes: Pipes, seq: int, e: ev.Event) -> None:
    if (pipes.kept or pipes.torn) and isinstance(e, ev.MessageDone) and e.state:
        pipes.kept_state(e.pid)


FOLDS: dict[type, Callable[[Pipes, int, ev.Event], None]] = {
    ev.PipeOpened: Pipes.on_opened,  # type: ignore[dict-item]
    ev.PipeGiven: Pipes.on_given,  # type: ignore[dict-item]
    ev.PipeAwaited: Pipes.on_awaited,  # type: ignore[dict-item]
    ev.PipeWritten: Pipes.on_written,  # type: ignore[dict-item]
    ev.PipeRead: Pipes.on_read,  # type: ignore[dict-item]
    ev.PipeClosed: Pipes.on_closed,  # type: ignore[dict-item]
    ev.MessageDone: _done,
    ev.ProcessExeced: _ends(Pipes.begins_again),
    ev.ProcessUpgraded: _ends(Pipes.begins_again),
    ev.ProcessReverted: _ends(Pipes.begins_again),
    ev.ProcessHandedOff: _ends(Pipes.begins_again),
    ev.ProcessFailed: _ends(Pipes.failed),
    ev.ProcessCycled: _ends(Pipes.failed),
    ev.ProcessExited: _ends(Pipes.ended),
    ev.ProcessReaped: Pipes.on_reaped,  # type: ignore[dict-item]
}
"""What this room folds; nothing else reaches it, but for the ends of calls (`Pipes.closed`)."""
