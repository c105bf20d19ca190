"""What is left of a run whose root has ended: servers that wait for messages, children of a parent that failed.

Nobody can ask them for anything any more, and they would wait, or ask the model, for ever. So a run ends as a whole:
when its root has ended, the rest of it is killed by the operator's command, which is in the journal like any other.
Who is supervised is ended by that instead, in order (`kernel.trees`), and waited for.
"""

from __future__ import annotations

import os

from prytany.abi.signals import Signal
from prytany.kernel.kernel import Kernel


async def end_leftovers(kernel: Kernel) -> int:
    """Kill what is alive of runs that have ended, until that is durable; how many there were. Looks at every process
    once."""
    found, trees = kernel.table.processes, kernel.state.trees
    left = [
        p
        for p in found.values()
        if p.alive and p.pid != p.run and not ((r := found.get(p.run)) and r.alive)
        and trees.supervisor_of(p.pid) is None
    ]  # fmt: skip
    for process in left:
        kernel.operator.signal(process.pid, Signal.KILL, uid=os.getuid(), reason=f"its run {process.run} has ended")
    journal = kernel.ledger.journal
    if left:
        await journal.wait_durable(journal.head.seq)
    while any(tree.gone for tree in trees.supervisors.values()) and not kernel.closing:
        await kernel.ledger.wait_entry(journal.durable)  # supervised ones end in their order, each with its time
    return len(left)
