"""The store: where a shard's journal lies.

A store keeps *rows* of the chain, of which only the content beside it is ever changed, to forget it; *bodies*, the
content that rows name by digest, which may be forgotten as well; *snapshots*, which are caches; and, once older rows
were moved to an archive, a *base*. It knows nothing of what a row means. One thread calls it, the journal's writer,
except for `Reader`s, each of which is its own view and may be used from another thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol


class Features(NamedTuple):
    """What a store can do; the conformance suite picks its tests by it."""

    durable: bool
    """A committed row survives the end of the process."""
    exclusive: bool
    """A second writer on the same place is refused."""


class Row(NamedTuple):
    """One entry of the chain, as stored."""

    seq: int
    """From 1, without gaps. Two rows of one number are refused: that is the fence of a stale writer."""
    hash: bytes
    """16 bytes: blake2b over the hash before and `record`."""
    record: bytes
    """The entry's bytes; what the hash covers."""
    bodies: bytes
    """Small content beside the chain (packed pairs of digest and bytes), or empty. Not covered by `hash`, so that it
    can be forgotten; each body is checked against its digest in `record`."""


class Body(NamedTuple):
    """One large or shared piece of content."""

    tenant: int
    digest: bytes
    key_id: int
    """Of the key that keys the digest, and may encrypt `content`."""
    content: bytes


class Snapshot(NamedTuple):
    """A fold, cached."""

    seq: int
    hash: bytes
    """The chain's hash at `seq`; a snapshot whose hash differs from the row's is no snapshot of this chain."""
    version: str
    """Of the fold that made it."""
    state: bytes
    digest: bytes
    """blake2b of `state`, 16 bytes."""


class Base(NamedTuple):
    """What a journal begins with whose older rows were moved to an archive: the state at one entry, and which of the
    older rows stay, since what lives still needs them. Unlike a snapshot it is no cache: see `journal.base`."""

    last: int
    """The last row that belongs to the archive."""
    last_hash: bytes
    """The chain goes on from it."""
    seq: int
    """The state is the one at this entry: `last`, or a later one."""
    hash: bytes
    form: int
    """Of `state`: a number that grows when older versions of prytany could not read it."""
    state: bytes
    kept: bytes
    """The rows up to `last` that stay, packed; see `journal.base`."""
    digest: bytes
    """Of everything before. A later entry of the chain names it."""


class StoreError(Exception):
    """The store could not do it; nothing of the call was kept."""


class StoreFull(StoreError):
    """The disk is full."""


class StoreFenced(StoreError):
    """A row of that number stands already: another writer has this shard."""


class StoreLocked(StoreError):
    """Another process holds this store."""


class StoreGone(StoreError):
    """What the store writes to was removed: no path leads to it any more."""


class Reader(Protocol):
    """A consistent view for reading."""

    def head(self) -> Row | None:
        """The last row, or None when there is none."""
        ...

    def row(self, seq: int) -> Row | None:
        """The row of that number, or None."""
        ...

    def rows(self, first: int, last: int | None = None) -> Iterator[Row]:
        """Rows from `first` to `last` (inclusive; None is the head at the time of the call), in order."""
        ...

    def body(self, tenant: int, digest: bytes) -> Body | None:
        """A large body, or None when there is none or it was forgotten."""
        ...

    def bodies(self) -> Iterator[Body]:
        """All large bodies, in a stable order."""
        ...

    def snapshots(self) -> Iterator[Snapshot]:
        """All snapshots, newest first."""
        ...

    def base(self) -> Base | None:
        """What the journal begins with; None where that is its first row. Below it `rows` gives what is there."""
        ...

    def archived(self) -> int:
        """`base().last`, without reading the rest; 0 where there is none."""
        ...

    def close(self) -> None:
        """Let the view go."""
        ...


class Store(Protocol):
    """The writer's side."""

    @property
    def features(self) -> Features:
        """What this store can do."""
        ...

    def commit(self, rows: Sequence[Row], bodies: Sequence[Body], *, reserve: bool = False) -> None:
        """Keep all of `rows` and `bodies`, or nothing; durable on return.

        Args:
            rows: continue the chain, in order.
            bodies: a body that is there already is left as it is.
            reserve: this may use the space that is kept for a full disk.

        Raises:
            StoreFenced: a row of one of these numbers stands already.
            StoreFull: no space; with `reserve` only when the reserve is used up as well.
            StoreError: anything else.
        """
        ...

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep `snapshot`, and of the older ones only the newest."""
        ...

    def forget(self, tenant: int, digests: Sequence[bytes], packs: Sequence[tuple[int, bytes]] = ()) -> int:
        """Destroy content; the chain is not touched.

        Args:
            tenant: whose.
            digests: of large bodies.
            packs: a row's number, and what is put in the place of its `bodies`; a row that is not there is passed over.

        Returns:
            The number of large bodies that were there.
        """
        ...

    def set_base(self, base: Base) -> None:
        """Put `base` in the place of the one before, and drop the snapshots that are older than its last row; durable
        on return. It may use the reserve: who makes room may.

        Raises:
            StoreFull: not even that is enough; nothing is changed.
            StoreError: anything else.
        """
        ...

    def remove(self, seqs: Sequence[int]) -> None:
        """Remove rows that were archived; as `set_base`."""
        ...

    def shrink(self) -> None:
        """Give the room of what was removed back to the disk, if that is how the store is; it takes as long as writing
        what is left, and as much room meanwhile. Raises StoreError."""
        ...

    def reader(self) -> Reader:
        """A new view, for any one thread."""
        ...

    def size_bytes(self) -> int:
        """What the store takes on disk or in memory."""
        ...

    def close(self) -> None:
        """Release everything; committed rows stay."""
        ...
