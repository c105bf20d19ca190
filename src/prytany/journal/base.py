"""The base: what a journal begins with once its older rows were moved to an archive.

The chain goes on from the hash of the last archived row, and the fold from the state that the base holds. A few older
rows stay where they were, since what lives still needs them: each with the hash before it, so that it can be checked
alone. All of it is under one digest, which a later entry of the chain names. So whoever changes a base has to change
the chain after it, and that shows as every other change does.

What a row below the base says of itself is true only if the base says so: rows that are archived and not yet removed,
because that was cut off, count as gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from prytany.abi.errors import Eio
from prytany.abi.wire import UNREADABLE
from prytany.journal.anchor import Head
from prytany.journal.chain import GENESIS, HASH_BYTES, next_hash
from prytany.ports.store import Base, Row

BEGINNING = Head(0, GENESIS)
"""What stands before the first entry of all."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[int, bytes, bytes]]).decode


class KeptRow(NamedTuple):
    """An older row that stays."""

    seq: int
    before: bytes
    """The hash of the row before it."""
    hash: bytes


def base_of(last: Head, at: Head, form: int, state: bytes, kept: Iterable[KeptRow]) -> Base:
    """The base of `state` at entry `at`, where everything up to `last` is archived but for `kept`."""
    base = Base(last.seq, last.hash, at.seq, at.hash, form, state, _encode(sorted(kept)), b"")
    return base._replace(digest=_digest(base))


def _digest(base: Base) -> bytes:
    digest = blake2b(digest_size=HASH_BYTES)
    for part in (_encode((base.last, base.last_hash, base.seq, base.hash, base.form)), base.state, base.kept):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def check_base(base: Base) -> None:
    """Raise Eio when it is not what was made."""
    if not 0 < base.last <= base.seq or len(base.last_hash) != HASH_BYTES or _digest(base) != base.digest:
        raise Eio(
            f"the base of the journal (the state at entry {base.seq}, since entries up to {base.last} are archived) is"
            " damaged"
        )


def kept_rows(base: Base | None) -> dict[int, KeptRow]:
    """The older rows that stay, by number; none without a base. Raises Eio as `check_base`."""
    if base is None:
        return {}
    check_base(base)
    try:
        return {seq: KeptRow(seq, before, hash_) for seq, before, hash_ in _decode(base.kept)}
    except UNREADABLE as error:
        raise Eio(f"the base of the journal is damaged: {error}") from None


class Placed(NamedTuple):
    """A row of a journal, and what is wrong with it in its place; `gap` says that it is not the next one."""

    row: Row
    fault: str
    gap: bool = False


def placed(rows: Iterable[Row], base: Base | None, begins: Head = BEGINNING, *, below: bool = True) -> Iterator[Placed]:
    """The rows of a journal, read from its beginning: each held against what is before it.

    Args:
        rows: in order, from the first that there is.
        base: what the journal begins with; rows below it that are not kept are passed over.
        begins: the entry before the first, where there is no base.
        below: what was kept below the base is read as well.

    Raises:
        Eio: the base is damaged.
    """
    kept = kept_rows(base) if below else {}
    if base is not None and not below:
        check_base(base)
    seq, hash_ = begins if base is None else (base.last, base.last_hash)
    for row in rows:
        if base is not None and row.seq <= base.last:
            if (place := kept.pop(row.seq, None)) is not None:
                sound = place.hash == row.hash == next_hash(place.before, row.record)
                yield Placed(row, "" if sound else f"row {row.seq}, which was kept, is not what was chained")
            continue
        if kept:
            missing = f"row {min(kept)} is missing, one of {len(kept)} that were kept when older ones were archived"
            kept.clear()
            yield Placed(row, missing, gap=True)
        elif row.seq != seq + 1:
            yield Placed(row, f"row {row.seq} follows row {seq}", gap=True)
        elif next_hash(hash_, row.record) != row.hash:
            yield Placed(row, f"row {row.seq} does not follow: its record, its hash, or the hash before")
        else:
            yield Placed(row, "")
        seq, hash_ = row.seq, row.hash
