"""Pages of the process table, in the order of pids: one begins where the one before it ended.

The order is kept beside the table and not in it, since nothing that is decided needs it. It follows the table when it
is asked: who is new is looked at once, and who has gone is passed over once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from prytany.process.process import Process
from prytany.process.table import Table


class Pages:
    """The order of one table's pids. It is good for that table alone."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._pids: list[int] = []  # every pid of the table below `_upto`, ascending, and some that are gone
        self._upto = -(1 << 63)  # far behind: it begins with the whole table

    def after(self, pid: int, most: int, wanted: Callable[[Process], bool] | None = None) -> list[Process]:
        """The next processes above `pid` that are `wanted`, at most `most`. It costs those that it looks at: the first
        page costs the table once, for its order.
        """
        self._follow()
        pids, processes = self._pids, self._table.processes
        found: list[Process] = []
        start = at = bisect_right(pids, pid)
        gone = False
        while at < len(pids) and len(found) < most:
            process = processes.get(pids[at])
            at += 1
            if process is None:
                gone = True
            elif wanted is None or wanted(process):
                found.append(process)
        if gone:
            pids[start:at] = [pid for pid in pids[start:at] if pid in processes]
        return found

    def _follow(self) -> None:
        """Take in who is new; pids are numbers that only grow."""
        processes, upto = self._table.processes, self._table.next_number
        if upto - self._upto > len(processes) or len(self._pids) > 2 * len(processes) + 1_000:
            self._pids = sorted(processes)
        else:
            self._pids.extend(pid for pid in range(self._upto, upto) if pid in processes)
        self._upto = upto
