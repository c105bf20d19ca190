"""The process table: what the journal's events fold into, in `process.fold`."""

from __future__ import annotations

import msgspec

from prytany.abi.errors import KernelPanic
from prytany.process.process import Abandoned, Process, Usage


class Estate(msgspec.Struct, array_like=True):
    """What is left of a process that has left the table, where its tree was bounded and goes on: the bound holds for
    its orphans, and theirs. It ends with the last of them."""

    above: int
    """As of an orphan."""
    wards: dict[int, None] = {}
    """Who stands right below it: orphans, and other estates."""


class Table(msgspec.Struct):
    """All processes of a shard, zombies included. Invariant: `ready` holds exactly the ready ones, oldest first."""

    processes: dict[int, Process] = {}
    ready: dict[int, None] = {}
    running: dict[int, None] = {}
    restarting: dict[int, int] = {}
    """Who failed and begins again, to the time when."""
    incidents: dict[str, int] = {}
    """`pid:kind:call` of what needs a person, to the time it came up."""
    abandoned: dict[int, Abandoned] = {}
    """Calls of which a person has to find out what became of their effects, by the entries of their intents."""
    abandoned_of: dict[int, int] = {}
    """How many of those each run has."""
    next_number: int = 1
    time_ns: int = 0
    journal_bytes: int = 0  # what the tenant put into the journal: records and contents
    before_ns: int = 0
    """The time of the event before."""
    ended: dict[int, int] = {}
    """Roots of the runs of which nothing goes on, to the time since when; the longest first."""
    runs_let_go: int = 0
    """How many of those have left the table."""
    past: Usage = msgspec.field(default_factory=Usage)
    """What they took."""
    homes: dict[int, bytes] = {}
    """Where the home was restored from a backup: the entry that says so, to the id that it has from there on."""
    bases: dict[int, list[bytes]] = {}
    """The last entries of archives, to the digests of the bases that the journal was to begin with after them."""

    estates: dict[int, Estate] = {}
    """By the pids of those who left them."""
    estates_ended: list[int] = []
    """With whoever was reaped last."""

    def get(self, pid: int) -> Process | None:
        """The process, or None when there is none of that pid."""
        return self.processes.get(pid)

    def require(self, pid: int) -> Process:
        """The process; a pid that events name and the table lacks is a panic."""
        process = self.processes.get(pid)
        if process is None:
            raise KernelPanic(f"an event names process {pid}, which is not in the table")
        return process

    def home_at(self, seq: int) -> bytes:
        """The id of the home that wrote entry `seq`; empty for the one in which the journal began."""
        return next((home for since, home in reversed(self.homes.items()) if since < seq), b"")

    def was(self, pid: int) -> bool:
        """Whether there was a process of that pid, which has left the table."""
        return 0 < pid < self.next_number and pid not in self.processes

    def descends(self, pid: int, ancestor: int) -> bool:
        """Whether `pid` stands below `ancestor`."""
        process = self.processes.get(pid)
        while process is not None:
            if process.parent == ancestor:
                return True
            process = self.processes.get(process.parent)
        return False

    def above(self, pid: int) -> int:
        """Who of those that `pid` descends from is nearest, and in the table or has left an estate; 0 for nobody."""
        process = self.processes.get(pid)
        if process is not None:
            return process.parent if process.parent in self.processes else process.above
        estate = self.estates.get(pid)
        return estate.above if estate is not None else 0

    def under(self, pid: int) -> Process | Estate | None:
        """Whoever of that pid can have others below: in the table, or what it left."""
        return self.processes.get(pid) or self.estates.get(pid)

    def tree(self, pid: int) -> list[int]:
        """`pid` and all that stand below it, estates among them. Costs as many as there are."""
        found = [pid]
        for at in found:
            holder = self.under(at)
            if isinstance(holder, Process):
                found += holder.children
            if holder is not None:
                found += holder.wards
        return found
