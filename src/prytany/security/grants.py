"""Which tools a run was granted: a fold of the operator's grants.

A run that was granted nothing has no tools; there is no other way to one.
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
    """By run. They stay as long as the journal: a process may outlive the root of its run."""

    runs: dict[int, dict[str, Grant]] = {}
    """Run, then name of the tool."""

    def of(self, run: int) -> dict[str, Grant]:
        """The tools of a run, by name."""
        return self.runs.get(run, {})

    def granted(self, seq: int, e: ev.ToolsGranted) -> None:
        """Fold a grant."""
        grant = Grant(e.path, e.manifest, e.source)
        self.runs.setdefault(e.run, {}).update(dict.fromkeys(e.tools, grant))
