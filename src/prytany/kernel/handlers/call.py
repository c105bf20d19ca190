"""Calls about calls and time."""

from __future__ import annotations

from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.kernel.outcome import Context, Done, Opened
from prytany.process.process import Process

CANCELED = msgspec.msgpack.encode(["the call was cancelled", {}])


def sys_nop(k: Context, p: Process, n: int, a: Any) -> Done:
    """Nothing, durably."""
    return Done()


def sys_timer_wait(k: Context, p: Process, n: int, a: Any) -> Opened:
    """A time that has passed is answered like any other: at the next turn."""
    return Opened(a.deadline_ns)


def sys_call_cancel(k: Context, p: Process, n: int, a: Any) -> Done:
    """The race is decided here: what is open is closed with ECANCELED, and what is not has its result."""
    if a.call not in p.open:
        return Done(False)
    closed = ev.CallClosed(p.pid, a.call, "ECANCELED", k.digest(CANCELED), p.tail)
    return Done(True, before=(*k.unfinished(p, a.call), closed), contents=(CANCELED,))
