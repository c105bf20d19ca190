"""The fold: the state of a shard out of its journal, by the shortest way that can be believed.

It begins at the newest snapshot, and otherwise at the first entry, or at the base where older ones were archived; all
give the same state, to the byte of its encoding.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import Eio
from prytany.abi.wire import UNREADABLE
from prytany.journal.anchor import Head
from prytany.journal.base import check_base
from prytany.journal.snapshot import newest_usable
from prytany.journal.writer import START
from prytany.kernel.base_form import read_state
from prytany.kernel.fold_version import fold_version
from prytany.kernel.state import ShardState
from prytany.ports.store import Reader, Row

FOLDS_OF_SEVERAL = (
    "prytany.kernel.mail_folds", "prytany.kernel.pool_folds", "prytany.kernel.topic_folds",
    "prytany.kernel.trigger_folds",
)  # fmt: skip
"""Modules that fold events into several rooms; a test holds them to what the state imports."""


class Folded(NamedTuple):
    """A state, the head it stands at, and the snapshot or base that it began at: its entry (0: none was) and size."""

    state: ShardState
    head: Head
    snapshot_seq: int = 0
    snapshot_bytes: int = 0


@cache
def version() -> str:
    """Of this fold. The abi is part of it as a whole: it holds the events and how they are read."""
    return fold_version(ShardState, "prytany.abi", *FOLDS_OF_SEVERAL)


def fold(reader: Reader) -> tuple[ShardState, Head]:
    """The state at the reader's head. Raises Eio when an entry cannot be read by this version."""
    return fold_from_snapshot(reader)[:2]


def fold_from_start(reader: Reader, last: int | None = None) -> Folded:
    """The state at the reader's head, or at entry `last`, whatever snapshots say. Raises Eio as `fold`."""
    with _no_collection():
        begun = _beginning(reader)
        folded = _fold_rows(begun, reader.rows(begun.head.seq + 1, last))
        return _anchored(folded, reader) if last is None else folded


def fold_from_snapshot(reader: Reader) -> Folded:
    """The state at the reader's head, by the shortest way. Raises Eio as `fold`."""
    with _no_collection():
        begun = _begun(reader)
        return _anchored(_fold_rows(begun, reader.rows(begun.head.seq + 1)), reader)


def _begun(reader: Reader) -> Folded:
    """Where the fold can begin. A snapshot that cannot be used is none: it is a cache."""
    snapshot = newest_usable(reader, version())
    if snapshot is not None:
        try:
            state = msgspec.msgpack.decode(snapshot.state, type=ShardState)
        except UNREADABLE:
            pass
        else:
            return Folded(state, Head(snapshot.seq, snapshot.hash), snapshot.seq, len(snapshot.state))
    return _beginning(reader)


def _beginning(reader: Reader) -> Folded:
    """What the journal begins with. Raises Eio where that is a base that cannot be read."""
    base = reader.base()
    if base is None:
        return Folded(ShardState(), START)
    check_base(base)
    return Folded(read_state(base, ShardState), Head(base.seq, base.hash), base.seq, len(base.state))


def _anchored(folded: Folded, reader: Reader) -> Folded:
    """That the chain names the base which the fold began at, if it did."""
    base = reader.base()
    if base is not None and base.digest not in folded.state.table.bases.get(base.last, ()):
        raise Eio(f"no entry of the journal names its base, the state at entry {base.seq}")
    return folded


def _fold_rows(folded: Folded, rows: Iterator[Row]) -> Folded:
    state, head = folded.state, folded.head
    for row in rows:
        try:
            entry = ev.decode_entry(row.record)
        except UNREADABLE as error:
            raise Eio(f"entry {row.seq} of the journal cannot be read by this version: {error}") from None
        try:
            for event in entry.events:
                state.apply(row.seq, entry.time_ns, event)
        except Exception as error:  # folds trust what handlers decided; a journal from elsewhere can say anything
            raise Eio(f"entry {row.seq} of the journal cannot follow what is before it: {error}") from error
        state.charge(entry.payer, len(row.record) + entry.content_bytes)
        head = Head(row.seq, row.hash)
    return folded._replace(head=head)


@contextmanager
def _no_collection() -> Generator[None]:
    """A fold makes many objects and no garbage that refers to itself: collections in between look at all of them again
    and again, and would make its cost grow faster than the journal.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
