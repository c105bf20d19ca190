"""Snapshots: a fold, cached; and when such a cache may be believed.

A snapshot is used only if its state is what was saved, the chain has that very hash at its number, and the fold
that made it is the fold of today. Anything else is no snapshot: the journal is folded from its beginning instead.
"""

from __future__ import annotations

from hashlib import blake2b

from prytany.journal.anchor import Head
from prytany.journal.chain import HASH_BYTES
from prytany.ports.store import Reader, Snapshot, StoreError

VERSION_BYTES_MAX = 64


def snapshot_digest(version: str, state: bytes) -> bytes:
    """Of the state, keyed by the version: so a damaged version shows as well."""
    return blake2b(state, digest_size=HASH_BYTES, key=version.encode()).digest()


def snapshot_of(head: Head, version: str, state: bytes) -> Snapshot:
    """The snapshot of the fold at `head`; raises ValueError for a version of more than 64 bytes."""
    return Snapshot(head.seq, head.hash, version, state, snapshot_digest(version, state))


def fault_of(snapshot: Snapshot, reader: Reader) -> str | None:
    """What is wrong with `snapshot` as one of this chain, or None.

    Raises:
        StoreError: the row it names cannot be read.
    """
    if len(snapshot.version.encode()) > VERSION_BYTES_MAX:
        return "its version is longer than a version can be"
    if snapshot_digest(snapshot.version, snapshot.state) != snapshot.digest:
        return "its state or version is not what was saved"
    row = reader.row(snapshot.seq) if snapshot.seq > reader.archived() else None
    if row is None:
        return "the chain has no row of its number"
    if row.hash != snapshot.hash:
        return "the chain has another hash at its number"
    return None


def newest_usable(reader: Reader, version: str) -> Snapshot | None:
    """The newest snapshot that may be believed by a fold of `version`, or None. Damage makes None, never an error."""
    try:
        for snapshot in reader.snapshots():
            if snapshot.version == version and fault_of(snapshot, reader) is None:
                return snapshot
    except StoreError:
        return None
    return None
