"""What is wrong with a fleet file: where, what, and what would be right. Everything that is wrong is said at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from prytany.abi.errors import Einval
from prytany.system.wording import WRITTEN_CHARS_MAX, visible

FAULTS_MAX = 50
"""More than a person reads; what a hostile file can make of a page of errors is bounded by it."""
Path = tuple[str | int, ...]
"""Keys and indices from the top of the file."""


class Place(NamedTuple):
    """A place in the file; both count from 1."""

    line: int
    column: int


class Fault(NamedTuple):
    """One thing that is wrong."""

    place: Place
    path: Path
    what: str
    """What is wrong, and what would be right."""

    def line(self, name: str) -> str:
        """As compilers say it: file, line, column, the key's path, what."""
        where = f"{show_path(self.path)}: " if self.path else ""
        return f"{name}:{self.place.line}:{self.place.column}: {where}{self.what}"


class FleetError(Einval):
    """A fleet file that cannot be used; `faults` says everything that is wrong with it."""

    def __init__(self, name: str, faults: Sequence[Fault]) -> None:
        self.faults = [fault._replace(what=visible(fault.what)) for fault in sorted(faults)[:FAULTS_MAX]]
        lines = [fault.line(name) for fault in self.faults]
        if len(faults) > FAULTS_MAX:
            lines.append(f"and {len(faults) - FAULTS_MAX} more")
        detail: dict[str, object] = {
            "faults": [
                {"line": f.place.line, "column": f.place.column, "path": show_path(f.path), "what": f.what}
                for f in self.faults
            ]
        }
        super().__init__("\n".join(lines), detail=detail)
        self.add_note("mend it, and look again with: prytany fleet check")


def show_path(path: Path) -> str:
    """`agents.sales.tools[0]`; of a key, as much as an error's line has room for, and nothing hidden."""
    shown = ""
    for part in path:
        word = visible(str(part)[: WRITTEN_CHARS_MAX + 1])
        word = word if len(word) <= WRITTEN_CHARS_MAX else word[:WRITTEN_CHARS_MAX] + "…"
        shown += f"[{part}]" if isinstance(part, int) else f".{word}" if shown else word
    return shown
