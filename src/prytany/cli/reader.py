"""The journal of a home, to be read: whatever runs there is in nobody's way."""

from __future__ import annotations

from pathlib import Path

from prytany.abi import events as ev
from prytany.abi.errors import Eio, Enoent
from prytany.abi.wire import UNREADABLE
from prytany.cli.attached import no_home
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.ports.store import Row


def open_reader(home: Path, *, damaged: bool = False, pinned: bool = True) -> SqliteReader:
    """A view of the home's journal, at one moment or always at its newest; raises Enoent when there is none."""
    path = home / "journal.db"
    if not path.exists():
        raise no_home(Enoent(f"there is no journal in {home}"))
    return SqliteReader(path, damaged=damaged, pinned=pinned)


def entry_of(row: Row) -> ev.Entry:
    """What a row holds; raises Eio."""
    try:
        return ev.decode_entry(row.record)
    except UNREADABLE as error:
        raise Eio(f"entry {row.seq} of the journal cannot be read by this version: {error}") from None
