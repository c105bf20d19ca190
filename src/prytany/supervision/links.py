"""Links and monitors: who is to be told of whose end, or ends with it; a fold.

A link is one-way: `affected` ends with `source`, or is told. Where both name each other there are two. Of each end
every link and monitor speaks once, and is gone then. What is to be said is `due` until it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from prytany.abi import events as ev

DOWN, EXIT, ENDS = "down", "exit", "ends"
"""What is due: a message of a monitor, one of a link, or the end of who is linked."""


class Notice(msgspec.Struct, array_like=True):
    """What is to be said to `pid` of the end of `about`."""

    kind: str
    pid: int
    about: int
    status: int
    signal: int
    reason: str
    restarting: bool
    ref: int = 0


class Links(msgspec.Struct):
    """All of a shard."""

    affected: dict[int, dict[int, bool]] = {}
    """By source: who is affected by its end, and whether it is told (True) or ends."""
    sources: dict[int, dict[int, None]] = {}
    """The other way."""
    monitors: dict[int, tuple[int, int]] = {}
    """By number: who watches, and whom."""
    watched: dict[int, dict[int, None]] = {}
    """The monitors of whose end."""
    watching: dict[int, dict[int, None]] = {}
    """The monitors of each who watches."""
    next_ref: int = 1
    due: dict[int, Notice] = {}
    next_due: int = 1

    def count(self, pid: int) -> int:
        """How many links and monitors a process has."""
        return len(self.sources.get(pid, ())) + len(self.watching.get(pid, ()))

    def linked(self, seq: int, e: ev.LinkMade) -> None:
        """Fold a link, or another way of it."""
        self.affected.setdefault(e.source, {})[e.pid] = e.told
        self.sources.setdefault(e.pid, {})[e.source] = None

    def unlinked(self, seq: int, e: ev.LinkDropped) -> None:
        """Fold that there is none."""
        _drop(self.affected, e.source, e.pid)
        _drop(self.sources, e.pid, e.source)

    def monitored(self, seq: int, e: ev.MonitorSet) -> None:
        """Fold a monitor."""
        self.monitors[e.ref] = (e.pid, e.target)
        self.watched.setdefault(e.target, {})[e.ref] = None
        self.watching.setdefault(e.pid, {})[e.ref] = None
        self.next_ref = e.ref + 1

    def demonitored(self, seq: int, e: ev.MonitorDropped) -> None:
        """Fold that there is none, and that nothing is said of it any more."""
        pid, target = self.monitors.pop(e.ref, (0, 0))
        _drop(self.watched, target, e.ref)
        _drop(self.watching, pid, e.ref)
        for number in [n for n, notice in self.due.items() if notice.ref == e.ref]:
            del self.due[number]

    def failed(self, seq: int, e: ev.ProcessFailed) -> None:
        """Fold the end of an incarnation, after which another begins."""
        self._ended(e.pid, e.status, e.signal, e.reason, restarting=True)

    def cycled(self, seq: int, e: ev.ProcessCycled) -> None:
        """Fold an end that is no failure: whoever watches is told, and links stay."""
        self._down(e.pid, 0, 0, e.reason, restarting=True)

    def exited(self, seq: int, e: ev.ProcessExited) -> None:
        """Fold an end for good, of who is watched and of who watches."""
        self._ended(e.pid, e.status, e.signal, e.reason, restarting=False)
        for source in self.sources.pop(e.pid, {}):
            _drop(self.affected, source, e.pid)
        for ref in self.watching.pop(e.pid, {}):
            _drop(self.watched, self.monitors.pop(ref)[1], ref)

    def said(self, seq: int, e: ev.EndTold) -> None:
        """Fold that what was due was said."""
        self.due.pop(e.number, None)

    def _ended(self, pid: int, status: int, signal: int, reason: str, *, restarting: bool) -> None:
        self._down(pid, status, signal, reason, restarting=restarting)
        for other, told in self.affected.pop(pid, {}).items():
            _drop(self.sources, other, pid)
            if told or status:
                self._add(Notice(EXIT if told else ENDS, other, pid, status, signal, reason, restarting))

    def _down(self, pid: int, status: int, signal: int, reason: str, *, restarting: bool) -> None:
        for ref in self.watched.pop(pid, {}):
            watcher, _ = self.monitors.pop(ref)
            _drop(self.watching, watcher, ref)
            self._add(Notice(DOWN, watcher, pid, status, signal, reason, restarting, ref))

    def _add(self, notice: Notice) -> None:
        self.due[self.next_due] = notice
        self.next_due += 1


def _drop(index: dict[int, Any], of: int, one: int) -> None:
    there = index.get(of)
    if there is not None:
        there.pop(one, None)
        if not there:
            del index[of]


FOLDS: dict[type, Callable[[Links, int, Any], None]] = {
    ev.LinkMade: Links.linked,
    ev.LinkDropped: Links.unlinked,
    ev.MonitorSet: Links.monitored,
    ev.MonitorDropped: Links.demonitored,
    ev.EndTold: Links.said,
    ev.ProcessFailed: Links.failed,
    ev.ProcessCycled: Links.cycled,
    ev.ProcessExited: Links.exited,
}
