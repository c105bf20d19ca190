"""A home, or the older part of its journal, as one file; made while a kernel runs there or not.

Both are the rows of the chain, each held against the chain as it is copied, with all content that they name:

    backup   everything up to the head, with the keys: enough to bring the home back, and to read what was said there
    archive  everything up to some entry, from the first or from where the archive before it ended, without the keys:
             to be checked and read together with the home that it is of

    files of both      about       what it is: JSON, see `About`
    of a backup        keys        the keyring        logs/…   what was printed, where that was asked for

What belongs to a machine or a moment is not in it: lock, reserve, socket, workers, snapshots (they are caches), and
what the operator trusts, which is asked about again. The journal is read at one moment, as a reader sees it, so whoever
writes meanwhile is in nobody's way; its log grows until the copy is done.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from prytany import __version__
from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Einval, Eio, Enoent
from prytany.abi.wire import UNREADABLE
from prytany.drivers.clocks.system import SystemClock
from prytany.drivers.stores.sqlite_copy import SqliteCopyReader, SqliteCopyWriter
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.anchor import Head, read_anchor
from prytany.journal.base import BEGINNING
from prytany.journal.bodies import unpack
from prytany.journal.chain import HASH_BYTES
from prytany.journal.home import FORMAT, FORMAT_NEW, check_format
from prytany.journal.opening import CheckedReader, Damaged, check_end
from prytany.journal.plain import open_plain, read_plain
from prytany.kernel.content import said
from prytany.ports.store import Body, Row, StoreError
from prytany.system.new_file import new_file
from prytany.system.opening import load_keyring, store_errors

ABOUT = "about"
KEYS = "keys"
ABOUT_BYTES_MAX = 4_096
PROGRESS_ROWS = 1_000
LOG = re.compile(r"logs/(?:[0-9]{1,18}|tools\.[^/\x00]{1,200})\.log")
LOG_BYTES_MAX = limits.LOG_BYTES_MAX + 64
"""With the line that says what went before."""
Progress = Callable[[int], None]


class About(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a file is a copy of."""

    kind: Literal["backup", "archive"]
    entries: int
    hash: str
    """Of the last entry, in hex: with `entries`, the head."""
    made_ns: int
    version: str
    """Of the prytany that made it."""
    home_format: int
    first: int = 1
    """The first entry that an archive has."""
    before: str = ""
    """The hash of the entry before that, in hex; empty where it is the first of all."""

    @property
    def begins(self) -> Head:
        """The entry before the first that it has."""
        return Head(self.first - 1, bytes.fromhex(self.before)) if self.first > 1 else BEGINNING

    @property
    def head(self) -> Head:
        """The last entry that it has."""
        return Head(self.entries, bytes.fromhex(self.hash))


class Copied(NamedTuple):
    """What was made."""

    head: Head
    bodies: int
    logs: int
    bytes: int
    """Of the file."""
    first: int = 1
    """The first entry that is in it."""


def make_backup(
    home: Path, path: Path, *, force: bool = False, logs: bool = False, progress: Progress = lambda seq: None
) -> Copied:
    """Copy the home at `home` into the one file `path`.

    Args:
        home: whatever runs there.
        path: where the copy is to be; see `new_file`.
        force: a file that is there is replaced.
        logs: what was printed goes with it.
        progress: told now and then of the last entry that was copied.

    Raises:
        Enoent: there is no journal there, or no folder for the file.
        Einval: the home is of a newer version; or as `new_file`.
        Eio: the journal is damaged, or cannot be read, or the file cannot be written.
    """
    with store_errors(), _read(home) as (reader, anchor):
        head = _checked_head(reader, anchor, home)
        _refuse_only_copy(path, reader.archived())
        # After the view was opened, so that it has every key that the view's content is named with.
        keys = load_keyring(home / "keys").save()
        with new_file(path, home, force=force) as part:
            with _writer(part) as writer:
                writer.add_rows(_rows(reader, 1, head.seq, progress))
                if (base := reader.base()) is not None:
                    writer.add_base(base)
                bodies = _counted(reader.bodies(), writer.add_bodies)
                writer.add_file(KEYS, keys)
                printed = list(_logs(home)) if logs else []
                for name, content in printed:
                    writer.add_file(name, content)
                writer.add_file(ABOUT, _about("backup", head, FORMAT if base is not None else FORMAT_NEW))
            size_bytes = part.stat().st_size
    return Copied(head, bodies, len(printed), size_bytes)


def make_archive(
    home: Path, path: Path, last: int, *, force: bool = False, progress: Progress = lambda seq: None
) -> Copied:
    """Copy the entries up to `last`, from where the archive before ended, with the content that they name and that is
    still there; as `make_backup`."""
    with store_errors(), _read(home) as (reader, anchor):
        _checked_head(reader, anchor, home)
        begins = _begins(reader)
        if last <= begins.seq:
            raise Einval(f"entries up to {begins.seq} are archived already")
        row = reader.row(last)
        if row is None:
            raise Enoent(f"the journal has no entry {last}")
        head = Head(row.seq, row.hash)
        _refuse_only_copy(path, begins.seq)
        with new_file(path, home, force=force) as part:
            with _writer(part) as writer:
                names: dict[tuple[int, bytes], None] = {}
                writer.add_rows(_noting(_rows(reader, begins.seq + 1, last, progress), names))
                found = (body for name in names if (body := reader.body(*name)) is not None)
                bodies = _counted(found, writer.add_bodies)
                writer.add_file(ABOUT, _about("archive", head, FORMAT_NEW, begins))
            size_bytes = part.stat().st_size
    return Copied(head, bodies, 0, size_bytes, begins.seq + 1)


def _refuse_only_copy(path: Path, archived: int) -> None:
    """Not even by force is an archive replaced whose entries are nowhere else."""
    if not archived or not path.is_file() or path.is_symlink():
        return
    try:
        reader, about = open_copy(path, "archive")
    except (Eio, Enoent):
        return
    reader.close()
    if about.first <= archived:
        last = min(about.entries, archived)
        kept = Einval(f"{path} is an archive, of entries {about.first} to {last}, which a home may have no more")
        kept.add_note("name another file: this one is not replaced, not even with --force")
        raise kept


def _begins(reader: SqliteReader) -> Head:
    """The entry before the first that was not archived."""
    base = reader.base()
    return BEGINNING if base is None else Head(base.last, base.last_hash)


def last_before(home: Path, time_ns: int) -> int:
    """The last entry from before that time, 0 where there is none; journal time never goes back."""
    with store_errors(), _read(home) as (reader, _):
        head = reader.head()
        low, high = reader.archived(), head.seq if head else 0
        while low < high:
            middle = (low + high + 1) // 2
            row = reader.row(middle)
            if row is None:
                raise Damaged(f"entry {middle} is missing")
            try:
                before = ev.decode_entry(row.record).time_ns < time_ns
            except UNREADABLE:
                raise Damaged(f"entry {middle} cannot be read") from None
            low, high = (middle, high) if before else (low, middle - 1)
        return low


def open_copy(path: Path, kind: Literal["backup", "archive"]) -> tuple[SqliteCopyReader, About]:
    """Open what `make_backup` or `make_archive` has made, or somebody else; nothing of it is believed yet but its form.

    Raises:
        Enoent: there is nothing at `path`.
        Eio: it is no regular file, no copy of that kind, or of a newer version.
    """
    try:
        return _opened_copy(path, kind)
    except Eio as error:
        error.add_note(f"name a file that prytany {'backup' if kind == 'backup' else 'journal archive'} has made")
        raise


def _opened_copy(path: Path, kind: Literal["backup", "archive"]) -> tuple[SqliteCopyReader, About]:
    if path.is_dir():
        home = (path / "journal.db").is_file()
        raise Eio(f"{path} is {'a home already, and no' if home else 'a folder, and no'} {kind}")
    try:
        os.close(open_plain(path))
    except FileNotFoundError:
        raise Enoent(f"there is no file {path}") from None
    except OSError as error:
        raise Eio(f"{path} cannot be read: {error.strerror}") from None
    with store_errors():
        reader = SqliteCopyReader(path)
    try:
        return reader, _read_about(reader, path, kind)
    except BaseException:
        reader.close()
        raise


def _read_about(reader: SqliteCopyReader, path: Path, kind: str) -> About:
    try:
        about = msgspec.json.decode((reader.file(ABOUT) or b"")[:ABOUT_BYTES_MAX], type=About)
        part = about.first > 1
        if part and (about.kind != "archive" or about.first > about.entries or len(about.begins.hash) != HASH_BYTES):
            raise ValueError(f"it begins at entry {about.first} of {about.entries}")
        if len(about.head.hash) != HASH_BYTES or about.entries < 1 or about.kind != kind:
            raise ValueError(f"it says that it is the {about.kind} of {about.entries} entries")
    except StoreError as error:
        raise Eio(f"{path} cannot be read: {error}") from None
    except (ValueError, RecursionError) as error:  # msgspec's errors are of the first kind
        raise Eio(f"{path} is no {kind}: {error}") from None
    if about.home_format > FORMAT:
        raise Eio(
            f"{path} is of a home of format {about.home_format}; this version knows formats up to {FORMAT}",
            detail={"format": about.home_format, "known": FORMAT},
        )
    return about


@contextmanager
def _writer(part: Path) -> Generator[SqliteCopyWriter]:
    """A writer that is ended with its block; what was added is there if nothing was raised."""
    writer = SqliteCopyWriter(part)
    try:
        yield writer
    except BaseException:
        writer.close(whole=False)
        raise
    writer.close()


@contextmanager
def _read(home: Path) -> Generator[tuple[SqliteReader, Head | None]]:
    """A view of the journal, and what was anchored before it was opened: that has to be in it."""
    path = home / "journal.db"
    if not path.exists():
        raise Enoent(f"there is no journal in {home}")
    check_format(home)
    anchor = read_anchor(home / "head")
    with closing(SqliteReader(path)) as reader:
        yield reader, anchor


def _checked_head(reader: SqliteReader, anchor: Head | None, home: Path) -> Head:
    """The head of a journal whose end is sound."""
    head = reader.head()
    if head is None:
        raise Enoent(f"there is nothing in the journal in {home}")
    check_end(reader, anchor)
    return Head(head.seq, head.hash)


def _rows(reader: SqliteReader, first: int, last: int, progress: Progress) -> Iterator[Row]:
    for row in CheckedReader(reader).rows(first, last):
        if not row.seq % PROGRESS_ROWS:
            progress(row.seq)
        yield row


def _noting(rows: Iterable[Row], names: dict[tuple[int, bytes], None]) -> Iterator[Row]:
    """`rows`; what they name and do not hold themselves comes into `names`."""
    for row in rows:
        packed = {digest for digest, _ in unpack(row.bodies)}
        try:
            named = said(row.record).names
        except UNREADABLE:
            raise Eio(f"entry {row.seq} cannot be read by this version") from None
        names.update(((tenant, digest), None) for tenant, digest, _ in named if digest not in packed)
        yield row


def _counted(bodies: Iterable[Body], add: Callable[[Iterable[Body]], None]) -> int:
    count = 0

    def counting() -> Iterator[Body]:
        nonlocal count
        for body in bodies:
            count += 1
            yield body

    add(counting())
    return count


def _logs(home: Path) -> Iterator[tuple[str, bytes]]:
    folder = home / "logs"
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        name = f"logs/{path.name}"
        if LOG.fullmatch(name):
            try:
                yield name, read_plain(path, LOG_BYTES_MAX)
            except FileNotFoundError:
                continue  # forgotten meanwhile
            except OSError as error:
                raise Eio(f"{path} cannot be read: {error.strerror}") from None


def _about(kind: Literal["backup", "archive"], head: Head, home_format: int, begins: Head = BEGINNING) -> bytes:
    about = About(kind, head.seq, head.hash.hex(), SystemClock().now_ns(), __version__, home_format)
    if begins.seq:
        about.first, about.before = begins.seq + 1, begins.hash.hex()
    return msgspec.json.encode(about)
