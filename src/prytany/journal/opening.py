"""Whether a journal may be gone on with: cheap checks at each opening, instead of a whole verification.

The anchored head has to be in it, with its hash; the last rows have to follow each other; and what the fold reads is
held against the chain as it is read. A damage that none of these meets (in a row that a snapshot stands for, in a body)
is found by `verify`.
"""

from __future__ import annotations

from collections.abc import Iterator

from prytany.abi.errors import Eio
from prytany.journal.anchor import Head
from prytany.journal.base import BEGINNING, placed
from prytany.ports.store import Base, Body, Reader, Row, Snapshot

TAIL_ROWS = 256


class Damaged(Eio):
    """The journal is not what was written. `detail` says how much of it is sound, once that is known."""


class CheckedReader:
    """A reader whose rows are held against the chain as they are read; one that does not fit raises Damaged."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def head(self) -> Row | None:
        """The last row, or None."""
        return self._reader.head()

    def row(self, seq: int) -> Row | None:
        """The row of that number, or None."""
        return self._reader.row(seq)

    def rows(self, first: int, last: int | None = None) -> Iterator[Row]:
        """Rows from `first` to `last`, in order, each after the one before it; from 1 on, with those below the base
        that were kept."""
        archived = self._reader.archived()
        base = self._reader.base() if archived and first in (1, archived + 1) else None
        begins = BEGINNING
        if 1 < first <= archived:
            raise Damaged(f"entry {first} is in an archive")
        if base is None and first > 1:
            before = self._reader.row(first - 1)
            if before is None:
                raise Damaged(f"entry {first - 1} is missing")
            begins = Head(before.seq, before.hash)
        try:
            for row, fault, _ in placed(self._reader.rows(first, last), base, begins, below=first == 1):
                if fault:
                    raise Damaged(fault)
                yield row
        except Damaged:
            raise
        except Eio as error:
            raise Damaged(error.message) from None

    def body(self, tenant: int, digest: bytes) -> Body | None:
        """A large body, or None."""
        return self._reader.body(tenant, digest)

    def bodies(self) -> Iterator[Body]:
        """All large bodies."""
        return self._reader.bodies()

    def snapshots(self) -> Iterator[Snapshot]:
        """All snapshots, newest first."""
        return self._reader.snapshots()

    def base(self) -> Base | None:
        """What the journal begins with, or None."""
        return self._reader.base()

    def archived(self) -> int:
        """The last entry that was archived, or 0."""
        return self._reader.archived()

    def close(self) -> None:
        """Let the view go."""
        self._reader.close()


def check_end(reader: Reader, anchor: Head | None) -> None:
    """Check the head and the last rows.

    Raises:
        Damaged: the tail was cut, or rewritten, or does not follow.
        StoreError: it cannot be read.
    """
    head = reader.head()
    last = head.seq if head else 0
    archived = reader.archived()
    if anchor is not None and anchor.seq > archived:  # a power loss may leave it at an older head than is durable
        if anchor.seq > last:
            raise Damaged(f"it ends at entry {last}, and entry {anchor.seq} was durable")
        row = reader.row(anchor.seq)
        if row is None:
            raise Damaged(f"entry {anchor.seq} is missing")
        if row.hash != anchor.hash:
            raise Damaged(f"entry {anchor.seq}, or one before it, was rewritten")
    first = max(archived + 1, last - TAIL_ROWS)
    for _ in CheckedReader(reader).rows(first):
        pass
