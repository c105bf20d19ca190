"""The journal of a home, to be read: whatever runs there is in nobody's way."""

from __future__ import annotations

from pathlib import Path

from prytany.abi.errors import Enoent
from prytany.cli.attached import no_home
from prytany.drivers.stores.sqlite_reader import SqliteReader


def open_reader(home: Path, *, damaged: bool = False, pinned: bool = True) -> SqliteReader:
    """A view of the home's journal, at one moment or always at its newest; raises Enoent when there is none."""
    path = home / "journal.db"
    if not path.exists():
        raise no_home(Enoent(f"there is no journal in {home}"))
    return SqliteReader(path, damaged=damaged, pinned=pinned)
