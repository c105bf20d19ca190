"""What an edge is: from a process, or from one of its open calls, to what that waits for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from prytany.abi.ids import Pid, format_pid
from prytany.kernel.queue_views import Live
from prytany.kernel.state import ShardState
from prytany.process.process import OpenCall, Process


class Look(NamedTuple):
    """What edges look at; `live` is None where no kernel runs, and the journal's word is all there is."""

    state: ShardState
    live: Live | None
    now_ns: int


class Cause(NamedTuple):
    """What something waits for."""

    kind: str
    text: str
    since_ns: int = 0
    """0 for the call's own time."""
    help: Sequence[str] = ()
    """Commands that help, without `prytany` before them."""
    leads: Sequence[int] = ()
    """Processes that it waits for in turn."""


OfProcess = Callable[[Look, Process], Cause | None]
"""Of a process as a whole; None where it does not wait so."""
OfCall = Callable[[Look, Process, int, OpenCall], Cause | None]
"""The same of open call `n`."""


def named(look: Look, pid: int) -> str:
    """A process, for people."""
    process = look.state.table.get(pid)
    return f"process {format_pid(Pid(pid))}" + (f" ({process.name})" if process is not None else "")
