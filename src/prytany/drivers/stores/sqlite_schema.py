"""The tables of the SQLite store, and that a file has these and nothing else.

A database is a program as well: a view in the place of a table, a trigger or a computed column would run for as long as
whoever made the file likes. So the schema is read before anything is selected, and held against ours to the letter.
"""

from __future__ import annotations

from typing import Any

from prytany.ports.store import StoreError

_TABLES = (
    """TABLE rows(
    seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, record BLOB NOT NULL, bodies BLOB NOT NULL) STRICT""",
    """TABLE bodies(
    tenant INTEGER NOT NULL, digest BLOB NOT NULL, key_id INTEGER NOT NULL, content BLOB NOT NULL,
    UNIQUE(tenant, digest)) STRICT""",
    """TABLE snapshots(
    id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL, version TEXT NOT NULL, state BLOB NOT NULL,
    digest BLOB NOT NULL) STRICT""",
)
SCHEMA = "".join(f"CREATE {table.replace('TABLE ', 'TABLE IF NOT EXISTS ', 1)};\n" for table in _TABLES)
BASE = """TABLE base(
    last INTEGER NOT NULL, last_hash BLOB NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL, form INTEGER NOT NULL,
    state BLOB NOT NULL, kept BLOB NOT NULL, digest BLOB NOT NULL) STRICT"""
"""Made when older rows are archived for the first time; it holds one row."""
_KNOWN = frozenset(f"CREATE {table}" for table in (*_TABLES, BASE))


def check_schema(connection: Any, *more: str) -> None:
    """Raise StoreError when the file holds anything but our tables and `more`. One that is not there yet is not missed
    here."""
    known = _KNOWN.union(f"CREATE {table}" for table in more)
    # Only the text is asked for: no view of the file's is touched by it, and an index of SQLite's own has none.
    for (text,) in connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"):
        if text not in known:
            raise StoreError("its tables are not those of a journal")
