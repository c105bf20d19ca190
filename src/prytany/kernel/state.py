"""The state of a shard: what the pure rooms fold out of its journal, together.

Rooms do not know each other; here each event reaches the rooms that fold it.
"""

from __future__ import annotations

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import Eio
from prytany.ipc.mailbox import FOLDS as POST_FOLDS
from prytany.ipc.mailbox import Post
from prytany.journal.anchor import Head
from prytany.journal.writer import START
from prytany.memory.contexts import FOLDS, Contexts
from prytany.ports.store import Reader
from prytany.process.table import Table


class ShardState(msgspec.Struct):
    """Everything that the journal says; plain data, so that a snapshot is its encoding."""

    table: Table = msgspec.field(default_factory=Table)
    contexts: Contexts = msgspec.field(default_factory=Contexts)
    post: Post = msgspec.field(default_factory=Post)

    def apply(self, seq: int, time_ns: int, event: ev.Event) -> None:
        """Fold one event of entry `seq`."""
        self.table.apply(seq, time_ns, event)
        if (fold := FOLDS.get(type(event))) is not None:
            fold(self.contexts, seq, event)
        if (post_fold := POST_FOLDS.get(type(event))) is not None:
            post_fold(self.post, seq, event)

    def charge(self, payer: int, size_bytes: int) -> None:
        """Count an entry's bytes, after its events were applied: its record, and the content that came with it."""
        table = self.table
        table.journal_bytes += size_bytes
        process = table.processes.get(payer)
        if process is not None:
            process.journal_bytes += size_bytes


def fold(reader: Reader) -> tuple[ShardState, Head]:
    """The state at the reader's head. Raises Eio when an entry cannot be read by this version."""
    state = ShardState()
    head = START
    for row in reader.rows(1):
        try:
            entry = ev.decode_entry(row.record)
        except msgspec.MsgspecError as error:
            raise Eio(f"entry {row.seq} of the journal cannot be read by this version: {error}") from None
        for event in entry.events:
            state.apply(row.seq, entry.time_ns, event)
        state.charge(entry.payer, len(row.record) + entry.content_bytes)
        head = Head(row.seq, row.hash)
    return state, head
