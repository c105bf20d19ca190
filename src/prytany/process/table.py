"""The process table: what the journal's events fold into, in `process.fold`."""

from __future__ import annotations

import msgspec

from prytany.abi.errors import KernelPanic
from prytany.process.process import Process


class Table(msgspec.Struct):
    """All processes of a shard, zombies included. Invariant: `ready` holds exactly the ready ones, oldest first."""

    processes: dict[int, Process] = {}
    ready: dict[int, None] = {}
    running: dict[int, None] = {}
    restarting: dict[int, int] = {}
    """Who failed and begins again, to the time when."""
    incidents: dict[str, int] = {}
    """`pid:kind:call` of what needs a person, to the time it came up."""
    next_number: int = 1
    time_ns: int = 0
    journal_bytes: int = 0  # what the tenant put into the journal: records and contents
    before_ns: int = 0
    """The time of the event before."""

    def get(self, pid: int) -> Process | None:
        """The process, or None when there is none of that pid."""
        return self.processes.get(pid)

    def require(self, pid: int) -> Process:
        """The process; a pid that events name and the table lacks is a panic."""
        process = self.processes.get(pid)
        if process is None:
            raise KernelPanic(f"an event names process {pid}, which is not in the table")
        return process

    def descends(self, pid: int, ancestor: int) -> bool:
        """Whether `pid` stands below `ancestor`."""
        process = self.processes.get(pid)
        while process is not None:
            if process.parent == ancestor:
                return True
            process = self.processes.get(process.parent)
        return False
