"""Calls of a process: what is open, and what its record holds."""

from __future__ import annotations

from collections.abc import Callable

from prytany.abi import events as ev
from prytany.abi.errors import KernelPanic
from prytany.process.accounts import count_wait, give_back
from prytany.process.incidents import forget_incident
from prytany.process.process import OpenCall, Process, State
from prytany.process.table import Table


def close_all(table: Table, process: Process) -> None:
    """Nobody asks any more: every open call of `process` is gone, and what hung on it."""
    for call in process.open.values():
        give_back(process.usage, call)
        if call.call == "process_wait" and (child := table.processes.get(call.subject)) is not None:
            child.waiters.pop(process.pid, None)
    process.open.clear()
    process.busy = 0
    for n in list(process.incidents):
        if n:
            forget_incident(table, process, n)


def _done(table: Table, seq: int, e: ev.CallDone) -> None:
    process = table.require(e.pid)
    process.link(seq, e.prev)
    process.usage.calls += 1


def _opened(table: Table, seq: int, e: ev.CallOpened) -> None:
    process = table.require(e.pid)
    process.link(seq, e.prev)
    process.usage.calls += 1
    call = process.open[e.n] = OpenCall(e.call, e.argument, seq, e.subject, False, table.time_ns)
    if e.idle:
        process.idle_seq = seq
    if not call.waits:
        process.busy += 1
    process.account(table.time_ns)
    if e.call == "process_wait":
        table.require(e.subject).waiters[e.pid] = e.n


def _tool_called(table: Table, seq: int, e: ev.ToolCalled) -> None:
    table.require(e.pid).open[e.n].tool = e.tool


def _tool_started(table: Table, seq: int, e: ev.ToolStarted) -> None:
    process = table.require(e.pid)
    call = process.open[e.n]
    if not call.started:
        call.started = True
        process.busy += 1
        if process.state is State.RUNNING:
            process.account(table.time_ns)


def _paced(table: Table, seq: int, e: ev.CallPaced) -> None:
    process = table.require(e.pid)
    call = process.open[e.n]
    waited = call.waits
    call.paced = e.waits
    process.busy += waited - call.waits
    process.account(table.time_ns)


def _closed(table: Table, seq: int, e: ev.CallClosed) -> None:
    process = table.require(e.pid)
    process.link(seq, e.prev)
    call = process.open.pop(e.n, None)
    if call is None:
        raise KernelPanic(f"call {e.n} of process {e.pid} was closed and is not open")
    if not call.waits:
        process.busy -= 1
    process.account(table.time_ns)
    give_back(process.usage, call)
    count_wait(process.usage, call, table.time_ns)
    if process.incidents:
        forget_incident(table, process, e.n)
    if call.call == "process_wait" and (child := table.processes.get(call.subject)) is not None:
        child.waiters.pop(e.pid, None)


def _piece(table: Table, seq: int, e: ev.CallPiece) -> None:
    process = table.require(e.pid)
    process.link(seq, e.prev)
    call = process.open.get(e.n)
    if call is None:
        raise KernelPanic(f"a piece of call {e.n} of process {e.pid}, which is not open")
    call.pieces += 1
    process.unasked += 1


def _doubted(table: Table, seq: int, e: ev.CallDoubted) -> None:
    table.require(e.pid).open[e.n].doubt = True


def _settled(table: Table, seq: int, e: ev.CallSettled) -> None:
    call = table.require(e.pid).open[e.n]
    if e.later:
        call.settled = e.choice
    else:
        call.doubt, call.settled = False, ""


def _denied(table: Table, seq: int, e: ev.CallsDenied) -> None:
    process = table.require(e.pid)
    process.link(seq, e.prev)
    key = f"{e.call} {e.errno}"
    process.denied[key] = process.denied.get(key, 0) + len(e.ns)
    process.usage.denials += len(e.ns)


FOLDS: dict[type, Callable[[Table, int, ev.Event], None]] = {
    ev.CallDone: _done,  # type: ignore[dict-item]
    ev.CallOpened: _opened,  # type: ignore[dict-item]
    ev.ToolCalled: _tool_called,  # type: ignore[dict-item]
    ev.ToolStarted: _tool_started,  # type: ignore[dict-item]
    ev.CallPaced: _paced,  # type: ignore[dict-item]
    ev.CallClosed: _closed,  # type: ignore[dict-item]
    ev.CallPiece: _piece,  # type: ignore[dict-item]
    ev.CallDoubted: _doubted,  # type: ignore[dict-item]
    ev.CallSettled: _settled,  # type: ignore[dict-item]
    ev.CallsDenied: _denied,  # type: ignore[dict-item]
}
