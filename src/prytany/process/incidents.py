"""What of a process needs a person."""

from __future__ import annotations

from collections.abc import Callable

from prytany.abi import events as ev
from prytany.process.process import Process
from prytany.process.table import Table


def forget_incident(table: Table, process: Process, n: int) -> None:
    """What call `n` (0: the process itself) needed a person for is over, if there was anything."""
    kind = process.incidents.pop(n, None)
    if kind is not None:
        del table.incidents[f"{process.pid}:{kind}:{n}"]


def _incident(table: Table, seq: int, e: ev.IncidentOpened) -> None:
    process = table.get(e.pid)
    if process is None or not process.alive or (e.n and e.n not in process.open):
        return  # it came up too late: nothing waits for it any more
    forget_incident(table, process, e.n)
    process.incidents[e.n] = e.kind
    if e.n:
        process.open[e.n].asking = False
    table.incidents[f"{e.pid}:{e.kind}:{e.n}"] = table.time_ns


def _seen_to(table: Table, seq: int, e: ev.IncidentClosed) -> None:
    process = table.get(e.pid)
    if process is not None and process.incidents.get(e.n) == e.kind:
        forget_incident(table, process, e.n)


FOLDS: dict[type, Callable[[Table, int, ev.Event], None]] = {
    ev.IncidentOpened: _incident,  # type: ignore[dict-item]
    ev.IncidentClosed: _seen_to,  # type: ignore[dict-item]
}
