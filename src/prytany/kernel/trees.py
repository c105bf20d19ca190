"""Supervisors at work: what each does next, right behind the entry that made it due, or when its time has come.

A supervisor ends its children one after the other, the last that was started first: it tells one by TERM, waits for
its end, kills it when its grace time is over, and goes on to the next. A child that supervises itself ends its own
children before. What happens when all have ended stands in `abi.supervision.After`.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable
from typing import Protocol

from prytany.abi import events as ev
from prytany.abi.signals import Signal
from prytany.abi.supervision import GROUP, HELD_NS, KEEPS, After, Restart
from prytany.kernel.alarm import Alarm
from prytany.kernel.groups import begin_events
from prytany.kernel.handlers.incarnation import judged
from prytany.kernel.handlers.judging import Decided, End, cut, keeps_children, ready_again
from prytany.kernel.handlers.link import say
from prytany.kernel.handlers.process import exit_events
from prytany.kernel.ledger import Ledger
from prytany.kernel.outcome import Context
from prytany.ports.clock import Clock
from prytany.process.process import Process, State
from prytany.supervision.trees import Supervisor

TOLD_AT_ONCE = 256
"""Children of a dynamic supervisor, in one entry."""
KILLED = 128 + Signal.KILL
LATE = "killed: it did not end in time"


class Core(Context, Protocol):
    """The kernel, as supervisors see it."""

    ledger: Ledger
    closing: bool

    def lost(self, task: asyncio.Task[None]) -> None:
        """A task has ended; what it raised stops the kernel."""
        ...


def fill(k: Core) -> bool:
    """Say what is due of an end, or take the next step of a supervisor that is due; False where nothing is."""
    trees, links = k.state.trees, k.state.links
    if links.due:
        number, said = next(iter(links.due.items()))
        _commit(k, say(k, number, said))
        return True
    if not trees.due:
        return False
    _commit(k, _step(k, trees.supervisors[next(iter(trees.due))]))
    return True


def _commit(k: Core, decided: Decided) -> None:
    events, contents = decided
    k.ledger.commit(events, {k.digest(content): content for content in contents}, payer=0, reserve=True)


def _step(k: Context, found: Supervisor) -> Decided:
    if found.after and not found.ending:
        return _conclude(k, found)
    if found.after:
        return _joined(_tell(k, found, pid) for pid in found.next(k.state.trees.told)[:TOLD_AT_ONCE])
    if found.gone:
        why = "its supervisor has ended"
        return (ev.TreeEnding(found.pid, list(reversed(found.children)), After.GONE, 0, why),), ()
    p = k.table.require(found.pid)
    begins = begin_events(p) if found.group else ()
    on = (ev.ProcessContinued(p.pid),) if begins and p.state is State.STOPPED else ()
    return (*on, *begins, *_release(k, found)), ()


def _joined(decided: Iterable[Decided]) -> Decided:
    events: list[ev.Event] = []
    contents: list[bytes] = []
    for more, values in decided:
        events += more
        contents += values
    return tuple(events), tuple(contents)


def _release(k: Context, found: Supervisor) -> list[ev.Event]:
    """All that are held begin, in the order in which they were started."""
    now_ns = k.now_ns()
    return [ready_again(k.table.require(pid), now_ns) for pid in found.children if pid in found.held]


def _tell(k: Context, found: Supervisor, pid: int) -> Decided:
    """It is the turn of a child to end."""
    trees, p = k.state.trees, k.table.require(pid)
    own, child = trees.supervisors.get(pid), trees.children[pid]
    if own is not None and own.after not in ("", After.RELEASE):
        return (ev.ChildTold(pid, 0),), ()  # it ends its own already
    if own is not None and own.children:
        held = found.after in KEEPS and child.restart != Restart.TEMPORARY and keeps_children(p)
        pids = [at for at in reversed(own.children) if not (held and at in own.held)]
        after = After.HOLD if held else After.TERM
        return (ev.ChildTold(pid, 0), ev.TreeEnding(pid, pids, after, 0, found.reason, Signal.TERM)), ()
    return _end(k, p, found, Signal.TERM)


def _end(k: Context, p: Process, above: Supervisor, signal: int) -> Decided:
    """A child is told to end, with its grace time; or ends now, where nobody is there to be told."""
    shutdown_ms = k.state.trees.children[p.pid].shutdown_ms
    if p.state is not State.RUNNING or p.kind == GROUP or not shutdown_ms:
        signal = signal if shutdown_ms else Signal.KILL
        return cut(k, p, above, End(128 + signal, signal, above.reason))
    told = () if p.asked else (ev.ProcessSignalled(p.pid, signal, above.pid, p.tail),)
    return (*told, ev.ChildTold(p.pid, k.now_ns() + shutdown_ms * 1_000_000)), ()


def _conclude(k: Context, found: Supervisor) -> Decided:
    """All that it ended have ended."""
    settled = ev.TreeSettled(found.pid)
    above = k.state.trees.supervisor_of(found.pid)
    outer = above if above is not None and found.pid in above.ending else None
    match found.after:
        case After.RELEASE:
            return (settled, *_release(k, found)), ()
        case After.GONE:
            return (settled,), ()
        case _:
            events, contents = _itself(k, found, k.table.require(found.pid), outer)
            return (settled, *events), contents


def _itself(k: Context, found: Supervisor, p: Process, outer: Supervisor | None) -> Decided:
    """What becomes of a supervisor whose children have ended; `outer` is the one that ends it, if one does."""
    signal = found.signal or Signal.TERM
    if found.after == After.SELF:
        if outer is None:
            return (ready_again(p, k.now_ns()),), ()
        return cut(k, p, outer, End(KILLED, Signal.KILL, outer.reason))
    if found.after in (After.FAIL, After.FAIL_HELD):
        if outer is not None:
            return cut(k, p, outer, End(1, 0, found.reason, failed=True))
        return judged(k, p, End(1, 0, found.reason, failed=True))
    if outer is not None:
        return _end(k, p, outer, signal)
    if found.after == After.HOLD:
        return (*_release(k, found),), ()
    if p.kind == GROUP or p.state is not State.RUNNING:
        return exit_events(k, p, 128 + signal, signal, f"ended by SIG{Signal(signal).name}", b"")
    return (ev.ProcessSignalled(p.pid, signal, -1, p.tail),), ()


class TreeTimes:
    """When something is due by time: the end of a grace time, or of a pause before children begin again."""

    def __init__(self, kernel: Core, clock: Clock, lost: Callable[[asyncio.Task[None]], None]) -> None:
        self._k = kernel
        self._alarm = Alarm(clock, self._ring, lost)
        self._at: list[tuple[int, int]] = []
        """Times and pids, by time; one that has another by now is passed over."""

    def begin(self) -> None:
        """A kernel goes on."""
        trees = self._k.state.trees
        for pid in (*trees.told, *trees.supervisors):
            self.look(pid)

    def look(self, pid: int) -> None:
        """Something was said of it."""
        trees = self._k.state.trees
        found = trees.supervisors.get(pid)
        until_ns = found.until_ns if found is not None and found.after else 0
        for at_ns in (trees.told.get(pid, 0), until_ns):
            if 0 < at_ns < HELD_NS:
                heapq.heappush(self._at, (at_ns, pid))
        self._alarm.set(self._at[0][0] if self._at else None)

    async def close(self) -> None:
        """Nothing is due any more."""
        await self._alarm.close()

    def _ring(self) -> None:
        now_ns = self._k.ledger.now_ns()
        while self._at and self._at[0][0] <= now_ns and not self._k.closing:
            at_ns, pid = heapq.heappop(self._at)
            self._due(at_ns, pid)
        self._alarm.set(self._at[0][0] if self._at else None)

    def _due(self, at_ns: int, pid: int) -> None:
        k, trees = self._k, self._k.state.trees
        p, found = k.table.get(pid), trees.supervisors.get(pid)
        if p is not None and p.alive and trees.told.get(pid) == at_ns:
            above = trees.supervisor_of(pid)
            end = End(KILLED, Signal.KILL, LATE)
            if above is not None and pid in above.ending:
                _commit(k, cut(k, p, above, end))
            else:
                _commit(k, exit_events(k, p, end.status, end.signal, end.reason, b""))
        elif found is not None and found.after and not found.ending and found.until_ns == at_ns:
            _commit(k, _conclude(k, found))
