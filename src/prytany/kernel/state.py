"""The state of a shard: what the pure rooms fold out of its journal, together.

Rooms do not know each other; here each event reaches the rooms that fold it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import Eio
from prytany.ipc.mailbox import FOLDS as POST
from prytany.ipc.mailbox import Post
from prytany.journal.anchor import Head
from prytany.journal.writer import START
from prytany.memory.contexts import FOLDS as CONTEXTS
from prytany.memory.contexts import Contexts
from prytany.ports.store import Reader
from prytany.process.table import Table
from prytany.scheduling.turns import Turns
from prytany.security.grants import Grants


class ShardState(msgspec.Struct):
    """Everything that the journal says; plain data, so that a snapshot is its encoding."""

    table: Table = msgspec.field(default_factory=Table)
    grants: Grants = msgspec.field(default_factory=Grants)
    turns: Turns = msgspec.field(default_factory=Turns)
    contexts: Contexts = msgspec.field(default_factory=Contexts)
    post: Post = msgspec.field(default_factory=Post)

    def apply(self, seq: int, time_ns: int, event: ev.Event) -> None:
        """Fold one event of entry `seq`."""
        self.table.apply(seq, time_ns, event)
        for room in _ROOMS.get(type(event), ()):
            room(self, seq, event)

    def charge(self, payer: int, size_bytes: int) -> None:
        """Count an entry's bytes, after its events were applied: its record, and the content that came with it."""
        table = self.table
        table.journal_bytes += size_bytes
        process = table.processes.get(payer)
        if process is not None:
            process.journal_bytes += size_bytes


Room = Callable[[ShardState, int, Any], None]


def _into_contexts(into: Callable[[Contexts, int, Any], None], state: ShardState, seq: int, event: Any) -> None:
    into(state.contexts, seq, event)


def _into_post(into: Callable[[Post, int, Any], None], state: ShardState, seq: int, event: Any) -> None:
    into(state.post, seq, event)


def _rooms() -> dict[type, tuple[Room, ...]]:
    """What other rooms than the process table fold, by the event's type."""
    folds: list[tuple[type, Room]] = [
        (ev.ToolsGranted, lambda state, seq, e: state.grants.granted(seq, e)),
        (ev.ToolsNarrowed, lambda state, seq, e: state.grants.narrow(seq, e)),
        (ev.ProcessReaped, lambda state, seq, e: state.grants.reaped(seq, e)),
        (ev.ToolCalled, lambda state, seq, e: state.turns.called(seq, e)),
        (ev.ToolStarted, lambda state, seq, e: state.turns.started(seq, e)),
        (ev.CallClosed, lambda state, seq, e: state.turns.closed(seq, e)),
    ]
    for ends in (ev.ProcessExited, ev.ProcessFailed, ev.ProcessExeced, ev.ProcessUpgraded, ev.ProcessReverted):
        folds.append((ends, lambda state, seq, e: state.turns.ended(e.pid)))
    folds += [(kind, partial(_into_contexts, into)) for kind, into in CONTEXTS.items()]
    folds += [(kind, partial(_into_post, into)) for kind, into in POST.items()]
    return {kind: tuple(fold for of, fold in folds if of is kind) for kind, _ in folds}


_ROOMS = _rooms()


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
