"""How a process becomes another agent where it stands. Its record is cut there."""

from __future__ import annotations

from collections.abc import Callable

from prytany.abi import events as ev
from prytany.process.incarnations import begins_again
from prytany.process.table import Table


def _handed_off(table: Table, seq: int, e: ev.ProcessHandedOff) -> None:
    p = table.require(e.pid)
    begins_again(table, p, seq, e.prev)
    p.name, p.kind, p.program, p.source = e.name, e.kind, e.program, e.source
    p.pledge, p.unveil, p.model, p.python, p.environment = e.pledge, e.unveil, e.model, e.python, e.environment
    p.tags, p.qos, p.weight, p.qos_most, p.weight_most = e.tags, e.qos, e.weight, e.qos, e.weight
    p.restarts, p.failures = e.restarts, 0
    p.pending = p.previous = p.snapshot = b""
    p.pending_program = p.previous_program = ""
    p.snapshot_seq = 0
    p.handed, p.handed_seq, p.handed_by, p.handed_context = e.handed, seq, e.by, e.context
    p.handoffs = e.row
    p.handoff_asked = p.usage.model_calls


FOLDS: dict[type, Callable[[Table, int, ev.Event], None]] = {
    ev.ProcessHandedOff: _handed_off,  # type: ignore[dict-item]
}
