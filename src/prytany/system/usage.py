"""What a home takes on the disk, by part; cheap: files are asked for their sizes, and of the journal nothing is read
that grows with it."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prytany.abi import events as ev
from prytany.abi.errors import Eio, Enoent
from prytany.abi.wire import UNREADABLE
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.ports.store import Reader, Row, StoreError


class DiskUse(NamedTuple):
    """Bytes, as files have them."""

    journal: int
    """The database with its log: records, content and snapshots."""
    snapshots: int
    """Of that, the snapshots; 0 where it cannot be read."""
    unused: int
    """Of that, pages which hold nothing any more, and are used before the file grows."""
    logs: int
    reserve: int
    """Kept for a full disk."""
    other: int
    """Keys, anchor and the like."""
    total: int
    """The home as a whole."""
    free: int
    """What the disk has left for this user."""


def disk_use(home: Path) -> DiskUse:
    """What the home at `home` takes, whatever runs there.

    Raises:
        Enoent: there is no such folder.
        Eio: it cannot be read.
    """
    try:
        parts = {"journal": 0, "logs": 0, "reserve": 0, "other": 0}
        for entry in os.scandir(home):
            with suppress(FileNotFoundError):  # gone meanwhile
                parts[_part(entry.name)] += _size(entry)
        free = shutil.disk_usage(home).free
    except FileNotFoundError:
        raise Enoent(f"no home at {home}") from None
    except OSError as error:
        raise Eio(f"{home} cannot be read: {error.strerror}") from None
    snapshots, unused = _inside(home / "journal.db")
    return DiskUse(**parts, snapshots=snapshots, unused=unused, total=sum(parts.values()), free=free)


class Entries(NamedTuple):
    """How many a journal holds."""

    all: int
    """Without those that were archived; some of these may have stayed."""
    since: int
    """From some moment on."""


def entries_of(reader: Reader, since_ns: int) -> Entries:
    """How many entries there are, and how many from that time on: journal time never goes back, so it takes some twenty
    looks, however many there are."""
    head = reader.head()
    first = reader.archived() + 1
    last = head.seq if head else 0
    low, high = first, last + 1
    while low < high:
        middle = (low + high) // 2
        row = reader.row(middle)
        if row is None or _time_ns(row) < since_ns:
            low = middle + 1
        else:
            high = middle
    return Entries(max(0, last + 1 - first), max(0, last + 1 - low))


def _time_ns(row: Row) -> int:
    try:
        return ev.decode_entry(row.record).time_ns
    except UNREADABLE as error:
        raise Eio(f"entry {row.seq} of the journal cannot be read by this version: {error}") from None


def _part(name: str) -> str:
    if name.startswith("journal.db"):
        return "journal"
    return name if name in ("logs", "reserve") else "other"


def _size(entry: os.DirEntry[str]) -> int:
    """Of a file, or of the files in a folder, whatever links in it lead to."""
    found = entry.stat(follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode):
        return found.st_size if stat.S_ISREG(found.st_mode) else 0
    sizes = 0
    for below in os.scandir(entry.path):
        with suppress(FileNotFoundError):
            sizes += _size(below)
    return sizes


def _inside(journal: Path) -> tuple[int, int]:
    try:
        reader = SqliteReader(journal)
    except StoreError:
        return 0, 0
    try:
        return reader.sizes()
    except StoreError:
        return 0, 0
    finally:
        reader.close()
