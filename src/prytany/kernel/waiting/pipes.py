"""Calls that wait at a pipe: for room in it, or for something to read."""

from __future__ import annotations

from prytany.kernel.waiting.edge import Cause, Look, named
from prytany.process.process import OpenCall, Process

SHOWN_MAX = 3


def at_pipe(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """Whoever has the other end has not come so far."""
    if call.call not in ("pipe_read", "pipe_write"):
        return None
    pipe = look.state.pipes.pipes.get(call.subject)
    if pipe is None:
        return None
    others = tuple(pid for pid in (pipe.writers if call.call == "pipe_read" else pipe.readers) if pid != p.pid)
    whom = " or ".join(named(look, pid) for pid in others[:SHOWN_MAX]) or "nobody else"
    if call.call == "pipe_read":
        return Cause("input", f"what {whom} writes into pipe {pipe.number}", leads=others)
    text = f"room in pipe {pipe.number}, where {len(pipe.chunks)} chunks lie, which {whom} reads"
    return Cause("output", text, leads=others)
