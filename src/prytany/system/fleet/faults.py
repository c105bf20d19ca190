"""What is wrong with a fleet file: where, what, and what would be right. Everything that is wrong is said at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from prytany.abi.errors import Einval

FAULTS_MAX = 50
"""More than a person reads; what a hostile file can make of a page of errors is bounded by it."""
WRITTEN_CHARS_MAX = 60
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
        self.faults = sorted(faults)[:FAULTS_MAX]
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


def show_path(path: Path) -> str:
    """`agents.sales.tools[0]`."""
    shown = ""
    for part in path:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else part
    return shown


def quoted(written: str) -> str:
    """What was written, short enough for a line of an error."""
    return repr(written if len(written) <= WRITTEN_CHARS_MAX else written[:WRITTEN_CHARS_MAX] + "…")


def meant(written: str, known: Iterable[str]) -> str:
    """`; is NAME meant?` where a known name is near, else the names that there are."""
    names = sorted(known)
    if near := get_close_matches(written, names, n=1):
        return f"; is {near[0]!r} meant?"
    return f"; there are {', '.join(names)}" if names else "; there are none"
