"""Another base in the place of a home's: the state that all its archives give, folded by this version.

It is for a base that this version cannot read, and for one that is damaged. No kernel may run: it would have begun with
the one that is there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from prytany.abi import events as ev
from prytany.abi.errors import Einval, Eio, Enoent
from prytany.abi.wire import UNREADABLE
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.anchor import Anchor, Head
from prytany.journal.base import KeptRow, base_of
from prytany.journal.chain import GENESIS, next_hash
from prytany.journal.home import Home, raise_format
from prytany.journal.opening import CheckedReader
from prytany.kernel.base_form import FORM
from prytany.kernel.folding import fold_from_start
from prytany.ports.store import Base, Reader, Row
from prytany.system.archiving import joined
from prytany.system.opening import store_errors


class Rebased(NamedTuple):
    """What a home begins with now."""

    last: int
    seq: int
    form: int
    kept: int


def rebase(path: Path, archives: Sequence[Path]) -> Rebased:
    """Fold the archives and the journal anew, and have the home at `path` begin with what they give.

    Raises:
        Enoent: there is no home, or no such file.
        Einval: the home begins with its first entry; or the archives are not all, or do not follow each other.
        Ebusy: a kernel runs in it.
        Eio: the archives are damaged, or not of this journal, or cannot be read by this version.
    """
    with closing(Home(path, create=False)) as home, store_errors():
        if not home.journal.exists():
            raise Enoent(f"there is no journal in {path}")
        with closing(SqliteReader(home.journal)) as reader:
            old = reader.base()
            if old is None:
                raise Einval(f"nothing of the journal in {path} is archived: it begins with its first entry")
            named = _named(reader, old)
            with joined(reader, archives) as (source, begins, wrong):
                if wrong:
                    raise Eio(wrong[0].message)
                if begins.seq:
                    raise Einval(f"entries 1 to {begins.seq} are in an earlier archive: name that as well")
                state = fold_from_start(CheckedReader(source), old.seq).state.encode()
                kept = [KeptRow(row.seq, _hash(source, row.seq - 1), row.hash) for row in _kept(reader, source, old)]
            head = reader.head()
        assert head is not None
        base = base_of(Head(old.last, old.last_hash), Head(old.seq, old.hash), FORM, state, kept)
        _put(home, head, base, named)
    return Rebased(base.last, base.seq, base.form, len(kept))


def _named(reader: SqliteReader, old: Base) -> ev.JournalArchived:
    """The entry that speaks of the base which is there; where its numbers are damaged there is none."""
    row = reader.row(old.seq + 1)
    try:
        for event in ev.decode_entry(row.record).events if row is not None else ():
            if isinstance(event, ev.JournalArchived) and (event.last, event.hash) == (old.last, old.last_hash):
                return event
    except UNREADABLE:
        pass
    raise Eio(f"no entry {old.seq + 1} says that entries up to {old.last} are archived: the journal is damaged there")


def _kept(reader: SqliteReader, source: Reader, old: Base) -> list[Row]:
    """The older rows that are there, as far as they are what the archives have."""
    there = list(reader.rows(1, old.last))
    return [row for row in there if (of := source.row(row.seq)) is not None and of[:3] == row[:3]]


def _hash(source: Reader, seq: int) -> bytes:
    row = source.row(seq) if seq else None
    return row.hash if row is not None else GENESIS


def _put(home: Home, head: Row, base: Base, named: ev.JournalArchived) -> None:
    """The entry that names the new base first: with it, both may be begun with."""
    time_ns = ev.decode_entry(head.record).time_ns
    commanded = ev.OperatorCommanded(os.getuid(), f"journal rebase: entries up to {base.last}")
    archived = ev.JournalArchived(base.last, base.last_hash, base.seq, base.digest, named.file)
    record = ev.encode_entry(ev.Entry(time_ns, [commanded, archived]))
    row = Row(head.seq + 1, next_hash(head.hash, record), record, b"")
    raise_format(home.path)
    with closing(SqliteStore(home.journal)) as store:
        store.commit([row], [])
        with closing(Anchor(home.anchor)) as anchor:
            anchor.write(row.seq, row.hash)
        store.set_base(base)
