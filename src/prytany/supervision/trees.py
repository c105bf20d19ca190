"""Supervision trees of a shard: a fold of who supervises whom, and of what a supervisor is doing with its children.

    running ─ a child fails ─▶ it begins again                                one_for_one, dynamic
       │                └────▶ ending ─ all have ended ─▶ those held begin    one_for_all, rest_for_one
       ├─ too many restarts ─▶ ending ─ all have ended ─▶ it fails itself
       └─ it is to end ──────▶ ending ─ all have ended ─▶ it ends

A supervisor is a process; what is here is what it supervises, and may outlive it until its children have ended. Who is
ended to begin again is held (`abi.supervision.HELD_NS`): it has no incarnation, and keeps pid, mailbox and context.

Invariants: `children` are alive, in the order in which they were started; `due` are exactly those supervisors of which
the next step can be decided by what stands here and the time of the last entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import KernelPanic
from prytany.abi.supervision import HELD_NS, After, Restart, Strategy

FAILURES_KEPT = 32
"""Times of restarts of one process that are kept, for its backoff."""


class Child(msgspec.Struct, array_like=True):
    """What was said of a child when it was started."""

    supervisor: int
    """0 for none."""
    restart: str
    shutdown_ms: int
    progress_ms: int = 0


class Supervisor(msgspec.Struct, array_like=True):
    """What one process supervises, and how."""

    pid: int
    strategy: str
    intensity: int
    period_ms: int
    group: bool = False
    children: dict[int, None] = {}
    held: dict[int, None] = {}
    """Those of them that begin when it says so."""
    times: list[int] = []
    """Of the restarts that count, the newest last; of the current incarnation, and no more than `intensity`."""
    restarts: int = 0
    """How many there were in all."""
    ending: dict[int, None] = {}
    """Those that are to end, the next first."""
    after: str = ""
    """What happens then; "" while it ends nobody."""
    until_ns: int = 0
    reason: str = ""
    signal: int = 0
    begins: bool = False
    """It is ready: what it holds begins with it."""
    gone: bool = False
    """Its process has ended."""

    def next(self, told: dict[int, int]) -> list[int]:
        """Whose turn it is to end: one after the other, or of a dynamic one all that were not told."""
        if self.strategy == Strategy.DYNAMIC:
            return [pid for pid in self.ending if pid not in told]
        first = next(iter(self.ending), 0)
        return [first] if first and first not in told else []


class Trees(msgspec.Struct):
    """All of a shard, by pid."""

    supervisors: dict[int, Supervisor] = {}
    children: dict[int, Child] = {}
    told: dict[int, int] = {}
    """Who is being ended, to the time when it is killed; 0 for not yet."""
    due: dict[int, None] = {}
    failing: dict[int, list[int]] = {}
    """Times at which processes failed or began again lately; of those that live."""

    def supervisor_of(self, pid: int) -> Supervisor | None:
        """Who supervises a process; None where nobody does."""
        child = self.children.get(pid)
        return self.supervisors.get(child.supervisor) if child is not None else None

    def declared(self, seq: int, time_ns: int, e: ev.TreeDeclared) -> None:
        """Fold that a process supervises, or does so otherwise."""
        found = self.supervisors.get(e.pid)
        if found is None:
            self.supervisors[e.pid] = Supervisor(e.pid, e.strategy, e.intensity, e.period_ms, e.group)
        else:
            found.strategy, found.intensity, found.period_ms = e.strategy, e.intensity, e.period_ms
            found.times = found.times[-e.intensity :] if e.intensity else []

    def supervised(self, seq: int, time_ns: int, e: ev.ChildSupervised) -> None:
        """Fold a new child. That of a group begins with it, or when it is told to."""
        self.children[e.pid] = Child(e.supervisor, e.restart, e.shutdown_ms, e.progress_ms)
        if e.supervisor:
            found = self.require(e.supervisor)
            found.children[e.pid] = None
            if found.group:
                found.held[e.pid] = None

    def dropped(self, seq: int, time_ns: int, e: ev.ChildDropped) -> None:
        """Fold that it is not begun again."""
        child = self.children.get(e.pid)
        if child is not None:
            child.restart = Restart.TEMPORARY

    def restarted(self, seq: int, time_ns: int, e: ev.ChildRestarted) -> None:
        """Fold a restart that counts."""
        found = self.require(e.supervisor)
        found.restarts += 1
        found.times = [*found.times, time_ns][-found.intensity :] if found.intensity else []

    def ending(self, seq: int, time_ns: int, e: ev.TreeEnding) -> None:
        """Fold that it ends children."""
        found = self.require(e.supervisor)
        found.ending = dict.fromkeys(e.pids)
        found.after, found.until_ns, found.reason, found.signal = e.after, e.until_ns, e.reason, e.signal
        self._look(found, time_ns)

    def was_told(self, seq: int, time_ns: int, e: ev.ChildTold) -> None:
        """Fold that it is the turn of a process to end."""
        self.told[e.pid] = e.kill_ns
        self._look_above(e.pid, time_ns)

    def settled(self, seq: int, time_ns: int, e: ev.TreeSettled) -> None:
        """Fold that nobody is being ended any more."""
        found = self.require(e.supervisor)
        ended, found.after, found.ending, found.until_ns, found.reason = found.after, "", {}, 0, ""
        self._look(found, time_ns)
        self._let_go(found)
        if ended == After.SELF:  # it has failed itself, and is as good as held from here on
            self._ended(e.supervisor, time_ns)

    def begins_again(self, seq: int, time_ns: int, e: ev.ProcessFailed | ev.ProcessCycled) -> None:
        """Fold that an incarnation is gone."""
        if isinstance(e, ev.ProcessFailed) or e.until_ns != HELD_NS:
            self.failing[e.pid] = [*self.failing.get(e.pid, ()), time_ns][-FAILURES_KEPT:]
        self._holds(e.pid, e.until_ns, time_ns)
        self._ended(e.pid, time_ns)

    def postponed(self, seq: int, time_ns: int, e: ev.ProcessPostponed) -> None:
        """Fold that it begins at another time."""
        self._holds(e.pid, e.until_ns, time_ns)
        self._ended(e.pid, time_ns)

    def ready(self, seq: int, time_ns: int, e: ev.ProcessReady) -> None:
        """Fold that a process begins."""
        above = self.supervisor_of(e.pid)
        if above is not None:
            self._release(above, e.pid, time_ns)
        found = self.supervisors.get(e.pid)
        if found is not None:
            found.times = []
            found.begins = found.group or bool(found.held)
            self._look(found, time_ns)

    def started(self, seq: int, time_ns: int, e: ev.ProcessStarted) -> None:
        """Fold that it has begun, and what it held with it."""
        found = self.supervisors.get(e.pid)
        if found is not None and found.begins:
            found.begins = False
            self._look(found, time_ns)

    def exited(self, seq: int, time_ns: int, e: ev.ProcessExited) -> None:
        """Fold an end: of a child, of a supervisor, or of both."""
        found = self.supervisors.get(e.pid)
        if found is not None:
            found.gone, found.begins, found.after, found.ending, found.until_ns = True, False, "", {}, 0
            self._look(found, time_ns)
            self._let_go(found)
        self._ended(e.pid, time_ns)
        child = self.children.pop(e.pid, None)
        self.failing.pop(e.pid, None)
        above = self.supervisors.get(child.supervisor) if child is not None else None
        if above is not None:
            above.children.pop(e.pid, None)
            above.held.pop(e.pid, None)
            self._look(above, time_ns)
            self._let_go(above)

    def require(self, pid: int) -> Supervisor:
        """What a process supervises; raises KernelPanic where it is none."""
        found = self.supervisors.get(pid)
        if found is None:
            raise KernelPanic(f"an event names process {pid} as a supervisor, and it is none")
        return found

    def _holds(self, pid: int, until_ns: int, time_ns: int) -> None:
        above = self.supervisor_of(pid)
        if above is not None and pid in above.children:
            if until_ns == HELD_NS:
                above.held[pid] = None
            else:
                self._release(above, pid, time_ns)

    def _release(self, above: Supervisor, pid: int, time_ns: int) -> None:
        """It is held no more. A group has begun when it says so itself; a program, with the last that it held."""
        if above.held.pop(pid, 0) is None and above.begins and not above.group and not above.held:
            above.begins = False
            self._look(above, time_ns)

    def _ended(self, pid: int, time_ns: int) -> None:
        """Nothing of it runs any more."""
        self.told.pop(pid, None)
        above = self.supervisor_of(pid)
        if above is not None and pid in above.ending:
            own = self.supervisors.get(pid)
            if own is None or own.after != After.SELF:  # else its own children are still to end
                del above.ending[pid]
            self._look(above, time_ns)

    def _look_above(self, pid: int, time_ns: int) -> None:
        above = self.supervisor_of(pid)
        if above is not None:
            self._look(above, time_ns)

    def _look(self, found: Supervisor, time_ns: int) -> None:
        """Whether its next step can be decided."""
        if found.after:
            due = bool(found.next(self.told)) if found.ending else found.until_ns <= time_ns
        else:
            due = found.begins or (found.gone and bool(found.children))
        if due:
            self.due[found.pid] = None
        else:
            self.due.pop(found.pid, None)

    def _let_go(self, found: Supervisor) -> None:
        if found.gone and not found.children and not found.after:
            self.supervisors.pop(found.pid, None)
            self.due.pop(found.pid, None)


FOLDS: dict[type, Callable[[Trees, int, int, Any], None]] = {
    ev.TreeDeclared: Trees.declared,
    ev.ChildSupervised: Trees.supervised,
    ev.ChildDropped: Trees.dropped,
    ev.ChildRestarted: Trees.restarted,
    ev.TreeEnding: Trees.ending,
    ev.ChildTold: Trees.was_told,
    ev.TreeSettled: Trees.settled,
    ev.ProcessFailed: Trees.begins_again,
    ev.ProcessCycled: Trees.begins_again,
    ev.ProcessPostponed: Trees.postponed,
    ev.ProcessReady: Trees.ready,
    ev.ProcessStarted: Trees.started,
    ev.ProcessExited: Trees.exited,
}
