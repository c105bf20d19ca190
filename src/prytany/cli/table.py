"""Tables for people: fitted to a terminal's width, with colour there; whole and plain where nobody sees a terminal."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

import click

from prytany.cli.text import safe

CELL_CHARS_MIN = 8
"""Below that a column is not cut, however narrow the terminal is."""
GAP = "  "
COLOURS = {
    "running": "green", "ready": "cyan", "waiting": "blue", "stopped": "yellow", "terminated": "bright_black",
    "failed": "red",
}  # fmt: skip
"""Of states, by their first word."""


class Column(NamedTuple):
    """A column: numbers stand at the right, and what is `long` is cut where the terminal is narrow."""

    title: str
    right: bool = False
    long: bool = False


class Line(NamedTuple):
    """The cells of a row, and the colour of it all, "" for none."""

    cells: Sequence[str]
    colour: str = ""


def in_colour(stream: IO[str]) -> bool:
    """Whether a person looks at it on a terminal that shows colours, and wants them (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal_cells() -> int:
    """How wide the terminal on standard output is; 0 where that is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def table(columns: Sequence[Column], lines: Sequence[Line]) -> Iterator[str]:
    """The rows of a table on standard output, its head first. Cells are made safe here."""
    shown = [Line([safe(cell) for cell in line.cells], line.colour) for line in lines]
    widths = [
        max([len(column.title), *(cells_of(line.cells[n]) for line in shown)]) for n, column in enumerate(columns)
    ]
    colour = in_colour(sys.stdout)
    if sys.stdout.isatty():
        _fit(columns, widths, shutil.get_terminal_size().columns)
    yield _styled(_joined(columns, widths, [column.title for column in columns]), "bold", colour)
    for line in shown:
        yield _styled(_joined(columns, widths, line.cells), line.colour, colour)


def _fit(columns: Sequence[Column], widths: list[int], most: int) -> None:
    """Narrow the long columns, the widest first, until a row has at most `most` cells of the terminal."""
    long = [n for n, column in enumerate(columns) if column.long]
    beyond = sum(widths) + len(GAP) * (len(widths) - 1) - most
    while beyond > 0 and long:
        widest = max(long, key=lambda n: widths[n])
        if widths[widest] <= CELL_CHARS_MIN:
            return
        others = max((widths[n] for n in long if n != widest), default=CELL_CHARS_MIN)
        cut = min(beyond, max(1, widths[widest] - max(others, CELL_CHARS_MIN)))
        widths[widest] -= cut
        beyond -= cut


def _joined(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str]) -> str:
    parts: list[str] = []
    for column, width, cell in zip(columns, widths, cells, strict=True):
        text = clipped(cell, width)
        blank = " " * (width - cells_of(text))
        parts.append(blank + text if column.right else text + blank)
    return GAP.join(parts).rstrip()


def _styled(text: str, colour: str, wanted: bool) -> str:
    if not wanted or not colour:
        return text
    return click.style(text, bold=True) if colour == "bold" else click.style(text, fg=colour)


def cells_of(text: str) -> int:
    """How many cells of a terminal it takes: those of East Asia take two, marks on others none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def clipped(text: str, width: int) -> str:
    """As much of it as has room, with a mark where something is missing."""
    if cells_of(text) <= width:
        return text
    taken, kept = 1, ""
    for character in text:
        taken += cells_of(character)
        if taken > width:
            break
        kept += character
    return f"{kept}…"
