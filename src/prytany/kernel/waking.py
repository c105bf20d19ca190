"""What lets go on who waited for a lock or for a segment's change: one entry each. See `wakes`."""

from __future__ import annotations

from typing import Protocol

from prytany.abi import events as ev
from prytany.abi.errors import KernelError
from prytany.abi.values import pack, pack_error
from prytany.kernel.handlers.segment import held
from prytany.kernel.ledger import Ledger
from prytany.kernel.outcome import Context


class Core(Context, Protocol):
    """The kernel, as these see it."""

    ledger: Ledger


def grant_lock(k: Core) -> bool:
    """Whoever came first of those that can have what they asked for has it."""
    locks = k.state.locks
    if not locks.due:
        return False
    claim = locks.claims[next(iter(locks.due))]
    fence, process = locks.fences + 1, k.table.require(claim.pid)
    value = pack(fence)
    digest = k.digest(value)
    granted = ev.LockGranted(claim.pid, claim.n, fence)
    k.ledger.commit((granted, ev.CallClosed(claim.pid, claim.n, "", digest, process.tail)), {digest: value})
    return True


def answer_segment(k: Core) -> bool:
    """Whoever waits for another version than the one that was there is answered with the one that is."""
    segments = k.state.segments
    if not segments.due:
        return False
    pid, _, n = next(iter(segments.due)).partition(":")
    waiter = segments.waiting[int(pid)][int(n)]
    errno = ""
    try:
        value = held(k, segments.get(waiter.scope, waiter.name))
    except KernelError as error:
        errno, value = error.errno, pack_error(error.message, error.detail)
    digest = k.digest(value)
    tail = k.table.require(waiter.pid).tail
    k.ledger.commit((ev.CallClosed(waiter.pid, waiter.n, errno, digest, tail),), {digest: value})
    return True
