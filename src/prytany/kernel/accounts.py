"""Which budgets a process stands below."""

from __future__ import annotations

from collections.abc import Sequence

from prytany.abi.budgets import process_account, run_account, tenant_account, tree_account
from prytany.kernel.ledger import TENANT
from prytany.kernel.state import ShardState
from prytany.process.process import Process


def accounts_of(state: ShardState, process: Process) -> Sequence[str]:
    """The accounts that what the process takes is set aside in: its own, those of the trees that it stands in, its
    run's and its tenant's; those that there are. Costs one look a generation, and none where nothing is bounded.

    An orphan stands in the trees of those that it descends from all the same: else whoever spawns by another process
    that ends would spend what nobody gave it.
    """
    known, table = state.budgets.accounts, state.table
    if not known:
        return ()
    names, above = [process_account(process.pid), tree_account(process.pid)], process
    while above.parent or above.above:
        nearest = table.get(above.parent) or table.get(above.above)
        if nearest is None:
            break
        names.append(tree_account(nearest.pid))
        above = nearest
    names += (run_account(process.run), tenant_account(TENANT))
    return [name for name in names if name in known]
