"""Whose budgets pay for a call."""

from __future__ import annotations

from collections.abc import Container

from prytany.abi.budgets import process_account, run_account, tenant_account, tree_account
from prytany.kernel.ledger import TENANT
from prytany.process.process import Process
from prytany.process.table import Table


def accounts_of(table: Table, known: Container[str], process: Process) -> list[str]:
    """Those of `known` that a call of the process is set aside in: its own, those of the trees that it stands in, its
    run's and its tenant's. Costs one look a generation.

    An orphan stands in the trees of those that it descends from all the same: else whoever spawns by another process
    that ends would spend what nobody gave it.
    """
    names = [process_account(process.pid)]
    above: Process | None = process
    while above is not None:
        names.append(tree_account(above.pid))
        above = table.get(above.parent) or table.get(above.above)
    names += (run_account(process.run), tenant_account(TENANT))
    return [name for name in names if name in known]
