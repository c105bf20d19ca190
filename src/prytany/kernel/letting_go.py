"""Letting go of runs that have ended.

A root that has ended has nobody who waits for it, so it stays in the table for people to look at: with its status, what
it left and what its run took. Not for ever: the newest `limits.ENDED_RUNS_MAX` are kept, for `limits.ENDED_RUN_MS` of
recorded time since the last of their run has gone. Whatever begins or ends looks at the oldest, and what is decided is
an event, so that a fold of the journal lets go of the same.

With the root goes all that was held by its run or its pid: grants, contexts, mailbox. The journal keeps its record.
"""

from __future__ import annotations

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.process.table import Table

AT_ONCE = 64
"""In one entry: an end has to fit onto a full disk."""


def let_go(table: Table, now_ns: int, one_more: bool = False) -> tuple[ev.Event, ...]:
    """The ends of the runs that are kept no longer, the oldest first, at most `AT_ONCE`. Costs what is let go.

    Args:
        table: as it is.
        now_ns: the kernel's time.
        one_more: a root ends in the entry that these events go into.
    """
    ended = table.ended
    if not ended:
        return ()
    over = len(ended) + one_more - limits.ENDED_RUNS_MAX
    before_ns = now_ns - limits.ENDED_RUN_MS * 1_000_000
    gone: list[ev.Event] = []
    for pid, since_ns in ended.items():
        if (len(gone) >= over and since_ns > before_ns) or len(gone) == AT_ONCE:
            break
        gone.append(ev.ProcessReaped(pid))
    return tuple(gone)


def absent(table: Table, pid: int) -> Esrch:
    """What is said of a pid that is not in the table."""
    name = format_pid(Pid(pid)) if pid > 0 else str(pid)
    if table.was(pid):
        return Esrch(f"process {name} has ended and was let go; the journal has its record: `prytany trace {name}`")
    return Esrch(f"there is no process {name}")
