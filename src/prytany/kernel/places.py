"""Places: how many processes run at once, and who is next.

A process that waits for another, for a time or for a person gives its place up, so that a parent never keeps its
children from running. When what it waited for comes, it goes on at once: the limit bounds what begins, and a process
that was let in is let through.

A process that has no worker is begun again by coming back, and so asks for a place, in order: after a crash no more
come back at once than may run at once. It has the place until its worker stands where it stood, and from then on as
long as it does anything but wait.

Where places are scarce the most urgent class goes first; in a class who comes back, and then who begins; each in the
order in which they asked. They age: by `STEP_NS` of waiting one has made good a step of that order, so that nobody is
overtaken for ever. A class may have a bound of its own; beyond it, it leaves free places to the others. All costs a
logarithm of how many wait.

Source: ageing, Silberschatz, "Operating System Concepts", 5.3.4.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import NamedTuple

from prytany.abi.qos import Qos
from prytany.process.process import Process, State

CLASSES = len(Qos)

STEP_NS = 10_000_000_000
"""After so long a wait, one goes before whoever comes now one line above; there are two lines a class."""
SPARE = 64
"""Entries of a line that may be void, beside as many as stand in it."""


class Next(NamedTuple):
    """Who has a place now: one who comes back, or one who begins."""

    pid: int
    begins: bool


class _Asked(NamedTuple):
    key_ns: int
    order: int
    pid: int


class Places:
    """Who holds a place."""

    def __init__(self, most: int, now_ns: Callable[[], int] = lambda: 0) -> None:
        self.most = most
        self.bounds: dict[int, int] = {}
        """How many of a class at once, where it has a bound of its own."""
        self._now_ns = now_ns
        self._held: dict[int, int] = {}  # by pid: the class that it is counted in
        self._running = [0] * CLASSES
        self._lines: list[list[_Asked]] = [[] for _ in range(2 * CLASSES)]  # of each class: who comes back, who begins
        self._asked: dict[int, tuple[int, _Asked]] = {}  # where it stands; what stands elsewhere is no more
        self._order = 0
        self.idle: dict[int, None] = {}
        """Who runs and holds none, in the order of what happened to them last."""

    def update(self, process: Process) -> None:
        """Take note of what `process` does now: it is here, by whatever way it came, and asks no more."""
        pid = process.pid
        self._asked.pop(pid, None)
        self.idle.pop(pid, None)
        if process.needs_place():
            self._hold(pid, process.qos)
        else:
            self._let_go(pid)
            if process.state is State.RUNNING:
                self.idle[pid] = None

    def ask(self, pid: int, qos: int, *, begins: bool = False) -> None:
        """It wants to come back, or to begin. To ask again changes nothing but the class, and keeps its turn in it."""
        if pid in self._held:
            return
        line = 2 * qos + begins
        if (asked := self._asked.get(pid)) is not None:
            if asked[0] == line:
                return
            since_ns = asked[1].key_ns - asked[0] * STEP_NS
        else:
            since_ns = self._now_ns()
        self._order += 1
        entry = _Asked(since_ns + line * STEP_NS, self._order, pid)
        self._asked[pid] = line, entry
        heappush(self._lines[line], entry)
        if len(self._lines[line]) > 2 * len(self._asked) + SPARE:
            self._lines[line] = sorted(entry for at, entry in self._asked.values() if at == line)

    def changed(self, pid: int, qos: int) -> None:
        """It is of that class from now on."""
        if pid in self._held:
            self._let_go(pid)
            self._hold(pid, qos)
        elif (asked := self._asked.get(pid)) is not None:
            self.ask(pid, qos, begins=bool(asked[0] % 2))

    def next(self, *, may_begin: bool = True) -> Next | None:
        """Who has a place now, with it; None when there is none, or nobody asked who may have it."""
        if self.free <= 0:
            return None
        found: tuple[_Asked, int] | None = None
        for qos in range(CLASSES):
            if self._running[qos] >= self.bounds.get(qos, self.most):
                continue
            for line in range(2 * qos, 2 * qos + 1 + may_begin):
                head = self._head(line)
                if head is not None and (found is None or head < found[0]):
                    found = head, line
        if found is None:
            return None
        entry, line = found
        heappop(self._lines[line])
        del self._asked[entry.pid]
        self.idle.pop(entry.pid, None)
        self._hold(entry.pid, line // 2)
        return Next(entry.pid, bool(line % 2))

    def release(self, pid: int) -> None:
        """The process is gone."""
        self._let_go(pid)
        self._asked.pop(pid, None)
        self.idle.pop(pid, None)

    @property
    def asked(self) -> int:
        """How many want one and have none."""
        return len(self._asked)

    @property
    def free(self) -> int:
        """How many may begin."""
        return self.most - len(self._held)

    def holds(self, pid: int) -> bool:
        """Whether it has one."""
        return pid in self._held

    def held(self) -> list[int]:
        """Who has one."""
        return list(self._held)

    def of_class(self, qos: int) -> int:
        """How many of a class have one."""
        return self._running[qos]

    def _hold(self, pid: int, qos: int) -> None:
        before = self._held.get(pid)
        if before != qos:
            self._let_go(pid)
            self._held[pid] = qos
            self._running[qos] += 1

    def _let_go(self, pid: int) -> None:
        qos = self._held.pop(pid, None)
        if qos is not None:
            self._running[qos] -= 1

    def _head(self, line: int) -> _Asked | None:
        """Its first, without those that stand elsewhere by now."""
        entries = self._lines[line]
        while entries:
            asked = self._asked.get(entries[0].pid)
            if asked is not None and asked[1] is entries[0]:
                return entries[0]
            heappop(entries)
        return None
