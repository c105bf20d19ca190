"""A store where nothing can be written: a backup that is mounted to be read."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from prytany.drivers.stores.sqlite import SqliteStore
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.ports.store import StoreError
from prytany.testing.store_suite import chain_of


@pytest.fixture(autouse=True)
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """To mount a file system takes rights that a test has not: it is said of the one that is there."""
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY))


def make(folder: Path) -> tuple[Path, SqliteStore]:
    folder.mkdir()
    store = SqliteStore(folder / "journal.db", reserve_bytes=0)
    store.commit(chain_of([b"a", b"b"]), [])
    return folder / "journal.db", store


@pytest.mark.parametrize("name", ["plain", "a?b#c%20 d"])
def test_it_is_read_and_no_file_is_made_beside_it(tmp_path: Path, name: str) -> None:
    path, store = make(tmp_path / name)
    store.close()
    before = sorted(path.parent.iterdir())
    reader = SqliteReader(path)
    beside = sorted(path.parent.iterdir())
    assert [row.record for row in reader.rows(1)] == [b"a", b"b"]
    reader.close()
    assert beside == before


def test_what_lies_in_a_log_is_not_passed_over(tmp_path: Path) -> None:
    path, store = make(tmp_path / "home")
    with pytest.raises(StoreError, match="copy the home"):
        SqliteReader(path)
    store.close()
