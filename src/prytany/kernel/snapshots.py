"""When the fold is cached, and how: the state is encoded on the loop, between two entries, and kept by the writer.

State is applied early, so what is encoded stands at the last appended entry, durable or not. The writer keeps the
snapshot after everything that was appended before it; if that fails, so does the snapshot.

The whole state is encoded each time (half a microsecond a process: 50 ms for the 100,000 that a table can hold).
So the entries between two snapshots grow with its size, and the share of one call stays the same.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from prytany.abi import limits
from prytany.abi.errors import KernelError
from prytany.journal.snapshot import snapshot_of
from prytany.journal.writer import Journal
from prytany.kernel.folding import Folded, version
from prytany.kernel.state import ShardState

_log = logging.getLogger("prytany.snapshots")
_NEVER = 1 << 62


class Snapshots:
    """The snapshots that one kernel makes."""

    def __init__(self, state: ShardState) -> None:
        self._state = state
        self._seq = 0
        self._saving = False
        self.due = _NEVER
        """The entry from which on the next one is to be made."""

    def begin(self, folded: Folded) -> None:
        """Make them from here on; what `folded` began at counts as the last one."""
        self._seq = folded.snapshot_seq
        self._next(folded.snapshot_bytes)

    def _next(self, size_bytes: int) -> None:
        self.due = self._seq + max(limits.SNAPSHOT_ENTRIES, size_bytes // limits.SNAPSHOT_BYTES_AN_ENTRY)

    def save(self, journal: Journal) -> None:
        """Make one of what has been appended, unless the last is still being kept or says the same."""
        head = journal.head
        if self._saving or self.due == _NEVER or head.seq <= self._seq:
            return
        state = self._state.encode()
        try:
            saved = journal.save_snapshot(partial(snapshot_of, head, version(), state))
        except KernelError:
            return  # the journal is broken or closed: nothing can be kept any more
        self._saving = True
        saved.add_done_callback(self._saved)
        self._seq = head.seq
        self._next(len(state))

    def _saved(self, saved: asyncio.Future[None]) -> None:
        self._saving = False
        if not saved.cancelled() and (error := saved.exception()) is not None:
            _log.warning("a snapshot was not kept: %s; starting will take longer until the next one", error)
