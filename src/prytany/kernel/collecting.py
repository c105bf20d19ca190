"""Collecting: the content of processes that ended long ago is destroyed, as an operator forgets that of one.

Who ended before some time, is needed by nobody, and was not collected before, the oldest first and at most
`PROCESSES_AT_ONCE` by one command. What living processes name stays; so does the chain, and with it what everybody did,
when, and what it took. The care is that of `forgetting`. A large body that no entry names is nobody's: there is none,
since a body comes with the entry that names it, and entries are never removed.

That one was done with is recorded, by a second event that counts nothing: one that was cut off is begun again.
"""

from __future__ import annotations

from typing import NamedTuple

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.kernel.forgetting import Forgotten, entries, forget_all, needed
from prytany.kernel.ledger import Ledger
from prytany.ports.store import Reader
from prytany.process.table import Table

PROCESSES_AT_ONCE = 1_000


class Collected(NamedTuple):
    """What was done for whom."""

    pids: list[int]
    forgotten: Forgotten
    more: bool
    """There are others; the same command goes on with them."""


async def collect(
    ledger: Ledger, reader: Reader, before_ns: int, uid: int, keep_ms: int = limits.ENDED_RUN_MS
) -> Collected:
    """Forget the content of processes that ended before `before_ns`, by the command of operator `uid`.

    Args:
        ledger: of the shard.
        reader: always at the newest.
        before_ns: a time of the journal; 0 is that for which ended runs are kept in the table.
        uid: the operator's.
        keep_ms: that for which they are kept.

    Raises:
        Enospc, Eio: the journal is broken.
        StoreError: it is recorded, and not all of it could be destroyed; give the command again.
    """
    before_ns = before_ns or ledger.now_ns() - keep_ms * 1_000_000
    due, gone = await _look(ledger.table, reader, before_ns)
    pids = due[:PROCESSES_AT_ONCE]
    if not pids:
        return Collected([], Forgotten(0, 0, 0), False)
    commanded = ev.OperatorCommanded(uid, "journal collect")
    forgotten = await forget_all(ledger, reader, pids, commanded, gone)
    seq = ledger.commit([ev.ContentForgotten(pid, 0, 0) for pid in pids], {}, payer=0, reserve=True)
    await ledger.journal.wait_durable(seq)
    return Collected(pids, forgotten, len(due) > len(pids))


async def _look(table: Table, reader: Reader, before_ns: int) -> tuple[list[int], set[int]]:
    """Who is due, in the order of their ends; and whose content was destroyed."""
    head = reader.head()
    ended: dict[int, None] = {}
    empty: dict[int, int] = {}
    async for _, time_ns, events in entries(reader, 1, head.seq if head else 0):
        for event in events:
            match event:
                case ev.ProcessExited() if time_ns < before_ns:
                    ended[event.pid] = None
                case ev.ContentForgotten(contents=0):
                    empty[event.pid] = empty.get(event.pid, 0) + 1
                case _:
                    pass
    due = [pid for pid in ended if empty.get(pid, 0) < 2 and not needed(table, pid)]
    return due, set(empty)
