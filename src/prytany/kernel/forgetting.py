"""Forgetting: the content that the events of an ended process name is destroyed; the chain stays as it is.

That it is forgotten is recorded before anything is destroyed, so that a crash in between leaves content that is there,
never a loss that nobody explains; the command can be given again. What living processes name as well is kept, since
they need it to come back, and so is what an ended one left that its parent has not taken yet. What the process handed
to others (its result, in the answer that its parent got) is theirs; a message goes with its sender and its receiver,
whichever is forgotten first, once its receiver has ended.

It reads the whole journal twice: an ended process may have left the table, and only the journal knows what it named.
"""

from __future__ import annotations

from typing import NamedTuple

from prytany.abi import events as ev
from prytany.abi.errors import Ebusy, Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.journal.bodies import pack, unpack
from prytany.kernel.content import names_of, own_names, owners_of
from prytany.kernel.ledger import TENANT, Ledger
from prytany.ports.store import Reader
from prytany.process.table import Table

ROWS_AT_ONCE = 1_000
BODIES_AT_ONCE = 1_000


class Forgotten(NamedTuple):
    """What was destroyed, and what was not since living processes name it."""

    contents: int
    freed_bytes: int
    kept: int


class _Found(NamedTuple):
    rows: dict[int, set[bytes]]
    """Rows whose packs hold content of the process."""
    large: list[bytes]
    contents: int
    freed_bytes: int
    kept: int


async def forget(ledger: Ledger, reader: Reader, pid: int, uid: int) -> Forgotten:
    """Forget the content of process `pid`, by the command of operator `uid`; done when it is destroyed.

    Args:
        ledger: of the shard.
        reader: always at the newest.
        pid: the process.
        uid: the operator's.

    Raises:
        Esrch: the journal knows no such process.
        Ebusy: it has not ended, or somebody is still to be answered with its end.
        Enospc, Eio: the journal is broken.
        StoreError: it is recorded as forgotten, and not all of it could be destroyed; give the command again.
    """
    _refuse_needed(ledger.table, pid)
    found = _find(reader, ledger.table, pid)
    commanded = ev.OperatorCommanded(uid, "journal forget", pid)
    forgotten = ev.ContentForgotten(pid, found.contents, found.freed_bytes)
    seq = ledger.commit((commanded, forgotten), {}, payer=0, reserve=True)
    await ledger.journal.wait_durable(seq)
    rows = sorted(found.rows)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        packs = [(seq, _without(reader, seq, found.rows[seq])) for seq in rows[start : start + ROWS_AT_ONCE]]
        await ledger.journal.forget(TENANT, [], packs)
    for start in range(0, len(found.large), BODIES_AT_ONCE):
        ledger.shared.forget(found.large)
        await ledger.journal.forget(TENANT, found.large[start : start + BODIES_AT_ONCE])
    return Forgotten(found.contents, found.freed_bytes, found.kept)


def _refuse_needed(table: Table, pid: int) -> None:
    process = table.get(pid)
    if process is None:
        return
    if process.alive:
        raise Ebusy(f"process {format_pid(Pid(pid))} has not ended; what it was told is needed to bring it back")
    if _needed(table, pid):
        raise Ebusy(f"process {format_pid(Pid(pid))} has ended, and its parent has not taken its result yet")


def _needed(table: Table, pid: int) -> bool:
    """Whether that process is alive, or its parent is, which is still to be answered with its end."""
    process = table.get(pid)
    if process is None or process.alive:
        return process is not None
    parent = table.get(process.parent)
    return parent is not None and parent.alive


def _find(reader: Reader, table: Table, pid: int) -> _Found:
    head = reader.head()
    last = head.seq if head else 0
    own: set[bytes] = set()
    known = False
    for row in reader.rows(1, last):
        for event in ev.decode_entry(row.record).events:
            if pid in owners_of(event) and not isinstance(event, ev.ContentForgotten | ev.OperatorCommanded):
                known = True
                own.update(own_names(event))
    if not known:
        raise Esrch(f"the journal knows no process {format_pid(Pid(pid))}")
    needed: set[bytes] = set()
    naming: dict[int, set[bytes]] = {}
    for row in reader.rows(1, last):
        for event in ev.decode_entry(row.record).events:
            names = {digest for _, digest in names_of(event)} & own
            owners = owners_of(event)
            # A message's sender was answered with its number: it needs no more of it to come back.
            if names and _needed(table, owners[0]):
                needed |= names
            elif names and pid in owners:
                naming.setdefault(row.seq, set()).update(names)
    gone = own - needed
    return _measured(reader, naming, gone, len(own & needed))


def _measured(reader: Reader, naming: dict[int, set[bytes]], gone: set[bytes], kept: int) -> _Found:
    rows: dict[int, set[bytes]] = {}
    contents, freed_bytes = 0, 0
    for seq, names in naming.items():
        row = reader.row(seq)
        sizes = {digest: len(content) for digest, content in unpack(row.bodies)} if row else {}
        here = names & gone & sizes.keys()
        if here:
            rows[seq] = here
            contents += len(here)
            freed_bytes += sum(sizes[digest] for digest in here)
    large: list[bytes] = []
    for digest in sorted(gone):
        body = reader.body(TENANT, digest)
        if body is not None:
            large.append(digest)
            contents += 1
            freed_bytes += len(body.content)
    return _Found(rows, large, contents, freed_bytes, kept)


def _without(reader: Reader, seq: int, digests: set[bytes]) -> bytes:
    row = reader.row(seq)
    return pack([pair for pair in unpack(row.bodies) if pair[0] not in digests]) if row else b""
