"""The journal of a home, to be read: whatever runs there is in nobody's way."""

from __future__ import annotations

from pathlib import Path

from prytany.abi import events as ev
from prytany.abi.errors import Eio, Enoent, Esrch
from prytany.abi.wire import UNREADABLE
from prytany.cli.attached import no_home
from prytany.cli.text import note
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.ports.store import Row
from prytany.system.archiving import where_archived


def open_reader(home: Path, *, damaged: bool = False, pinned: bool = True) -> SqliteReader:
    """A view of the home's journal, at one moment or always at its newest; raises Enoent when there is none."""
    path = home / "journal.db"
    if not path.exists():
        raise no_home(Enoent(f"there is no journal in {home}"), home)
    return SqliteReader(path, damaged=damaged, pinned=pinned)


def note_archived(reader: SqliteReader, as_json: bool) -> None:
    """Say that older entries are not looked at, where there are some."""
    if where := where_archived(reader):
        note(f"{where}: what they say is not told here", as_json)


def unknown(reader: SqliteReader, pid: str) -> Esrch:
    """What to say of a process that no entry names."""
    where = where_archived(reader)
    return Esrch(f"the journal knows no process {pid}{f' any more, or never did: {where}' if where else ''}")


def entry_of(row: Row) -> ev.Entry:
    """What a row holds; raises Eio."""
    try:
        return ev.decode_entry(row.record)
    except UNREADABLE as error:
        raise Eio(f"entry {row.seq} of the journal cannot be read by this version: {error}") from None
