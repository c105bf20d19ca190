"""What whole runs took, added up from the rows of their processes."""

from __future__ import annotations

from prytany.abi import control


def add_up(rows: list[control.ProcessRow]) -> None:
    """What whole runs took. It is added up here: a kernel would have to look at all processes for each page."""
    roots: dict[int, control.UsageRow] = {}
    for row in rows:
        if row.pid == row.run:
            roots[row.pid] = row.tree = control.UsageRow(processes=0)
    for row in rows:
        if (tree := roots.get(row.run)) is not None:
            tree.add(row.usage)
            tree.add(row.below)
