"""What is shared, as rows; and what an operator takes from those who have it."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from itertools import islice

from prytany.abi import control
from prytany.abi import events as ev
from prytany.abi.errors import Einval, Enoent
from prytany.ipc.locks import ALONE, Claim, Line
from prytany.kernel.ledger import Ledger
from prytany.kernel.state import ShardState


def lock_rows(state: ShardState, after: str) -> list[control.LockRow]:
    """A page of the locks that somebody has or waits for."""
    keys = nsmallest(control.ROWS_MAX, (key for key in state.locks.lines if key > after))
    return [_lock_row(state, key, state.locks.lines[key]) for key in keys]


def _lock_row(state: ShardState, key: str, line: Line) -> control.LockRow:
    scope, _, name = key.partition("/")
    claims = state.locks.claims
    held = [ticket for ticket in line.has if claims[ticket].fence]
    coming = (ticket for ticket in line.has if not claims[ticket].fence)
    waiters = islice((*coming, *line.waits), control.QUEUE_SHOWN_MAX)
    return control.LockRow(
        scope=scope, where=where(state, scope), name=name,
        permits=line.capacity if line.capacity != ALONE else 0,
        held=len(held), waiting=len(line.has) - len(held) + len(line.waits),
        holders=_claim_rows(state, name, line, (claims[ticket] for ticket in held[: control.QUEUE_SHOWN_MAX])),
        waiters=_claim_rows(state, name, line, (claims[ticket] for ticket in waiters)),
    )  # fmt: skip


def _claim_rows(state: ShardState, name: str, line: Line, claims: Iterable[Claim]) -> list[control.ClaimRow]:
    return [
        control.ClaimRow(
            pid=claim.pid, name=_name(state, claim.pid), n=claim.n, fence=claim.fence, since_ns=claim.since_ns,
            shared=line.capacity == ALONE > claim.takes[name],
        )
        for claim in claims
    ]  # fmt: skip


def segment_rows(state: ShardState, after: str) -> list[control.SegmentRow]:
    """A page of the segments that there are."""
    segments = state.segments
    keys = nsmallest(
        control.ROWS_MAX,
        (
            (scope, name)
            for scope, of in segments.scopes.items()
            for name in of.segments
            if f"{scope}/{name}" > after
        ),
        key="/".join,
    )  # fmt: skip
    rows: list[control.SegmentRow] = []
    for scope, name in keys:
        one = segments.scopes[scope].segments[name]
        rows.append(
            control.SegmentRow(
                scope=scope, where=where(state, scope), name=name, version=one.version, size_bytes=one.size_bytes,
                pid=one.pid, writer=_name(state, one.pid), written_ns=one.written_ns,
                waiting=len(segments.watched.get(f"{scope}/{name}", ())), entry=one.seq, value=one.value.hex(),
            )
        )  # fmt: skip
    return rows


def where(state: ShardState, scope: str) -> str:
    """A scope, for people."""
    kind, _, number = scope.partition(":")
    fleet = state.fleets.fleets.get(int(number)) if kind == "fleet" else None
    return f"run {number}" if kind == "run" else f"fleet {fleet.name if fleet is not None else number}"


def break_lock(ledger: Ledger, name: str, scope: str, uid: int) -> int:
    """Take a lock from all who have it; how many that were.

    Raises:
        Enoent: nobody has it.
        Einval: locks of several scopes have that name, and none is said.
    """
    locks = ledger.state.locks
    keys = [f"{scope}/{name}"] if scope else [key for key in locks.lines if key.partition("/")[2] == name]
    held = {
        key: found
        for key in keys
        if (line := locks.lines.get(key)) is not None
        and (found := [claim for ticket in line.has if (claim := locks.claims[ticket]).fence])
    }
    if not held:
        raise Enoent(f"nobody has a lock {name!r}{f' in {scope}' if scope else ''}")
    if len(held) > 1:
        scopes = [key.partition("/")[0] for key in held]
        raise Einval(f"{len(held)} scopes have a lock {name!r}: {', '.join(scopes[:10])}", detail={"scopes": scopes})
    ((_, claims),) = held.items()
    released = [ev.LockReleased(claim.pid, claim.fence, uid) for claim in claims]
    ledger.commit((ev.OperatorCommanded(uid, f"locks break {name}", 0), *released), {}, payer=0)
    return len(claims)


def _name(state: ShardState, pid: int) -> str:
    process = state.table.get(pid)
    return process.name if process is not None else ""
