"""Pipes whose next step is due: whoever waits at one goes on, as soon as an entry made that possible; see `wakes`."""

from __future__ import annotations

from typing import Protocol

from prytany.abi import events as ev
from prytany.abi.errors import KernelError
from prytany.abi.values import pack, pack_error
from prytany.ipc.pipes import Pipe, Waiting
from prytany.kernel.handlers.pipe import BROKEN, BY_PIPE, END, read_events
from prytany.kernel.ledger import Ledger
from prytany.kernel.outcome import Context


class Core(Context, Protocol):
    """The kernel, as this sees it."""

    ledger: Ledger


def fill_pipe(k: Core) -> bool:
    """One step of one pipe."""
    pipes = k.state.pipes
    if not pipes.due:
        return False
    pipe = pipes.pipes[next(iter(pipes.due))]
    step = pipe.step()
    assert step is not None
    waiting = step.waiting
    if step.what == "read":
        _read(k, pipe, waiting)
    elif step.what == "write" and (chunk := waiting.chunk) is not None:
        written = ev.PipeWritten(waiting.pid, waiting.n, pipe.number, chunk.body, chunk.size)
        _close(k, waiting, "", b"", written)
    elif step.what == "end":
        _close(k, waiting, "", pack(END))
    else:
        _close(k, waiting, "EPIPE", pack_error(BROKEN, {"cause": BY_PIPE}))
    return True


def _read(k: Core, pipe: Pipe, waiting: Waiting) -> None:
    chunk = next(iter(pipe.chunks.values()))
    try:
        content = k.content(chunk.body, chunk.seq)
    except KernelError as error:  # it was forgotten: its place in the stream is told
        read = read_events(k, pipe, waiting.pid, waiting.n, b"")[0]
        _close(k, waiting, error.errno, pack_error(error.message), read)
        return
    k.ledger.commit(read_events(k, pipe, waiting.pid, waiting.n, chunk.body), {chunk.body: content})


def _close(k: Core, waiting: Waiting, errno: str, value: bytes, *before: ev.Event) -> None:
    digest = k.digest(value)
    closed = ev.CallClosed(waiting.pid, waiting.n, errno, digest, k.table.require(waiting.pid).tail)
    k.ledger.commit((*before, closed), {digest: value} if value else {}, reserve=True)
