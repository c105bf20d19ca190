"""What a process took with all its descendants: the living ones', and what was handed up as others were reaped."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from prytany.abi.control import UsageRow
from prytany.process.process import Process, Usage
from prytany.process.table import Table


def usage_row(usage: Usage, processes: int = 1) -> UsageRow:
    """What `processes` took, as it is shown."""
    return UsageRow(processes=processes, **msgspec.structs.asdict(usage))


def below_row(p: Process) -> UsageRow:
    """What the descendants of a process took that are reaped."""
    return usage_row(p.below, p.reaped)


def tree_of(table: Table, p: Process) -> UsageRow:
    """What `p` took with all its descendants. Takes time with how many of them are in the table; for a root, with
    how many processes are."""
    total, processes = Usage(), 0
    for one in _tree(table, p):
        total.add(one.usage)
        total.add(one.below)
        processes += 1 + one.reaped
    return usage_row(total, processes)


def _tree(table: Table, p: Process) -> Iterator[Process]:
    if p.pid == p.run:  # with those whose parents are gone
        yield from (one for one in table.processes.values() if one.run == p.run)
        return
    found = [p]
    while found:
        one = found.pop()
        yield one
        found += [child for pid in one.children if (child := table.get(pid)) is not None]
