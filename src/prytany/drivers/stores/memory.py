"""The reference store: plain lists in memory, for tests and for what need not last.

It is the model that other stores are compared with, so it is written to be read, not to be fast. It keeps nothing
beyond the process, and says so in its features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prytany.ports.store import Base, Body, Features, Row, Snapshot, StoreFenced, StoreFull


class MemoryReader:
    """A view of given rows, bodies and snapshots; also of hand-made ones, which is how tests show damage."""

    def __init__(
        self, rows: Sequence[Row], bodies: Sequence[Body], snapshots: Sequence[Snapshot], base: Base | None = None
    ) -> None:
        self._base = base
        self._rows = tuple(rows)
        self._bodies = tuple(bodies)
        self._snapshots = tuple(snapshots)

    def head(self) -> Row | None:
        """The last row, or None."""
        return self._rows[-1] if self._rows else None

    def row(self, seq: int) -> Row | None:
        """The row of that number, or None."""
        return next((row for row in self._rows if row.seq == seq), None)

    def rows(self, first: int, last: int | None = None) -> Iterator[Row]:
        """Rows from `first` to `last`, in order."""
        return (row for row in self._rows if row.seq >= first and (last is None or row.seq <= last))

    def body(self, tenant: int, digest: bytes) -> Body | None:
        """A large body, or None."""
        return next((b for b in self._bodies if b.tenant == tenant and b.digest == digest), None)

    def bodies(self) -> Iterator[Body]:
        """All large bodies, by tenant and digest."""
        return iter(sorted(self._bodies))

    def snapshots(self) -> Iterator[Snapshot]:
        """All snapshots, the one that was saved last first."""
        return iter(self._snapshots)

    def base(self) -> Base | None:
        """What the journal begins with, or None."""
        return self._base

    def archived(self) -> int:
        """The last row that was archived, or 0."""
        return self._base.last if self._base is not None else 0

    def close(self) -> None:
        """Nothing is held."""


class MemoryStore:
    """A store in memory, bounded when it is given a capacity."""

    features = Features(durable=False, exclusive=False)

    def __init__(self, *, capacity_bytes: int | None = None, reserve_bytes: int = 0) -> None:
        self._rows: dict[int, Row] = {}
        self._bodies: dict[tuple[int, bytes], Body] = {}
        self._snapshots: list[Snapshot] = []
        self._base: Base | None = None
        self._capacity_bytes = capacity_bytes
        self._reserve_bytes = reserve_bytes

    def commit(self, rows: Sequence[Row], bodies: Sequence[Body], *, reserve: bool = False) -> None:
        """Keep all or nothing."""
        seqs = [row.seq for row in rows]
        if len(set(seqs)) != len(seqs) or any(seq in self._rows for seq in seqs):
            raise StoreFenced(f"a row among {seqs} stands already")
        new = {(body.tenant, body.digest): body for body in bodies if (body.tenant, body.digest) not in self._bodies}
        if self._capacity_bytes is not None:
            added_bytes = sum(map(_row_bytes, rows)) + sum(len(body.content) for body in new.values())
            room_bytes = self._capacity_bytes - self.size_bytes() - (0 if reserve else self._reserve_bytes)
            if added_bytes > room_bytes:
                raise StoreFull(f"{added_bytes} bytes do not fit in {room_bytes}")
        self._rows.update((row.seq, row) for row in rows)
        self._bodies.update(new)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep `snapshot` and the one before it."""
        self._snapshots = [snapshot, *self._snapshots[:1]]

    def forget(self, tenant: int, digests: Sequence[bytes], packs: Sequence[tuple[int, bytes]] = ()) -> int:
        """Drop large bodies, and put packs in place; the number of bodies that were there."""
        for seq, pack in packs:
            if seq in self._rows:
                self._rows[seq] = self._rows[seq]._replace(bodies=pack)
        return sum(self._bodies.pop((tenant, digest), None) is not None for digest in digests)

    def set_base(self, base: Base) -> None:
        """Put `base` in place, and drop older snapshots."""
        self._base = base
        self._snapshots = [snapshot for snapshot in self._snapshots if snapshot.seq > base.last]

    def remove(self, seqs: Sequence[int]) -> None:
        """Remove archived rows."""
        for seq in seqs:
            self._rows.pop(seq, None)

    def shrink(self) -> None:
        """Nothing is held that could be given back."""

    def row(self, seq: int) -> Row | None:
        """The row of that number, or None; without a view of all that is there."""
        return self._rows.get(seq)

    def body(self, tenant: int, digest: bytes) -> Body | None:
        """A large body, or None; the same."""
        return self._bodies.get((tenant, digest))

    def reader(self) -> MemoryReader:
        """A copy of what is there now."""
        return MemoryReader(sorted(self._rows.values()), list(self._bodies.values()), self._snapshots, self._base)

    def size_bytes(self) -> int:
        """Of records, hashes, bodies and snapshots."""
        return (
            sum(map(_row_bytes, self._rows.values()))
            + sum(len(body.content) for body in self._bodies.values())
            + sum(len(snapshot.state) for snapshot in self._snapshots)
        )

    def close(self) -> None:
        """Nothing is held."""


def _row_bytes(row: Row) -> int:
    return len(row.hash) + len(row.record) + len(row.bodies)
