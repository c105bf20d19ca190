"""Places: how many processes run at once.

A process that waits for another, for a time or for a person gives its place up, so that a parent never keeps its
children from running. When what it waited for comes, it goes on at once: the limit bounds what begins, and a process
that was let in is let through.

A process that has no worker is begun again by coming back, and so asks for a place, in order: after a crash no more
come back at once than may run at once. It has the place until its worker stands where it stood, and from then on as
long as it does anything but wait.
"""

from __future__ import annotations

from prytany.process.process import Process, State


class Places:
    """Who holds a place."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: set[int] = set()
        self.asked: dict[int, None] = {}
        """Who wants to come back and has no place, oldest first."""
        self.idle: dict[int, None] = {}
        """Who runs and holds none, in the order of what happened to them last."""

    def update(self, process: Process) -> None:
        """Take note of what `process` does now: it is here, by whatever way it came, and asks no more."""
        self.asked.pop(process.pid, None)
        if process.needs_place():
            self._held.add(process.pid)
            self.idle.pop(process.pid, None)
        else:
            self._held.discard(process.pid)
            self.idle.pop(process.pid, None)
            if process.state is State.RUNNING:
                self.idle[process.pid] = None

    def ask(self, pid: int) -> None:
        """It wants to come back. To ask again changes nothing."""
        if pid not in self._held:
            self.asked[pid] = None

    def next(self) -> int | None:
        """Who comes back now, with a place; None when there is none, or nobody asked."""
        if not self.asked or self.free <= 0:
            return None
        pid = next(iter(self.asked))
        del self.asked[pid]
        self.idle.pop(pid, None)
        self._held.add(pid)
        return pid

    def release(self, pid: int) -> None:
        """The process is gone."""
        self._held.discard(pid)
        self.asked.pop(pid, None)
        self.idle.pop(pid, None)

    @property
    def free(self) -> int:
        """How many may begin."""
        return self.most - len(self._held)

    def holds(self, pid: int) -> bool:
        """Whether it has one."""
        return pid in self._held
