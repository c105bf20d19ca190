"""Which budgets a process stands below, and who stands below a budget."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from prytany.abi.budgets import process_account, run_account, tenant_account, tree_account
from prytany.kernel.ledger import TENANT
from prytany.kernel.state import ShardState
from prytany.process.process import Process, State

_STOPPED = re.compile(r"budget: (?:the time of )?((?:process|tree|run|tenant):\d{1,15})\b")
"""How the reason of a process begins that was stopped for want of an account: the journal says it in these words."""


def accounts_of(state: ShardState, process: Process) -> Sequence[str]:
    """The accounts that what the process takes is set aside in, the narrowest first: its own, those of the trees that
    it stands in, its run's and its tenant's; those that there are. Costs one look a generation, and none where nothing
    is bounded.

    An orphan stands in the trees of those that it descends from all the same, and in the bounded ones of those that
    have left the table: else whoever spawns by another process that ends would spend what nobody gave it.
    """
    known, table = state.budgets.accounts, state.table
    if not known:
        return ()
    names = [process_account(process.pid)]
    at = process.pid
    while at:
        names.append(tree_account(at))
        at = table.above(at)
    names += (run_account(process.run), tenant_account(TENANT))
    return [name for name in names if name in known]


def below(state: ShardState, name: str) -> Iterator[Process]:
    """Who goes on, and takes what is set aside in that account. Costs as many as stand below its owner."""
    table = state.table
    kind, _, number = name.partition(":")
    if kind == "tenant":
        yield from [process for process in table.processes.values() if process.alive]
        return
    owner = int(number)
    pids = [owner] if kind == "process" else table.tree(owner)
    for pid in pids:
        process = table.get(pid)
        if process is not None and process.alive:
            yield process


def stopped_by(process: Process) -> str:
    """The account for want of which a process is stopped; "" where it is not, or for another reason."""
    if process.state is not State.STOPPED or (found := _STOPPED.match(process.reason)) is None:
        return ""
    return found[1]
