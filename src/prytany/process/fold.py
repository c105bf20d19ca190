"""The fold of the journal's events into the process table.

It never decides; a handler decided before the event was made. It raises KernelPanic on an event that cannot follow what
came before, since that is a bug of ours or a damaged journal, and going on would spread it.
"""

from __future__ import annotations

from prytany.abi import events as ev
from prytany.process import accounts, calls, handoffs, incarnations, incidents, lifecycle
from prytany.process.table import Table

_FOLDS = {**lifecycle.FOLDS, **incarnations.FOLDS, **calls.FOLDS, **accounts.FOLDS, **incidents.FOLDS, **handoffs.FOLDS}


def apply(table: Table, seq: int, time_ns: int, event: ev.Event) -> None:
    """Fold one event of entry `seq`."""
    table.before_ns, table.time_ns = table.time_ns, time_ns
    fold = _FOLDS.get(type(event))
    if fold is not None:
        fold(table, seq, event)
