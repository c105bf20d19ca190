"""A call that waits for a lock, or for a change of a shared segment."""

from __future__ import annotations

from prytany.ipc.locks import Claim
from prytany.kernel.waiting.edge import Cause, Look, named
from prytany.process.process import OpenCall, Process
from prytany.scheduling.words import span

NAMED_MAX = 4
"""Holders of one lock that are named; the rest are counted."""


def lock(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """Who has what it wants, and how many wait before it."""
    if call.call != "lock_acquire":
        return None
    lines: list[str] = []
    leads = dict[int, None]()
    for line in look.state.locks.before(p.pid, n):
        held, others_wait = list[Claim](), 0
        for claim, _ in line.before():
            leads[claim.pid] = None
            if claim.fence:
                held.append(claim)
            else:
                others_wait += 1
        lines.append(_said(look, line.name, held, others_wait))
    if not lines:
        return Cause("lock", "a lock, whose turn it is", help=("locks",))
    text = f"the lock {' and the lock '.join(lines)}{until(look, call)}"
    return Cause("lock", text, help=("locks",), leads=tuple(pid for pid in leads if pid != p.pid or len(leads) == 1))


def _said(look: Look, name: str, held: list[Claim], others_wait: int) -> str:
    having = ", ".join(named(look, claim.pid) for claim in held[:NAMED_MAX])
    more = f" and {len(held) - NAMED_MAX} more" if len(held) > NAMED_MAX else ""
    since = span(look.now_ns - held[0].since_ns) if held else ""
    has = f", which {having}{more} {'has' if len(held) == 1 else 'have'} for {since}" if held else ""
    line = f"; {others_wait} {'waits' if others_wait == 1 else 'wait'} before it" if others_wait else ""
    return f"{name!r}{has}{line}"


def segment(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """Nobody has changed it."""
    waiter = look.state.segments.waiter(p.pid, n) if call.call == "segment_wait" else None
    if waiter is None:
        return None
    there = f"which stands at version {waiter.after}" if waiter.after else "which there is not"
    text = f"a change of the segment {waiter.name!r}, {there}{until(look, call)}"
    return Cause("segment", text, help=("shared",))


def until(look: Look, call: OpenCall) -> str:
    """How long it waits at most."""
    return f", for {span(call.subject - look.now_ns)} at most" if call.subject > 0 else ""
