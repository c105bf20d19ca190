"""What of a process needs a person."""

from __future__ import annotations

from collections.abc import Callable

from prytany.abi import events as ev
from prytany.process.process import Abandoned, Process
from prytany.process.table import Table

ABANDONED = "abandoned"
"""The kind of an incident about a call that nobody waits for any more. Its number is minus the entry of the call's
intent: the call's own is given again by a program that begins again, and its process may have left the table."""


def forget_incident(table: Table, process: Process, n: int) -> None:
    """What call `n` (0: the process itself) needed a person for is over, if there was anything."""
    kind = process.incidents.pop(n, None)
    if kind is not None:
        del table.incidents[f"{process.pid}:{kind}:{n}"]


def _abandoned(table: Table, seq: int, e: ev.CallAbandoned) -> None:
    process = table.require(e.pid)
    call = process.open[e.n]
    table.abandoned[call.seq] = Abandoned(e.pid, e.n, process.run, process.name, call.shown)
    table.abandoned_of[process.run] = table.abandoned_of.get(process.run, 0) + 1


def _seen_to_abandoned(table: Table, e: ev.IncidentClosed) -> None:
    abandoned = table.abandoned.pop(-e.n, None)
    if abandoned is None:
        return
    table.incidents.pop(f"{e.pid}:{ABANDONED}:{e.n}", None)
    table.abandoned_of[abandoned.run] -= 1
    if not table.abandoned_of[abandoned.run]:
        del table.abandoned_of[abandoned.run]


def _incident(table: Table, seq: int, e: ev.IncidentOpened) -> None:
    if e.kind == ABANDONED:
        if -e.n in table.abandoned:
            table.incidents[f"{e.pid}:{ABANDONED}:{e.n}"] = table.time_ns
        return
    process = table.get(e.pid)
    if process is None or not process.alive or (e.n and e.n not in process.open):
        return  # it came up too late: nothing waits for it any more
    forget_incident(table, process, e.n)
    process.incidents[e.n] = e.kind
    if e.n:
        process.open[e.n].asking = False
    table.incidents[f"{e.pid}:{e.kind}:{e.n}"] = table.time_ns


def _seen_to(table: Table, seq: int, e: ev.IncidentClosed) -> None:
    if e.kind == ABANDONED:
        _seen_to_abandoned(table, e)
        return
    process = table.get(e.pid)
    if process is not None and process.incidents.get(e.n) == e.kind:
        forget_incident(table, process, e.n)


FOLDS: dict[type, Callable[[Table, int, ev.Event], None]] = {
    ev.CallAbandoned: _abandoned,  # type: ignore[dict-item]
    ev.IncidentOpened: _incident,  # type: ignore[dict-item]
    ev.IncidentClosed: _seen_to,  # type: ignore[dict-item]
}
