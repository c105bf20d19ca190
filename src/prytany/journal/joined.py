"""Archives and the journal that they are of, as one: so that the chain and all content are checked over them.

Entries up to the last archive's last are the archives', later ones the journal's. Content is taken from where it is:
what was destroyed in the journal since is still in an archive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from prytany.journal.anchor import Head
from prytany.ports.store import Base, Body, Reader, Row, Snapshot


class Part(NamedTuple):
    """An archive that was opened: the entry before its first, its last, and what it holds."""

    begins: Head
    last: Head
    reader: Reader


class JoinedReader:
    """Several readers that are read as one; all stay their opener's."""

    def __init__(self, parts: Sequence[Part], journal: Reader) -> None:
        """`parts` in their order, each beginning where the one before it ends."""
        self._parts, self._last, self._journal = parts, parts[-1].last.seq, journal

    def head(self) -> Row | None:
        """The journal's last row, or None."""
        return self._journal.head()

    def row(self, seq: int) -> Row | None:
        """The row of that number, or None."""
        for part in self._parts:
            if seq <= part.last.seq:
                return part.reader.row(seq)
        return self._journal.row(seq)

    def rows(self, first: int, last: int | None = None) -> Iterator[Row]:
        """Rows from `first` to `last`, in order."""
        for part in self._parts:
            end = part.last.seq if last is None else min(last, part.last.seq)
            yield from part.reader.rows(max(first, part.begins.seq + 1), end)
        yield from self._journal.rows(max(first, self._last + 1), last)

    def body(self, tenant: int, digest: bytes) -> Body | None:
        """A large body, or None."""
        for reader in (self._journal, *(part.reader for part in self._parts)):
            if (body := reader.body(tenant, digest)) is not None:
                return body
        return None

    def bodies(self) -> Iterator[Body]:
        """All large bodies, those in several as often."""
        for part in self._parts:
            yield from part.reader.bodies()
        yield from self._journal.bodies()

    def snapshots(self) -> Iterator[Snapshot]:
        """The journal's."""
        return self._journal.snapshots()

    def base(self) -> Base | None:
        """None: it begins with the first archive."""
        return None

    def archived(self) -> int:
        """0, as `base`."""
        return 0

    def close(self) -> None:
        """See the class."""
