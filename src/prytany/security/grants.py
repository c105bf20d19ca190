"""Which tools a run was granted: a fold of the operator's grants.

A run that was granted nothing has no tools; there is no other way to one. A process has its parent's or fewer.
"""

from __future__ import annotations

import msgspec

from prytany.abi import events as ev


class Grant(msgspec.Struct, array_like=True):
    """The tools of one file, as they stood when they were granted."""

    path: str
    manifest: bytes
    source: bytes


class Grants(msgspec.Struct):
    """By run. They go with its root, which stays in the table as long as anything of its run."""

    runs: dict[int, dict[str, Grant]] = {}
    """Run, then name of the tool."""

    narrowed: dict[int, dict[str, None]] = {}
    """Process to the names that it has; who is not here has all of its run's."""

    def get(self, run: int, pid: int, name: str) -> Grant | None:
        """The grant of a tool that a process may call, or None."""
        names = self.narrowed.get(pid)
        if names is not None and name not in names:
            return None
        return self.runs.get(run, {}).get(name)

    def of(self, run: int, pid: int = 0) -> dict[str, Grant]:
        """The tools of a run, or those of them that a process has; by name."""
        names = self.narrowed.get(pid)
        granted = self.runs.get(run, {})
        return granted if names is None else {name: granted[name] for name in names if name in granted}

    def granted(self, seq: int, e: ev.ToolsGranted) -> None:
        """Fold a grant."""
        grant = Grant(e.path, e.manifest, e.source)
        self.runs.setdefault(e.run, {}).update(dict.fromkeys(e.tools, grant))

    def narrow(self, seq: int, e: ev.ToolsNarrowed) -> None:
        """Fold what a process was given of its parent's."""
        self.narrowed[e.pid] = dict.fromkeys(e.tools)

    def reaped(self, seq: int, e: ev.ProcessReaped) -> None:
        """Fold the end of a process's entry in the table; that of a root is the end of its run's."""
        self.narrowed.pop(e.pid, None)
        self.runs.pop(e.pid, None)
