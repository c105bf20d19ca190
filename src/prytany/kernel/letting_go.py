"""Letting go of runs that have ended.

A root that has ended has nobody who waits for it, so it stays in the table for people to look at: with its status, what
it left and what its run took. Not for ever: the newest `limits.ENDED_RUNS_MAX` are kept, for `limits.ENDED_RUN_MS` of
recorded time, or what the kernel was told, since the last of their run has gone. Whatever begins or ends looks at the
oldest, and so does a kernel that stays, when the oldest is due. What is decided is an event, so that a fold of the
journal lets go of the same.

With the root goes all that was held by its run or its pid: grants, contexts, mailbox. The journal keeps its record.
"""

from __future__ import annotations

from typing import Protocol

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.kernel.quotas import Quotas
from prytany.kernel.turn import others_first
from prytany.ports.clock import Clock
from prytany.process.table import Table

PAUSE_NS = 1_000_000_000
"""Between two looks, at least."""
AT_ONCE = 64
"""In one entry: an end has to fit onto a full disk."""


def let_go(
    table: Table, now_ns: int, one_more: bool = False, *, keep_ms: int = limits.ENDED_RUN_MS
) -> tuple[ev.ProcessReaped, ...]:
    """The ends of the runs that are kept no longer, the oldest first, at most `AT_ONCE`. Costs what is let go.

    Args:
        table: as it is.
        now_ns: the kernel's time.
        one_more: a root ends in the entry that these events go into.
        keep_ms: how long they are kept.
    """
    ended = table.ended
    if not ended:
        return ()
    over = len(ended) + one_more - limits.ENDED_RUNS_MAX
    before_ns = now_ns - keep_ms * 1_000_000
    gone: list[ev.ProcessReaped] = []
    for pid, since_ns in ended.items():
        if (len(gone) >= over and since_ns > before_ns) or len(gone) == AT_ONCE:
            break
        gone.append(ev.ProcessReaped(pid))
    return tuple(gone)


class Owner(Protocol):
    """The kernel, as this sees it."""

    quotas: Quotas

    @property
    def table(self) -> Table:
        """The process table."""
        ...

    def now_ns(self) -> int:
        """Its time."""
        ...

    def note(self, events: tuple[ev.Event, ...]) -> None:
        """Record events."""
        ...


async def keep_letting_go(kernel: Owner, clock: Clock) -> None:
    """Let go of runs when their time is over though nothing begins or ends. Sleeps until the oldest is due, and where
    there is none for as long as one that ends now is kept."""
    keep_ns = kernel.quotas.ended_run_ms * 1_000_000
    while True:
        since_ns = next(iter(kernel.table.ended.values()), kernel.now_ns())
        await clock.sleep_until(max(since_ns, kernel.now_ns() - keep_ns) + keep_ns + PAUSE_NS)
        while gone := let_go(kernel.table, kernel.now_ns(), keep_ms=kernel.quotas.ended_run_ms):
            kernel.note(gone)
            if gone[0].pid in kernel.table.ended:
                return  # a kernel that stops takes nothing any more
            await others_first()


def absent(table: Table, pid: int) -> Esrch:
    """What is said of a pid that is not in the table."""
    name = format_pid(Pid(pid)) if pid > 0 else str(pid)
    if table.was(pid):
        return Esrch(f"process {name} has ended and was let go; the journal has its record: `prytany trace {name}`")
    return Esrch(f"there is no process {name}")
