"""Calls about calls and time."""

from __future__ import annotations

from typing import Any

from prytany.abi import events as ev
from prytany.abi.values import pack_error
from prytany.kernel.handlers.lock import returned_locks
from prytany.kernel.handlers.receiving import return_cancelled
from prytany.kernel.handlers.tool import returned_holds
from prytany.kernel.outcome import Context, Done, Opened
from prytany.process.process import Process

CANCELED = pack_error("the call was cancelled")


def sys_nop(k: Context, p: Process, n: int, a: Any) -> Done:
    """Nothing, durably."""
    return Done()


def sys_timer_wait(k: Context, p: Process, n: int, a: Any) -> Opened:
    """A time that has passed is answered like any other: at the next turn."""
    return Opened(a.deadline_ns)


def sys_call_cancel(k: Context, p: Process, n: int, a: Any) -> Done:
    """The race is decided here: what is open is closed with ECANCELED, and what is not has its result."""
    if a.call not in p.open:
        events, contents = return_cancelled(k, p, a.call)
        return Done(
            False, before=(*events, *returned_locks(k, p, a.call), *returned_holds(k, p, a.call)), contents=contents
        )
    closed = ev.CallClosed(p.pid, a.call, "ECANCELED", k.digest(CANCELED), p.tail)
    return Done(True, before=(*k.unfinished(p, a.call), closed), contents=(CANCELED,))
