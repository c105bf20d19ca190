"""What is left of a run whose root has ended: servers that wait for messages, children of a parent that failed.

Nobody can ask them for anything any more, and they would wait, or ask the model, for ever. So a run ends as a whole:
when its root has ended, the rest of it is killed by the operator's command, which is in the journal like any other.
"""

from __future__ import annotations

import os

from prytany.abi.signals import Signal
from prytany.kernel.kernel import Kernel


async def end_leftovers(kernel: Kernel) -> int:
    """Kill what is alive of runs that have ended, until that is durable; how many there were. Looks at every process
    once."""
    found = kernel.table.processes
    left = [p for p in found.values() if p.alive and p.pid != p.run and not ((r := found.get(p.run)) and r.alive)]
    for process in left:
        kernel.operator.signal(process.pid, Signal.KILL, uid=os.getuid(), reason=f"its run {process.run} has ended")
    journal = kernel.ledger.journal
    if left:
        await journal.wait_durable(journal.head.seq)
    return len(left)
