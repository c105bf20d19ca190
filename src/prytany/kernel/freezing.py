"""Stopping everything at once: one entry of the journal stops each process that is not stopped, or lets them go on.

What was stopped before has another reason, so a thaw leaves it as it is; what stood still for want of memory is frozen
with the others, so that nothing goes on before the thaw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prytany.abi import events as ev
from prytany.ports.memory import PRESSURE
from prytany.process.process import State

if TYPE_CHECKING:  # who only looks at a home does without
    from prytany.kernel.ledger import Ledger
    from prytany.process.table import Table

FROZEN = "frozen"
"""The reason of those that stand still."""


class Core(Protocol):
    """The kernel, as a freeze sees it."""

    ledger: Ledger

    @property
    def table(self) -> Table:
        """All processes."""
        ...


def freeze(k: Core, uid: int, *, thaw: bool) -> int:
    """Stop all, or let go on those that were stopped so; how many. It looks at every process once.

    A program that a process was starting in that moment may still begin: its file is looked up beside the kernel.
    """
    found = k.table.processes.values()
    events: list[ev.Event] = []
    if thaw:
        events += [ev.ProcessContinued(p.pid) for p in found if p.state is State.STOPPED and p.reason == FROZEN]
    else:
        events += [
            ev.ProcessPaused(p.pid, FROZEN)
            for p in found
            if p.alive and (p.state is not State.STOPPED or p.reason == PRESSURE)
        ]
    k.ledger.commit((ev.OperatorCommanded(uid, "thaw" if thaw else "freeze"), *events), {}, reserve=True)
    return len(events)
