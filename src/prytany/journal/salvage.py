"""What is still sound of a damaged journal, copied to a new store. The damaged one is only read.

The sound part is a prefix of the chain: a row after a fault has lost what it follows. A body is kept if it is what was
digested; one that is not is left out, and is then missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prytany.abi.errors import Eio
from prytany.journal.bodies import pack, unpack
from prytany.journal.chain import GENESIS
from prytany.journal.content import ReadRecord
from prytany.journal.digests import Keyring
from prytany.journal.snapshot import fault_of
from prytany.journal.verify import chained, large_body_fault, small_body_faults
from prytany.ports.store import Body, Reader, Row, Snapshot, Store, StoreError

AT_ONCE = 1_024
"""Rows, or large bodies, in one transaction."""
BYTES_AT_ONCE = 16 << 20
"""Of them; one more may go."""

Progress = Callable[[int], None]
"""Told the number of the last entry that was copied."""


@dataclass(slots=True)
class Kept:
    """What was copied, and what was not."""

    seq: int = 0
    hash: bytes = GENESIS
    """Of the last row that was kept."""
    bodies: int = 0
    bodies_lost: int = 0
    rows_lost: int = 0
    """Older rows that were kept when others were archived."""
    snapshots: int = 0
    complete: bool = True
    """The damaged store could be read to its end; what could not be read is not counted among the lost."""


def _with_sound_bodies(row: Row, keyring: Keyring, read: ReadRecord, kept: Kept) -> Row:
    faults = small_body_faults(row, keyring, read)
    if not faults:
        return row
    bad = {fault.digest for fault in faults}
    if b"" in bad:  # the pack as a whole
        kept.bodies_lost += 1
        return row._replace(bodies=b"")
    pairs = unpack(row.bodies)
    sound = [pair for pair in pairs if pair[0] not in bad]
    kept.bodies_lost += len(pairs) - len(sound)
    return row._replace(bodies=pack(sound))


def keep_sound_part(
    source: Reader, target: Store, keyring: Keyring, read: ReadRecord, progress: Progress = lambda seq: None
) -> Kept:
    """Copy the sound part of `source` into `target`, which has to be empty.

    Raises:
        StoreError: `target` failed; it then holds a shorter sound part.
        StoreFenced: `target` is not empty.
    """
    kept = Kept()
    group: list[Row] = []
    size_bytes = 0
    base = source.base()
    rows = chained(source.rows(1), base)
    while True:
        try:
            row, fault = next(rows, (None, None))
        except StoreError:
            kept.complete = False
            break
        if base is not None and row is not None and fault is not None and row.seq <= base.last:
            kept.rows_lost += 1  # what needs it will say so; the chain goes on from the base
            continue
        if row is None or fault is not None:
            kept.complete = fault is None
            break
        group.append(_with_sound_bodies(row, keyring, read, kept))
        size_bytes += len(row.record) + len(row.bodies)
        if len(group) == AT_ONCE or size_bytes >= BYTES_AT_ONCE:
            target.commit(group, [])
            kept.seq, kept.hash, group, size_bytes = group[-1].seq, group[-1].hash, [], 0
            progress(kept.seq)
    if group:
        target.commit(group, [])
        kept.seq, kept.hash = group[-1].seq, group[-1].hash
    if base is not None:
        if kept.seq <= base.seq:
            raise Eio(
                f"what is sound ends at entry {kept.seq}, and the journal begins with the state at entry {base.seq}:"
                " older entries are in an archive"
            )
        target.set_base(base)
    _copy_bodies(source, target, keyring, kept)
    _copy_snapshots(source, target, kept)
    return kept


def _copy_bodies(source: Reader, target: Store, keyring: Keyring, kept: Kept) -> None:
    bodies = source.bodies()
    group: list[Body] = []
    size_bytes = 0
    while True:
        try:
            body = next(bodies, None)
        except StoreError:
            kept.complete = False
            break
        if body is None:
            break
        if large_body_fault(body, keyring) is not None:
            kept.bodies_lost += 1
            continue
        group.append(body)
        size_bytes += len(body.content)
        kept.bodies += 1
        if len(group) == AT_ONCE or size_bytes >= BYTES_AT_ONCE:
            target.commit([], group)
            group, size_bytes = [], 0
    if group:
        target.commit([], group)


def _copy_snapshots(source: Reader, target: Store, kept: Kept) -> None:
    usable: list[Snapshot] = []
    try:
        usable += [s for s in source.snapshots() if s.seq <= kept.seq and fault_of(s, source) is None]
    except StoreError:
        kept.complete = False
    for snapshot in reversed(usable):  # the newest is saved last
        target.save_snapshot(snapshot)
        kept.snapshots += 1
