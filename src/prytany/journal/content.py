"""What the chain names and where it lies: so that what was forgotten is told from what was lost.

A record names content by digest. The content lies packed in the record's own row, or as a body of its own, or, rarely,
in another row. Where it lies nowhere, it was forgotten if a record says so of its owner, or if its tenant's key was
destroyed; otherwise it is damage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from prytany.abi.errors import Eio
from prytany.journal.bodies import unpack
from prytany.ports.store import Row


class Named(NamedTuple):
    """One piece of content that a record names. What an owner is, only the record's writer knows."""

    tenant: int
    digest: bytes
    owner: int


class Said(NamedTuple):
    """What one record says of content: what it names, and the owners whose content it records as forgotten."""

    names: list[Named]
    forgotten: list[int]


ReadRecord = Callable[[bytes], Said]
"""Raises whatever a damaged record makes it raise."""


class _Place(NamedTuple):
    seq: int
    owners: set[int]


class Sought:
    """Content that was named and has not been found so far. Its size is that of the large bodies, not of the chain."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, bytes], _Place] = {}
        self._forgotten: set[int] = set()

    def named(self, row: Row, said: Said) -> None:
        """A record was read; its own row's pack is sound."""
        self._forgotten.update(said.forgotten)
        packed = {digest for digest, _ in unpack(row.bodies)}
        for tenant, digest, owner in said.names:
            if digest not in packed:
                self._places.setdefault((tenant, digest), _Place(row.seq, set())).owners.add(owner)

    def found(self, tenant: int, digest: bytes) -> None:
        """It lies somewhere."""
        self._places.pop((tenant, digest), None)

    def drop_forgotten(self, keyless: Callable[[int], bool]) -> int:
        """Leave out what is recorded as forgotten, or whose tenant is `keyless`; how much that was."""
        gone = [
            name
            for name, place in self._places.items()
            if keyless(name[0]) or not self._forgotten.isdisjoint(place.owners)
        ]
        for name in gone:
            del self._places[name]
        return len(gone)

    def look_into(self, rows: Iterable[Row]) -> None:
        """Look for what is left in all rows' packs. Nothing is read when nothing is left."""
        if not self._places:
            return
        digests = {digest: tenant for tenant, digest in self._places}
        for row in rows:
            try:
                pairs = unpack(row.bodies)
            except Eio:
                continue  # a finding of its own
            for digest, _ in pairs:
                if digest in digests:
                    self.found(digests[digest], digest)

    def left(self) -> list[tuple[int, bytes]]:
        """What is nowhere: the row that named it first, and its digest."""
        return sorted((place.seq, digest) for (_, digest), place in self._places.items())
