"""How a program begins again: after a failure, from a state of its own, on another source. Its record is cut there."""

from __future__ import annotations

from collections.abc import Callable

from prytany.abi import events as ev
from prytany.process.calls import close_all
from prytany.process.process import Process, State
from prytany.process.table import Table


def _failed(table: Table, seq: int, e: ev.ProcessFailed | ev.ProcessCycled) -> None:
    process = table.require(e.pid)
    close_all(table, process)
    table.ready.pop(e.pid, None)
    table.running.pop(e.pid, None)
    process.restart_ns, process.incarnation = e.until_ns, e.incarnation
    if process.state is not State.STOPPED:  # else it waits for both
        table.restarting[e.pid] = e.until_ns
        process.state, process.reason = State.WAITING, f"restart: {e.reason}"
    process.usage.cpu_us += e.cpu_us
    process.account(table.time_ns, goes_on=False)
    process.failures += isinstance(e, ev.ProcessFailed)
    process.epoch += 1
    process.tail = process.asked = process.cut_seq = process.cut_ns = process.base = 0


def _postponed(table: Table, seq: int, e: ev.ProcessPostponed) -> None:
    table.require(e.pid).restart_ns = e.until_ns
    if e.pid in table.restarting:
        table.restarting[e.pid] = e.until_ns


def _cut(table: Table, process: Process, seq: int, base: int) -> None:
    process.cut_seq, process.cut_ns, process.base = seq, table.time_ns, base
    process.cut_unasked = process.unasked
    process.history_from, process.refused_from = process.usage.calls, process.usage.denials
    process.warned.clear()


def begins_again(table: Table, process: Process, seq: int, prev: int) -> None:
    """Its record is cut at entry `seq`, and all that it had open is closed."""
    process.link(seq, prev)
    close_all(table, process)
    _cut(table, process, seq, 0)
    process.epoch += 1
    if process.state is State.RUNNING:
        process.account(table.time_ns)


def _execed(table: Table, seq: int, e: ev.ProcessExeced) -> None:
    process = table.require(e.pid)
    begins_again(table, process, seq, e.prev)
    process.snapshot, process.snapshot_seq = e.state, seq


def _activation_done(table: Table, seq: int, e: ev.MessageDone) -> None:
    if e.number:
        table.require(e.pid).handoffs = 0
    if e.state:
        process = table.require(e.pid)
        _cut(table, process, seq, e.n)
        process.snapshot, process.snapshot_seq, process.previous = e.state, seq, b""


def _upgrading(table: Table, seq: int, e: ev.ProcessUpgrading) -> None:
    process = table.require(e.pid)
    process.pending, process.pending_program = e.source, e.program


def _upgraded(table: Table, seq: int, e: ev.ProcessUpgraded) -> None:
    process = table.require(e.pid)
    begins_again(table, process, seq, e.prev)
    process.pending, process.previous, process.source = b"", process.source, e.source
    process.pending_program, process.previous_program = "", process.program
    process.program = e.program or process.program


def _reverted(table: Table, seq: int, e: ev.ProcessReverted) -> None:
    process = table.require(e.pid)
    begins_again(table, process, seq, e.prev)
    process.source, process.previous = process.previous, b""
    process.program, process.previous_program = process.previous_program or process.program, ""
    process.usage.cpu_us += e.cpu_us


FOLDS: dict[type, Callable[[Table, int, ev.Event], None]] = {
    ev.ProcessFailed: _failed,  # type: ignore[dict-item]
    ev.ProcessCycled: _failed,  # type: ignore[dict-item]
    ev.ProcessPostponed: _postponed,  # type: ignore[dict-item]
    ev.ProcessExeced: _execed,  # type: ignore[dict-item]
    ev.ProcessUpgrading: _upgrading,  # type: ignore[dict-item]
    ev.ProcessUpgraded: _upgraded,  # type: ignore[dict-item]
    ev.ProcessReverted: _reverted,  # type: ignore[dict-item]
    ev.MessageDone: _activation_done,  # type: ignore[dict-item]
}
