"""Whether a journal may be gone on with: cheap checks at each opening, instead of a whole verification.

The anchored head has to be in it, with its hash; the last rows have to follow each other; and what the fold reads is
held against the chain as it is read. A damage that none of these meets (in a row that a snapshot stands for, in a body)
is found by `verify`.
"""

from __future__ import annotations

from collections.abc import Iterator

from prytany.abi.errors import Eio
from prytany.journal.anchor import Head
from prytany.journal.chain import GENESIS, next_hash
from prytany.ports.store import Body, Reader, Row, Snapshot

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
        """Rows from `first` to `last`, in order, each after the one before it."""
        seq, hash_ = first - 1, GENESIS
        if seq > 0:
            before = self._reader.row(seq)
            if before is None:
                raise Damaged(f"entry {seq} is missing")
            hash_ = before.hash
        for row in self._reader.rows(first, last):
            if row.seq != seq + 1:
                raise Damaged(f"entry {seq + 1} is missing")
            if next_hash(hash_, row.record) != row.hash:
                raise Damaged(f"entry {row.seq} is not what was chained")
            seq, hash_ = row.seq, row.hash
            yield row

    def body(self, tenant: int, digest: bytes) -> Body | None:
        """A large body, or None."""
        return self._reader.body(tenant, digest)

    def bodies(self) -> Iterator[Body]:
        """All large bodies."""
        return self._reader.bodies()

    def snapshots(self) -> Iterator[Snapshot]:
        """All snapshots, newest first."""
        return self._reader.snapshots()

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
    if anchor is not None and anchor.seq:
        if anchor.seq > last:
            raise Damaged(f"it ends at entry {last}, and entry {anchor.seq} was durable")
        row = reader.row(anchor.seq)
        if row is None:
            raise Damaged(f"entry {anchor.seq} is missing")
        if row.hash != anchor.hash:
            raise Damaged(f"entry {anchor.seq}, or one before it, was rewritten")
    for _ in CheckedReader(reader).rows(max(1, last - TAIL_ROWS)):
        pass
