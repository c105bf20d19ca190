"""Supervision in the kernel: what the end of a child means, as the events that it leads to.

`supervision.trees` knows who supervises whom, and `supervision.strategies` what follows; here that becomes events of
processes. Further steps, of a supervisor that ends several children, are taken by `kernel.trees`.
"""

from __future__ import annotations

from typing import NamedTuple

from prytany.abi import events as ev
from prytany.abi.supervision import GROUP, HELD_NS, KEEPS, After, Restart
from prytany.kernel.handlers.message import failed_messages
from prytany.kernel.handlers.process import exit_events
from prytany.kernel.handlers.receiving import back_to_pool
from prytany.kernel.outcome import Context
from prytany.process.process import Process, State
from prytany.supervision.strategies import beside, lately, pause_ms, too_many, wanted
from prytany.supervision.trees import Supervisor

Decided = tuple[tuple[ev.Event, ...], tuple[bytes, ...]]


class End(NamedTuple):
    """How an incarnation ended."""

    status: int
    signal: int
    reason: str
    left: bytes = b""
    cpu_us: int = 0
    failed: bool = False
    """Nobody had asked it to."""


def supervised_end(k: Context, p: Process, end: End) -> Decided | None:
    """What the end of a supervised child leads to; None where nobody supervises it."""
    trees = k.state.trees
    child, above = trees.children.get(p.pid), trees.supervisor_of(p.pid)
    if child is None or above is None:
        return None
    if p.pid in above.ending:
        return cut(k, p, above, end)
    if above.gone or not wanted(child.restart, failed=end.failed):
        return _for_good(k, p, end)
    now_ns = k.now_ns()
    if too_many(above, now_ns):
        return _gives_up(k, p, above, end)
    before = lately(trees.failing.get(p.pid, ()), now_ns, above.period_ms)
    until_ns = now_ns + pause_ms(before, p.seed, p.incarnation) * 1_000_000
    counted = ev.ChildRestarted(above.pid, p.pid)
    others = set(beside(above, p.pid)) | set(above.ending)
    if not others and above.after != After.RELEASE:
        events, contents = again(k, p, end, until_ns)
        return (counted, *events), contents
    events, contents = again(k, p, end, HELD_NS, until_ns)
    also = {p.pid} if _starts_anew(k, p) else set[int]()
    pids = [pid for pid in reversed(above.children) if (pid in others and pid not in above.held) or pid in also]
    ending = ev.TreeEnding(above.pid, pids, After.RELEASE, max(above.until_ns, until_ns), f"with {p.pid}")
    return (counted, *events, ending), contents


def cut(k: Context, p: Process, above: Supervisor, end: End) -> Decided:
    """The end of a child that its supervisor is ending: it is held, or ends for good."""
    restart = k.state.trees.children[p.pid].restart
    returned = restart == Restart.TRANSIENT and not end.status and not p.asked
    if above.after not in KEEPS or restart == Restart.TEMPORARY or returned:
        return _for_good(k, p, end)
    if p.restart_ns:
        return (ev.ProcessPostponed(p.pid, HELD_NS),), ()
    return again(k, p, end, HELD_NS)


def again(k: Context, p: Process, end: End, until_ns: int, own_ns: int = 0) -> Decided:
    """An incarnation is gone, and the next begins at `until_ns`, now where that is not later. Children that its program
    starts anew end first; then it begins at `own_ns` at the earliest, where that is not the same time."""
    events: list[ev.Event] = []
    contents: tuple[bytes, ...] = ()
    if end.failed:
        failed, contents = failed_messages(k, p)
        events += failed
    else:  # what it had in hand is nothing that it failed at
        in_hand = list(k.post.box(p.pid).in_hand)
        events += [ev.MessageReturned(p.pid, number) for number in reversed(in_hand)]
    if p.pid in k.state.pools.members:
        events += back_to_pool(k, p, [e.number for e in events if isinstance(e, ev.MessageDead)])
    events += [charge for n in p.open for charge in k.unfinished(p, n)]
    if _starts_anew(k, p):
        children = list(reversed(k.state.trees.supervisors[p.pid].children))
        not_before_ns = own_ns if until_ns == HELD_NS else until_ns
        events.append(ev.TreeEnding(p.pid, children, After.SELF, not_before_ns, end.reason))
        until_ns = HELD_NS
    number, left = p.incarnation + 1, end.left if end.failed else b""
    events.append(
        ev.ProcessFailed(p.pid, number, end.status, end.signal, end.reason, k.digest(left), until_ns, end.cpu_us)
        if end.failed
        else ev.ProcessCycled(p.pid, number, end.reason, until_ns, end.cpu_us)
    )
    # What it failed at may be what the new version mends, so it does not wait for the end of that message.
    if p.pending:
        events.append(ev.ProcessUpgraded(p.pid, p.pending, 0, p.pending_program))
    if until_ns <= k.now_ns() and p.state is not State.STOPPED:
        events.append(ev.ProcessReady(p.pid, number))
    return tuple(events), (*contents, left) if left else contents


def ready_again(p: Process, now_ns: int) -> ev.Event:
    """A process that was held begins; one that is stopped does when it goes on."""
    if p.state is State.STOPPED:
        return ev.ProcessPostponed(p.pid, now_ns)
    return ev.ProcessReady(p.pid, max(1, p.incarnation))


def keeps_children(p: Process) -> bool:
    """Whether it goes on with the children that it has when it begins again: a group has no program that would start
    others, and a `Server` is told of them by its state."""
    return p.kind == GROUP or bool(p.snapshot)


def _starts_anew(k: Context, p: Process) -> bool:
    own = k.state.trees.supervisors.get(p.pid)
    return own is not None and bool(own.children) and not keeps_children(p)


def _for_good(k: Context, p: Process, end: End) -> Decided:
    return exit_events(k, p, end.status, end.signal, end.reason, end.left, end.cpu_us, failed=end.failed)


def _gives_up(k: Context, p: Process, above: Supervisor, end: End) -> Decided:
    """A supervisor of which too many children failed: it ends the others, and then fails itself."""
    keeps = keeps_children(k.table.require(above.pid))
    held = keeps and k.state.trees.children[p.pid].restart != Restart.TEMPORARY
    events, contents = again(k, p, end, HELD_NS) if held else _for_good(k, p, end)
    also = held and _starts_anew(k, p)
    pids = [
        pid for pid in reversed(above.children) if (also if pid == p.pid else not (keeps and pid in above.held))
    ]  # fmt: skip
    why = f"more than {above.intensity} restarts in {above.period_ms / 1000:g} s"
    after = After.FAIL_HELD if keeps else After.FAIL
    return (*events, ev.TreeEnding(above.pid, pids, after, 0, why)), contents
