"""Archiving: the journal's older entries leave it, once a copy of them lies elsewhere.

    prepare   what of them is still needed is looked for; the state is encoded, and the digest of the base that holds
              both is recorded
    finish    the journal begins with that base, and what is not needed of the entries below it is removed

Between the two, whoever commands it holds the state against a fold of the entries, and the archive against the journal:
nothing is removed that was not checked. The base goes in at once and as a whole; bodies that only removed entries name
go next, the entries last, lowest first. So a stop at any moment leaves a journal that opens, and the same command goes
on with it. Everything else goes on meanwhile; see `forgetting` on bodies that are named again at that moment.

Entries that record what was forgotten stay as well: they say why content of others is not there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import Einval, Eio, Enoent
from prytany.journal.anchor import Head
from prytany.journal.base import KeptRow, base_of, kept_rows
from prytany.journal.bodies import unpack
from prytany.journal.chain import GENESIS
from prytany.kernel.base_form import FORM
from prytany.kernel.content import names_of
from prytany.kernel.forgetting import Since, destroy_bodies
from prytany.kernel.ledger import Ledger
from prytany.kernel.reachable import content_named, needed_entries, roots
from prytany.kernel.turn import others_first
from prytany.ports.store import Base, Reader, Row

ROWS_A_STEP = 256
ROWS_AT_ONCE = 1_000
FILE_CHARS_MAX = 255


class Removed(NamedTuple):
    """What has left the journal."""

    entries: int
    freed_bytes: int


async def prepare(ledger: Ledger, reader: Reader, last: Head, uid: int, file: str = "") -> Base:
    """Make the base with which the journal can go on without the entries up to `last`, and record its digest.

    Raises:
        Enoent: the journal has no such entry any more, or not yet.
        Einval: it has another entry there.
        Enospc, Eio: the journal is broken.
    """
    old = reader.base()
    if not (old.last if old else 0) < last.seq <= ledger.journal.durable:
        raise Enoent(f"entry {last.seq} is not there to be archived: entries up to {old.last if old else 0} are")
    row = reader.row(last.seq)
    if row is None or row.hash != last.hash:
        raise Einval(f"entry {last.seq} of the journal is another than the archive's: it is none of this journal")
    found = await roots(ledger.state)  # before the state that is kept: it needs no more than this one
    await ledger.journal.wait_durable(ledger.journal.head.seq)  # all that it names can be read
    needed = {seq for seq in await needed_entries(found, reader) if seq <= last.seq}
    needed |= await _others(reader, last.seq, needed)
    kept = _kept(reader, needed, old)
    at, state = ledger.journal.head, ledger.state.encode()
    base = base_of(last, at, FORM, state, kept)
    commanded = ev.OperatorCommanded(uid, f"journal archive: entries up to {last.seq}")
    seq = ledger.commit(
        (commanded, ev.JournalArchived(*last, at.seq, base.digest, file[:FILE_CHARS_MAX])), {}, payer=0, reserve=True
    )
    await ledger.journal.wait_durable(seq)
    return base


async def finish(ledger: Ledger, reader: Reader, base: Base | None = None) -> Removed:
    """Have the journal begin with `base`, and remove what is below it; without one, what is left below that which it
    has.

    Raises:
        Enospc, Eio: the journal is broken.
        StoreError: not all is removed; the same again goes on.
    """
    if base is not None:
        await ledger.journal.set_base(base)
    elif (base := reader.base()) is None:
        return Removed(0, 0)
    kept = kept_rows(base)
    bodies: dict[bytes, None] = {}
    seqs: list[int] = []
    freed_bytes = 0
    async for row in _steps(reader, 1, base.last):
        if row.seq not in kept:
            seqs.append(row.seq)
            freed_bytes += len(row.record) + len(row.bodies)
            bodies.update(dict.fromkeys(_elsewhere(row)))
    if not seqs:
        return Removed(0, 0)
    since = await _named_elsewhere(ledger, reader, bodies, set(seqs))
    async for gone, _ in destroy_bodies(ledger, reader, list(bodies), since):
        freed_bytes += sum(gone.values())
    for start in range(0, len(seqs), ROWS_AT_ONCE):
        await ledger.journal.remove(seqs[start : start + ROWS_AT_ONCE])
    seq = ledger.commit((ev.EntriesRemoved(len(seqs), freed_bytes),), {}, payer=0, reserve=True)
    await ledger.journal.wait_durable(seq)
    return Removed(len(seqs), freed_bytes)


async def _others(reader: Reader, last: int, needed: set[int]) -> set[int]:
    """Entries that stay though nothing leads to them: that record what was forgotten; and one for each piece of small
    content that lies there and not with who names it."""
    forgot: set[int] = set()
    sought: set[bytes] = set()
    head = reader.head()
    async for row in _steps(reader, 1, head.seq if head else 0):
        if row.seq <= last and any(isinstance(e, ev.ContentForgotten) for e in ev.decode_entry(row.record).events):
            forgot.add(row.seq)
        elif row.seq > last or row.seq in needed:
            sought.update(digest for digest in _elsewhere(row) if digest not in sought)
    holds: dict[bytes, int] = {}
    if sought:
        async for row in _steps(reader, 1, last):
            holds.update({digest: row.seq for digest, _ in unpack(row.bodies) if digest in sought})
    return forgot | set(holds.values())


def _elsewhere(row: Row) -> set[bytes]:
    """The content that an entry names and that does not lie with it."""
    named = {digest for event in ev.decode_entry(row.record).events for _, digest in names_of(event)}
    return named - {digest for digest, _ in unpack(row.bodies)} if named else named


def _kept(reader: Reader, needed: set[int], old: Base | None) -> list[KeptRow]:
    before_base = kept_rows(old)
    kept: list[KeptRow] = []
    for seq in sorted(needed):
        row = reader.row(seq)
        if row is None:
            continue  # named by its number alone, and archived before
        if (place := before_base.get(seq)) is not None:
            kept.append(place)
        elif old is not None and seq <= old.last:
            continue  # archived before, and not removed yet
        else:
            kept.append(KeptRow(seq, _hash_before(reader, seq, old), row.hash))
    return kept


def _hash_before(reader: Reader, seq: int, old: Base | None) -> bytes:
    if old is not None and seq == old.last + 1:
        return old.last_hash
    if seq == 1:
        return GENESIS
    row = reader.row(seq - 1)
    if row is None:
        raise Eio(f"entry {seq - 1} is missing")
    return row.hash


async def _named_elsewhere(ledger: Ledger, reader: Reader, bodies: dict[bytes, None], leaving: set[int]) -> Since:
    """Take out of `bodies` what the state or an entry that stays names as well; and what will be named from here on."""
    state = msgspec.msgpack.decode(ledger.state.encode())
    for digest in content_named(state):
        if len(digest) <= 64:
            bodies.pop(digest, None)
    head = reader.head()
    last = head.seq if head else 0
    async for row in _steps(reader, 1, last):
        if bodies and row.seq not in leaving:
            for event in ev.decode_entry(row.record).events:
                for _, digest in names_of(event):
                    bodies.pop(digest, None)
    return Since(ledger, reader, frozenset(), bodies, last)


async def _steps(reader: Reader, first: int, last: int) -> AsyncIterator[Row]:
    """Rows from `first` to `last`; nothing of the store is held between steps."""
    while first <= last:
        some: list[Row] = []
        for row in reader.rows(first, last):
            some.append(row)
            if len(some) == ROWS_A_STEP:
                break
        for row in some:
            yield row
        if len(some) < ROWS_A_STEP:
            return
        first = some[-1].seq + 1
        await others_first()
