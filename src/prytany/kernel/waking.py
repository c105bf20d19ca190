"""What lets go on who waited for a lock or for a segment's change: some in one entry. See `wakes`."""

from __future__ import annotations

from itertools import islice
from typing import Protocol

from prytany.abi import events as ev
from prytany.abi.errors import KernelError
from prytany.abi.values import pack, pack_error
from prytany.kernel.handlers.segment import held
from prytany.kernel.ledger import Ledger
from prytany.kernel.outcome import Context

AT_ONCE = 256
"""Calls that end in one entry."""


class Core(Context, Protocol):
    """The kernel, as these see it."""

    ledger: Ledger


def grant_lock(k: Core) -> bool:
    """Those who came first of who can have what they asked for have it."""
    locks = k.state.locks
    if not locks.due:
        return False
    events: list[ev.Event] = []
    contents: dict[bytes, bytes] = {}
    for fence, ticket in enumerate(islice(locks.due, AT_ONCE), locks.fences + 1):
        claim = locks.claims[ticket]
        value = pack(fence)
        contents[digest := k.digest(value)] = value
        tail = k.table.require(claim.pid).tail
        events += [ev.LockGranted(claim.pid, claim.n, fence), ev.CallClosed(claim.pid, claim.n, "", digest, tail)]
    k.ledger.commit(events, contents)
    return True


def answer_segment(k: Core) -> bool:
    """Those who wait for another version of one segment are answered with the one that is there."""
    segments = k.state.segments
    if not segments.due:
        return False
    due = [
        segments.waiting[int(pid)][int(n)]
        for pid, _, n in (key.partition(":") for key in islice(segments.due, AT_ONCE))
    ]
    first, errno = due[0], ""
    segment = segments.get(first.scope, first.name)
    try:
        value = held(k, segment)
    except KernelError as error:
        errno, value = error.errno, pack_error(error.message, error.detail)
    digest = k.digest(value)
    events = [
        ev.CallClosed(one.pid, one.n, errno, digest, k.table.require(one.pid).tail)
        for one in due
        if (one.scope, one.name) == (first.scope, first.name)
    ]
    k.ledger.commit(events, {digest: value}, payer=segment.pid if segment is not None else -1)
    return True
