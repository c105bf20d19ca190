"""An archive and the journal that it is of, as one: so that the chain and all content are checked over both.

Entries up to the archive's last are the archive's, later ones the journal's. Content is taken from where it is: what
was destroyed in the journal since is still in the archive.
"""

from __future__ import annotations

from collections.abc import Iterator

from prytany.ports.store import Body, Reader, Row, Snapshot


class JoinedReader:
    """Two readers that are read as one; both stay their opener's."""

    def __init__(self, archive: Reader, last: int, journal: Reader) -> None:
        """`last` is the last entry that is taken from the archive."""
        self._archive, self._last, self._journal = archive, last, journal

    def head(self) -> Row | None:
        """The journal's last row, or None."""
        return self._journal.head()

    def row(self, seq: int) -> Row | None:
        """The row of that number, or None."""
        return (self._archive if seq <= self._last else self._journal).row(seq)

    def rows(self, first: int, last: int | None = None) -> Iterator[Row]:
        """Rows from `first` to `last`, in order."""
        yield from self._archive.rows(first, self._last if last is None else min(last, self._last))
        yield from self._journal.rows(max(first, self._last + 1), last)

    def body(self, tenant: int, digest: bytes) -> Body | None:
        """A large body, or None."""
        return self._journal.body(tenant, digest) or self._archive.body(tenant, digest)

    def bodies(self) -> Iterator[Body]:
        """All large bodies, those in both twice."""
        yield from self._archive.bodies()
        yield from self._journal.bodies()

    def snapshots(self) -> Iterator[Snapshot]:
        """The journal's."""
        return self._journal.snapshots()

    def close(self) -> None:
        """See the class."""
