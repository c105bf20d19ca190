"""Which budgets a process stands below."""

from __future__ import annotations

from collections.abc import Sequence

from prytany.abi.budgets import process_account, run_account, tenant_account, tree_account
from prytany.kernel.ledger import TENANT
from prytany.kernel.state import ShardState
from prytany.process.process import Process


def accounts_of(state: ShardState, process: Process) -> Sequence[str]:
    """The accounts that what the process takes is set aside in: its own, those of the trees that it stands in, its
    run's and its tenant's; those that there are. Costs one look a generation, and none where nothing is bounded."""
    known = state.budgets.accounts
    if not known:
        return ()
    names = [process_account(process.pid)]
    above: Process | None = process
    while above is not None:
        names.append(tree_account(above.pid))
        above = state.table.get(above.parent)
    names += (run_account(process.run), tenant_account(TENANT))
    return [name for name in names if name in known]
