"""Pipes: who may join whom, and when a chunk goes through at once.

Where a reader waits, a chunk is handed to it in the entry in which it is written, so that it lies in the journal once.
"""

from __future__ import annotations

from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Ebusy, Einval, Enoent, Epipe, Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.abi.values import pack
from prytany.ipc.pipes import READ, WRITE, Pipe
from prytany.kernel.outcome import Context, Done, Opened
from prytany.process.process import Process

END: dict[str, Any] = {}
"""What a reader is answered with when nobody writes any more."""
BY_PIPE = "pipe"
"""Why a program ends that does not heed that its reader has gone."""
BROKEN = "nobody reads what is written there"


def sys_pipe_open(k: Context, p: Process, n: int, a: Any) -> Done:
    """Between the caller and its children, as it says."""
    call, pipes = "pipe_open", k.state.pipes
    if a.outlet and a.reader:
        raise Einval("an outlet has no reader", call=call)
    writer, reader = _whom(k, p, a.writer, call), 0 if a.outlet else _whom(k, p, a.reader, call)
    for pid, slots, end in ((writer, pipes.stdout, WRITE), (reader, pipes.stdin, READ)):
        if pid not in (0, p.pid) and pipes.has(pid, slots.get(pid, 0), end):
            raise Ebusy(f"process {format_pid(Pid(pid))} has a pipe there already", call=call)
        if pid and len(pipes.held.get(pid, ())) >= limits.PIPES_MAX:
            raise Eagain(f"{limits.PIPES_MAX} pipes are the most that one process has ends of", call=call)
    number = pipes.next_number
    return Done(number, after=(ev.PipeOpened(p.pid, number, writer, reader, a.outlet),))


def given(k: Context, p: Process, pid: int, ends: dict[str, Any] | None) -> tuple[ev.Event, ...]:
    """What a child is born with, of its parent's ends. Raises Einval, Enoent."""
    if not ends:
        return ()
    if beyond := set(ends) - {"stdin", "stdout"}:
        raise Einval(f"a child has no end {min(beyond)[:40]!r}", call="process_spawn")
    found = {"stdin": 0, "stdout": 0}
    for name, number in ends.items():
        end = READ if name == "stdin" else WRITE
        if isinstance(number, bool) or not isinstance(number, int):
            raise Einval(f"{name} is the number of a pipe", call="process_spawn")
        if number and not k.state.pipes.has(p.pid, number, end):
            raise Enoent(f"the caller has no end to {end} of pipe {number}", call="process_spawn")
        found[name] = number
    return (ev.PipeGiven(pid, found["stdin"], found["stdout"]),)


def sys_pipe_write(k: Context, p: Process, n: int, a: Any) -> Done | Opened:
    """Into the pipe, or to whoever waits for it; or the caller waits for room."""
    call = "pipe_write"
    if a.data is None:
        raise Einval("None is what the end of a pipe reads as, and cannot be written", call=call)
    content = pack({"data": a.data})
    if len(content) > limits.MESSAGE_BYTES_MAX:
        raise Einval(f"a chunk has at most {limits.MESSAGE_BYTES_MAX} bytes", call=call)
    pipe, digest, size = _own(k, p, a.pipe, WRITE, call), k.digest(content), len(content)
    if pipe is None:
        shown = ev.PipeWritten(p.pid, n, 0, digest, size, True)
        return Done(None, before=(shown,), contents=(content,), spare=True)
    if pipe.broken:
        raise Epipe(BROKEN, call=call, detail={"cause": BY_PIPE})
    if pipe.writing or not pipe.has_room(size):
        return Opened(pipe.number, (ev.PipeAwaited(p.pid, n, pipe.number, digest, size),), (content,))
    events: tuple[ev.Event, ...] = (ev.PipeWritten(p.pid, n, pipe.number, digest, size, pipe.outlet),)
    waiting = next(iter(pipe.reading.values()), None)
    if waiting is not None and not pipe.chunks and waiting.pid != p.pid:
        events += read_events(k, pipe, waiting.pid, waiting.n, digest)
    return Done(None, before=events, contents=(content,), spare=True)


def read_events(k: Context, pipe: Pipe, pid: int, n: int, digest: bytes) -> tuple[ev.Event, ...]:
    """The oldest chunk goes to a call that waits for it."""
    reader = k.table.require(pid)
    return _read(k, pipe, reader, n), ev.CallClosed(pid, n, "", digest, reader.tail)


def _read(k: Context, pipe: Pipe, reader: Process, n: int) -> ev.PipeRead:
    again = reader.restarts > reader.failures or reader.pid in k.state.trees.children
    return ev.PipeRead(reader.pid, n, pipe.number, again)


def sys_pipe_read(k: Context, p: Process, n: int, a: Any) -> Done | Opened:
    """The oldest chunk, the end, or the intent to take the next."""
    call = "pipe_read"
    pipe = _own(k, p, a.pipe, READ, call)
    if pipe is None:
        return Done(END)
    if k.state.pipes.torn.get(p.pid):
        raise Epipe("what was read before it failed cannot be given again", call=call, detail={"cause": "lost"})
    if pipe.chunks and not pipe.reading:
        chunk = next(iter(pipe.chunks.values()))
        return Done(msgspec.Raw(k.content(chunk.body, chunk.seq)), before=(_read(k, pipe, p, n),))
    if not (pipe.chunks or pipe.writers or pipe.writing):
        return Done(END)
    return Opened(pipe.number, (ev.PipeAwaited(p.pid, n, pipe.number),))


def sys_pipe_close(k: Context, p: Process, n: int, a: Any) -> Done:
    """Whoever waits at the other end may hear of it."""
    call, pipes = "pipe_close", k.state.pipes
    if a.end not in ("", READ, WRITE):
        raise Einval(f"an end is {READ!r} or {WRITE!r}", call=call)
    ends = (a.end,) if a.end else (READ, WRITE)
    slots = {READ: pipes.stdin.get(p.pid, 0), WRITE: pipes.stdout.get(p.pid, 0)}
    found = [(number, end) for end in ends if pipes.has(p.pid, number := a.pipe or slots[end], end)]
    if not found and (a.pipe or any(slots[end] for end in ends)):
        raise Enoent("the caller has no such end, or has closed it", call=call)
    return Done(after=tuple(ev.PipeClosed(p.pid, number, end) for number, end in found))


def sys_pipe_look(k: Context, p: Process, n: int, a: Any) -> Done:
    """For who has an end of it."""
    if a.pipe not in k.state.pipes.held.get(p.pid, ()):
        raise Enoent(f"the caller has no end of pipe {a.pipe}", call="pipe_look")
    pipe = k.state.pipes.pipes[a.pipe]
    return Done({"written": pipe.written, "read": pipe.read, "chunks": len(pipe.chunks), "bytes": pipe.size})


def _whom(k: Context, p: Process, pid: int, call: str) -> int:
    """The caller, or its child. Raises Esrch."""
    if pid in (0, p.pid):
        return p.pid
    child = k.table.get(pid)
    if child is None or not child.alive or child.parent != p.pid:
        raise Esrch(f"process {pid} is no child of this process that goes on", call=call)
    return child.pid


def _own(k: Context, p: Process, number: int, end: str, call: str) -> Pipe | None:
    """The pipe that the caller means; None for its standard input or output where that is none. Raises Enoent."""
    pipes = k.state.pipes
    meant = number or (pipes.stdin if end == READ else pipes.stdout).get(p.pid, 0)
    if not meant:
        return None
    if not pipes.has(p.pid, meant, end):
        raise Enoent(f"the caller has no end to {end} of pipe {meant}, or has closed it", call=call)
    return pipes.pipes[meant]
