"""Reading a SQLite store: a read-only connection inside one read transaction, so that it sees one moment.

It never writes, and works beside a running kernel. A view that is kept open holds the write-ahead log from being
recycled, so it is to be closed soon. Any damage that SQLite itself notices comes out as `StoreError`.

Source: SQLite, "Write-Ahead Logging", on readers and checkpoints.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw

from prytany.drivers.stores.sqlite_schema import check_schema
from prytany.ports.store import Base, Body, Row, Snapshot, StoreError

_ROW = "SELECT seq, hash, record, bodies FROM rows"
_BODY = "SELECT tenant, digest, key_id, content FROM bodies"
_SNAPSHOT = "SELECT seq, hash, version, state, digest FROM snapshots ORDER BY id DESC"
_ROW_TYPES = (int, bytes, bytes, bytes)
_BODY_TYPES = (int, bytes, int, bytes)
_SNAPSHOT_TYPES = (int, bytes, str, bytes, bytes)
_BASE = "SELECT last, last_hash, seq, hash, form, state, kept, digest FROM base"
_BASE_TYPES = (int, bytes, int, bytes, int, bytes, bytes, bytes)
_SEQ_MAX = (1 << 63) - 1
_UNCHANGING = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


def _cannot_change(path: Path) -> bool:
    """Whether nobody can write there, and nothing lies in a log: a backup that is mounted to be read.

    SQLite would have to make the log's index beside it. Raises StoreError where there is a log that it cannot use.
    """
    try:
        if not os.statvfs(path.parent).f_flag & os.ST_RDONLY:
            return False
        log = path.with_name(f"{path.name}-wal")
        unread = log.exists() and log.stat().st_size > 0
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    if unread:
        raise StoreError(
            f"cannot read {path}: what was written last lies in {log.name}, which can be read only where files can be"
            " written; copy the home to such a place"
        )
    return True


class SqliteReader:
    """One moment of the store at `path`; or, where it is not pinned, always its newest."""

    def __init__(self, path: Path, *, pinned: bool = True, damaged: bool = False) -> None:
        """Open a view.

        Args:
            path: of the database.
            pinned: stay at this moment.
            damaged: read as far as can be read in a file that SQLite takes for malformed, such as one that was cut.

        Raises:
            StoreError: there is no store at `path`, or it cannot be read.
        """
        if not path.is_file():
            raise StoreError(f"no store at {path}")
        if path.stat().st_size == 0:
            # SQLite would take it for a new database, and remove the log that may still hold something.
            raise StoreError(f"cannot read {path}: the file is empty")
        if _cannot_change(path):
            try:
                self._open(path, _UNCHANGING, pinned, damaged)
            except apsw.Error as error:
                raise StoreError(f"cannot read {path}: {error}") from error
            return
        try:
            self._open(path, apsw.SQLITE_OPEN_READONLY, pinned, damaged)
        except apsw.IOError as error:
            # The log's index is a file, which a full disk has no room for. Alone, SQLite can do with memory instead.
            try:
                self._open(path, apsw.SQLITE_OPEN_READWRITE, pinned, damaged)
            except apsw.Error:
                raise StoreError(f"cannot read {path}: {error}") from error
        except apsw.Error as error:
            raise StoreError(f"cannot read {path}: {error}") from error

    def _open(self, path: Path, flags: int, pinned: bool, damaged: bool) -> None:
        # Any: apsw's own types are not fully known to a strict checker.
        name = f"file:{quote(str(path))}?immutable=1" if flags == _UNCHANGING else str(path)
        self._connection: Any = apsw.Connection(name, flags=flags)
        try:
            self._connection.set_busy_timeout(5_000)
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            if flags == apsw.SQLITE_OPEN_READWRITE:
                self._connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
                self._connection.execute("PRAGMA query_only = ON")
            if damaged:
                self._connection.execute("PRAGMA writable_schema = ON")
            if pinned:
                self._connection.execute("BEGIN")
            check_schema(self._connection)
            # A deferred transaction begins with its first read.
            self._connection.execute("SELECT 1 FROM rows LIMIT 1").fetchall()
        except (apsw.Error, UnicodeDecodeError) as error:
            self._connection.close()
            if isinstance(error, UnicodeDecodeError):
                raise StoreError(f"cannot read {path}: its schema is no text") from None
            raise
        except StoreError as error:
            self._connection.close()
            raise StoreError(f"cannot read {path}: {error}") from None

    def _select(
        self, sql: str, types: tuple[type, ...], bindings: tuple[int | bytes | str, ...] = ()
    ) -> Iterator[tuple[Any, ...]]:
        try:
            for found in self._connection.cursor().execute(sql, bindings):
                # A damaged page can give a value of any type, whatever the schema says.
                if tuple(map(type, found)) != types:
                    raise StoreError("cannot read: a value has a type that its column cannot have")
                yield found
        except (apsw.Error, UnicodeDecodeError, OverflowError) as error:  # the last: after the greatest number there is
            raise StoreError(f"cannot read: {error}") from error

    def head(self) -> Row | None:
        """The last row, or None when there is none."""
        for found in self._select(_ROW + " ORDER BY seq DESC LIMIT 1", _ROW_TYPES):
            return Row._make(found)
        return None

    def row(self, seq: int) -> Row | None:
        """The row of that number, or None."""
        for found in self._select(_ROW + " WHERE seq = ?", _ROW_TYPES, (seq,)):
            return Row._make(found)
        return None

    def rows(self, first: int, last: int | None = None) -> Iterator[Row]:
        """Rows from `first` to `last`, in order."""
        bounds = (first, _SEQ_MAX if last is None else last)
        for found in self._select(_ROW + " WHERE seq BETWEEN ? AND ? ORDER BY seq", _ROW_TYPES, bounds):
            yield Row._make(found)

    def body(self, tenant: int, digest: bytes) -> Body | None:
        """A large body, or None."""
        for found in self._select(_BODY + " WHERE tenant = ? AND digest = ?", _BODY_TYPES, (tenant, digest)):
            return Body._make(found)
        return None

    def bodies(self) -> Iterator[Body]:
        """All large bodies, by tenant and digest."""
        for found in self._select(_BODY + " ORDER BY tenant, digest", _BODY_TYPES):
            yield Body._make(found)

    def bodies_bytes(self) -> tuple[int, int]:
        """How many large bodies there are, and their bytes. It reads a page of each, and not what it holds."""
        for found in self._select("SELECT count(*), coalesce(sum(length(content)), 0) FROM bodies", (int, int)):
            return found[0], found[1]
        return 0, 0

    def snapshots(self) -> Iterator[Snapshot]:
        """All snapshots, the one that was saved last first."""
        for found in self._select(_SNAPSHOT, _SNAPSHOT_TYPES):
            yield Snapshot._make(found)

    def base(self) -> Base | None:
        """What the journal begins with; None where that is its first row."""
        found = list(self._select(f"{_BASE} LIMIT 2", _BASE_TYPES)) if self._has_base() else []
        if len(found) > 1:
            raise StoreError("cannot read: it begins with more than one base")
        return Base._make(found[0]) if found else None

    def archived(self) -> int:
        """The last row that was moved to an archive, or 0."""
        if self._has_base():
            for (last,) in self._select("SELECT last FROM base", (int,)):
                return int(last)
        return 0

    def _has_base(self) -> bool:
        return bool(list(self._select("SELECT 1 FROM sqlite_schema WHERE name = 'base'", (int,))))

    def sizes(self) -> tuple[int, int]:
        """Bytes of the snapshots, and of pages that hold nothing; neither reads what rows or bodies hold."""
        ((snapshots,),) = self._select("SELECT coalesce(sum(length(state)), 0) FROM snapshots", (int,))
        ((unused,),) = self._select(
            "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size", (int,)
        )
        return snapshots, unused

    def close(self) -> None:
        """End the read transaction."""
        self._connection.close()
