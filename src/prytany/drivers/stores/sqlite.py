"""The embedded store: one SQLite file in WAL mode, for one machine's shard.

A commit is one transaction at `synchronous=FULL`: when it returns, the log has been synced. The primary key on
`seq` is the fence of a stale writer. The store does not interpret rows, and changes nothing of one but its
content, to forget it.

    journal.db  journal.db-wal  journal.db-shm      the database, all 0600
    reserve                                         see reserve.py; also carries the lock

Source: SQLite, "Write-Ahead Logging" and "PRAGMA synchronous".
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import apsw

from prytany.abi import limits
from prytany.drivers.stores.reserve import Reserve
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.drivers.stores.sqlite_schema import BASE, SCHEMA
from prytany.ports.store import Base, Body, Features, Row, Snapshot, StoreError, StoreFenced, StoreFull, StoreLocked

_CHECKPOINT_PAGES = 2_000  # 16 MB of log: rare enough to be cheap, small enough to be read back at once
_PAGE_BYTES = 8_192  # fewer frames a commit than 4,096; more would make a lone entry dear
_BUSY_MS = 5_000
_SNAPSHOTS_KEPT = 2
_ROWS_AT_ONCE = 32
# Each step of a statement gives up the interpreter's lock, and waits for it again while the loop is busy: so all rows
# of a group go in one step, which is a transaction of its own where there is nothing beside them.
_INSERT_ROWS = ["INSERT INTO rows VALUES" + ",".join(["(?, ?, ?, ?)"] * rows) for rows in range(_ROWS_AT_ONCE + 1)]
_INSERT_BODY = "INSERT INTO bodies VALUES(?, ?, ?, ?) ON CONFLICT(tenant, digest) DO NOTHING"
_INSERT_SNAPSHOT = "INSERT INTO snapshots(seq, hash, version, state, digest) VALUES(?, ?, ?, ?, ?)"
_DROP_SNAPSHOTS = "DELETE FROM snapshots WHERE id NOT IN (SELECT id FROM snapshots ORDER BY id DESC LIMIT ?)"


def _create_private(path: Path) -> None:
    """Create the file 0600 before SQLite would with the umask's mode; its log and index take the same mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass  # and not opened: closing it would drop this process's SQLite locks on it
    except OSError as error:
        kind = StoreFull if error.errno == errno.ENOSPC else StoreError
        raise kind(f"cannot create {path}: {error.strerror}") from error


class SqliteStore:
    """A store in one file; see `prytany.ports.store.Store` for what each method promises."""

    features = Features(durable=True, exclusive=True)

    def __init__(self, path: Path, *, reserve_bytes: int = limits.RESERVE_BYTES, vfs: str | None = None) -> None:
        """Open or create the store at `path`.

        Args:
            path: of the database; its folder has to exist.
            reserve_bytes: kept for a full disk; 0 switches the reserve off.
            vfs: the name of a SQLite VFS, for fault injection.

        Raises:
            StoreLocked: another store has it open.
            StoreError: it cannot be opened, or is no database.
        """
        self._path = path
        self._reserve = Reserve(path.parent / "reserve", reserve_bytes)
        try:
            _create_private(path)
            # Any: apsw's own types are not fully known to a strict checker.
            self._connection: Any = apsw.Connection(str(path), vfs=vfs)
            try:
                self._prepare()
            except (apsw.FullError, apsw.IOError):
                # The log's index takes some space even for reading; a full disk is to be looked at and steered.
                if not self._release():
                    raise
                self._prepare()
        except apsw.Error as error:
            self._reserve.close()
            raise self._translated(error, getattr(self, "_connection", None)) from error
        except StoreError:
            self._reserve.close()
            raise

    def _prepare(self) -> None:
        connection = self._connection
        connection.set_busy_timeout(_BUSY_MS)
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = FAST")  # a page that changes its place leaves nothing behind
        if self._reserve.whole:
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        else:
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'snapshots'").fetchall():
            connection.execute(SCHEMA)
        self._cursor: Any = connection.cursor()

    def _translated(self, error: apsw.Error, connection: apsw.Connection | None) -> StoreError:
        """The port's error for SQLite's. A disk full while the shared index grows comes as an I/O error with ENOSPC."""
        system = connection.system_errno if connection is not None else 0
        if isinstance(error, apsw.FullError) or (
            isinstance(error, apsw.IOError) and system in {errno.ENOSPC, errno.EDQUOT}
        ):
            return StoreFull(f"{self._path}: {error}")
        if isinstance(error, apsw.ConstraintError):
            return StoreFenced(f"{self._path}: {error}")
        if isinstance(error, apsw.BusyError):
            return StoreLocked(f"{self._path}: {error}")
        return StoreError(f"{self._path}: {error}")

    def _rollback(self) -> None:
        """Leave no transaction open; SQLite has ended it by itself after some errors."""
        if self._connection.in_transaction:
            with contextlib.suppress(apsw.Error):  # the error that brought us here is the one to tell
                self._connection.execute("ROLLBACK")

    def _release(self) -> bool:
        """Give the reserve to what follows, and to nothing else: moving the log into the database would eat it."""
        if not self._reserve.release():
            return False
        self._connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        return True

    def _refill(self) -> bool:
        """Make the reserve whole again, and go on as usual."""
        if not self._reserve.refill():
            return False
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}").fetchall()
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        return True

    def _write(self, rows: Sequence[Row], bodies: Sequence[Body]) -> None:
        cursor = self._cursor
        try:
            if rows and not bodies and len(rows) <= _ROWS_AT_ONCE:
                cursor.execute(_INSERT_ROWS[len(rows)], tuple(chain.from_iterable(rows)))
                return
            cursor.execute("BEGIN IMMEDIATE")
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                group = rows[start : start + _ROWS_AT_ONCE]
                cursor.execute(_INSERT_ROWS[len(group)], tuple(chain.from_iterable(group)))
            if bodies:
                cursor.executemany(_INSERT_BODY, bodies)
            cursor.execute("COMMIT")
        except apsw.Error as error:
            translated = self._translated(error, self._connection)
            self._rollback()
            raise translated from error

    def commit(self, rows: Sequence[Row], bodies: Sequence[Body], *, reserve: bool = False) -> None:
        """Keep all or nothing, synced on return; with `reserve`, a full disk gives up the reserve and it is tried
        again.
        """
        if not reserve:
            if not self._reserve.whole and not self._refill():
                raise StoreFull(f"{self._path}: the reserve is in use and the disk is full")
            self._write(rows, bodies)
            return
        try:
            self._write(rows, bodies)
        except StoreFull:
            if not self._release():
                raise
            self._write(rows, bodies)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep `snapshot` and the one before it. What the reserve gave up is not for caches."""
        if not self._reserve.whole:
            raise StoreFull(f"{self._path}: the reserve is in use and the disk is full")

        def keep(cursor: Any) -> None:
            cursor.execute(_INSERT_SNAPSHOT, snapshot)
            cursor.execute(_DROP_SNAPSHOTS, (_SNAPSHOTS_KEPT,))

        self._transaction(keep)

    def forget(self, tenant: int, digests: Sequence[bytes], packs: Sequence[tuple[int, bytes]] = ()) -> int:
        """Destroy content: large bodies, and what packs no longer hold.

        Its pages are overwritten with zeros and the log is emptied, so that the content is in neither file when this
        returns. What the medium keeps beneath the file system is out of reach. Raises StoreError where a reader holds
        the log for so long that it cannot be emptied: the content is gone from the database, and again is in order.
        """
        connection, cursor, found = self._connection, self._cursor, 0
        try:
            connection.execute("PRAGMA secure_delete = ON")
            cursor.execute("BEGIN IMMEDIATE")
            for digest in digests:
                cursor.execute("DELETE FROM bodies WHERE tenant = ? AND digest = ?", (tenant, digest))
                found += connection.changes()
            for seq, pack in packs:
                cursor.execute("UPDATE rows SET bodies = ? WHERE seq = ?", (pack, seq))
            cursor.execute("COMMIT")
            emptied = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except apsw.Error as error:
            translated = self._translated(error, connection)
            self._rollback()
            raise translated from error
        finally:
            connection.execute("PRAGMA secure_delete = FAST")
        if emptied[0][0]:
            raise StoreError(f"{self._path}: somebody reads in the log, and it may still hold what was to be destroyed")
        return found

    def set_base(self, base: Base) -> None:
        """Put `base` in the place of the one before, and drop older snapshots, in one transaction."""

        def put(cursor: Any) -> None:
            cursor.execute(BASE.replace("TABLE", "CREATE TABLE IF NOT EXISTS", 1))
            cursor.execute("DELETE FROM base")
            cursor.execute("INSERT INTO base VALUES(?, ?, ?, ?, ?, ?, ?, ?)", base)
            cursor.execute("DELETE FROM snapshots WHERE seq <= ?", (base.last,))

        self._making_room(put)

    def remove(self, seqs: Sequence[int]) -> None:
        """Remove rows that were archived, in one transaction."""
        self._making_room(lambda cursor: cursor.executemany("DELETE FROM rows WHERE seq = ?", [(seq,) for seq in seqs]))

    def _making_room(self, action: Callable[[Any], object]) -> None:
        """One transaction, which may have the reserve."""
        try:
            self._transaction(action)
        except StoreFull:
            if not self._release():
                raise
            self._transaction(action)

    def _transaction(self, action: Callable[[Any], object]) -> None:
        cursor = self._cursor
        try:
            cursor.execute("BEGIN IMMEDIATE")
            action(cursor)
            cursor.execute("COMMIT")
        except apsw.Error as error:
            translated = self._translated(error, self._connection)
            self._rollback()
            raise translated from error

    def shrink(self) -> None:
        """Write the database anew without its free pages, and cut the file. Everybody's writes wait meanwhile."""
        try:
            self._connection.execute("VACUUM").fetchall()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except apsw.Error as error:
            translated = self._translated(error, self._connection)
            self._rollback()
            raise translated from error

    def reader(self) -> SqliteReader:
        """A new view, for any one thread."""
        return SqliteReader(self._path)

    def size_bytes(self) -> int:
        """Of the database and its log; the reserve is not counted."""
        return sum(p.stat().st_size for p in (self._path, Path(f"{self._path}-wal")) if p.exists())

    def close(self) -> None:
        """Close the connection, which empties the log into the database, and let the lock go."""
        try:
            self._connection.close()
        except apsw.Error as error:
            raise StoreError(f"{self._path}: {error}") from error
        finally:
            self._reserve.close()
