"""Places: how many processes run at once.

A process that waits for another, for a time or for a person gives its place up, so that a parent never keeps its
children from running. When what it waited for comes, it goes on at once: the limit bounds what begins, and a process
that was let in is let through.
"""

from __future__ import annotations

from prytany.process.process import Process, State


class Places:
    """Who holds a place."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: set[int] = set()
        self.idle: dict[int, None] = {}
        """Who runs and holds none, in the order of what happened to them last."""

    def update(self, process: Process) -> None:
        """Take note of what `process` does now."""
        if process.needs_place():
            self._held.add(process.pid)
            self.idle.pop(process.pid, None)
        else:
            self._held.discard(process.pid)
            self.idle.pop(process.pid, None)
            if process.state is State.RUNNING:
                self.idle[process.pid] = None

    def release(self, pid: int) -> None:
        """The process is gone."""
        self._held.discard(pid)
        self.idle.pop(pid, None)

    @property
    def free(self) -> int:
        """How many may begin."""
        return self.most - len(self._held)

    def holds(self, pid: int) -> bool:
        """Whether it has one."""
        return pid in self._held
