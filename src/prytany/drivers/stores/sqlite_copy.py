"""A copy of a journal in one file: rows and bodies as a store has them, and the small files that belong to them.

It is a SQLite database without a log beside it, so that it can be carried as one file. Whoever opens one may have got
it from anybody: it is opened as a file that does not change (nothing beside it is read, nothing is written), its tables
are held against ours to the letter before anything is selected, and a value is no longer than one can be.

Source: SQLite, "URI filenames", on `immutable`; "Defense against the dark arts".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw

from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.drivers.stores.sqlite_schema import BASE, SCHEMA, check_schema
from prytany.ports.store import Base, Body, Row, Snapshot, StoreError, StoreFull

APPLICATION_ID = 0x50525954
"""`PRYT`: what the file says that it is."""
FORMAT = 1
VALUE_BYTES_MAX = 256 << 20
"""Of one value; none that we write comes near it."""
FILES = "TABLE files(name TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT"


def _store_error(path: Path, error: apsw.Error) -> StoreError:
    return (StoreFull if isinstance(error, apsw.FullError) else StoreError)(f"{path}: {error}")


class SqliteCopyWriter:
    """Fills a new file. It is whole, and on the disk, once `close` has returned and its owner has synced it."""

    def __init__(self, path: Path) -> None:
        """Begin at `path`, an empty file that is there; raises StoreError."""
        self._path = path
        try:
            # Any: apsw's own types are not fully known to a strict checker.
            self._connection: Any = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            for pragma in (
                "page_size = 8192", "journal_mode = OFF", "synchronous = OFF", f"application_id = {APPLICATION_ID}",
                f"user_version = {FORMAT}",
            ):  # fmt: skip
                self._connection.execute(f"PRAGMA {pragma}").fetchall()
            self._connection.execute(f"{SCHEMA}CREATE {FILES};")
            self._connection.execute("BEGIN")
        except apsw.Error as error:
            raise _store_error(path, error) from error

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Add rows, in order; raises StoreError, also what `rows` raises."""
        self._many("INSERT INTO rows VALUES(?, ?, ?, ?)", rows)

    def add_bodies(self, bodies: Iterable[Body]) -> None:
        """Add large bodies; raises StoreError, also what `bodies` raises."""
        self._many("INSERT INTO bodies VALUES(?, ?, ?, ?)", bodies)

    def add_base(self, base: Base) -> None:
        """Add what the journal begins with; raises StoreError."""
        try:
            self._connection.execute(f"CREATE {BASE}")
        except apsw.Error as error:
            raise _store_error(self._path, error) from error
        self._many("INSERT INTO base VALUES(?, ?, ?, ?, ?, ?, ?, ?)", [base])

    def add_file(self, name: str, content: bytes) -> None:
        """Add a small file; raises StoreError."""
        self._many("INSERT INTO files VALUES(?, ?)", [(name, content)])

    def _many(self, sql: str, values: Iterable[tuple[Any, ...]]) -> None:
        try:
            self._connection.cursor().executemany(sql, values)
        except apsw.Error as error:
            raise _store_error(self._path, error) from error

    def close(self, *, whole: bool = True) -> None:
        """End it; without `whole` what was added need not be there. Raises StoreError."""
        try:
            if whole:
                self._connection.execute("COMMIT")
            self._connection.close()
        except apsw.Error as error:
            self._connection.close(True)
            raise _store_error(self._path, error) from error


class SqliteCopyReader(SqliteReader):
    """What such a file holds. Its snapshots, if it says that it has any, are passed over: anybody can write one."""

    def __init__(self, path: Path) -> None:
        """Open the file at `path`; raises StoreError where it is none of ours, or of a newer format."""
        self._path = path
        try:
            self._connection: Any = apsw.Connection(
                f"file:{quote(str(path.absolute()))}?immutable=1&mode=ro",
                flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
            )
        except apsw.Error as error:
            raise StoreError(f"cannot read {path}: {error}") from error
        try:
            self._check()
        except (apsw.Error, UnicodeDecodeError, StoreError) as error:
            self._connection.close()
            raise StoreError(f"cannot read {path}: {error}") from None

    def _check(self) -> None:
        connection = self._connection
        connection.limit(apsw.SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        connection.execute("PRAGMA cell_size_check = ON").fetchall()
        ((kind,),) = connection.execute("PRAGMA application_id").fetchall()
        ((version,),) = connection.execute("PRAGMA user_version").fetchall()
        if kind != APPLICATION_ID:
            raise StoreError("it is no backup and no archive of prytany")
        if version > FORMAT:
            raise StoreError(f"it has format {version}, and this version knows formats up to {FORMAT}")
        check_schema(connection, FILES)
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM rows LIMIT 1").fetchall()
        connection.execute("SELECT 1 FROM files LIMIT 1").fetchall()

    def snapshots(self) -> Iterator[Snapshot]:
        """None; see the class."""
        return iter(())

    def file(self, name: str) -> bytes | None:
        """A small file, or None."""
        for (content,) in self._select("SELECT content FROM files WHERE name = ?", (bytes,), (name,)):
            return bytes(content)
        return None

    def files(self) -> Iterator[tuple[str, bytes]]:
        """All small files, by name."""
        yield from self._select("SELECT name, content FROM files ORDER BY name", (str, bytes))
