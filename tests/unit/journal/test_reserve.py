"""The reserve on a disk that is really full: a small tmpfs, which takes root to mount."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from prytany.drivers.stores.memory import MemoryStore
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.ports.store import Row, StoreFull
from prytany.testing.store_suite import chain_of

DISK_BYTES, RESERVE_BYTES = 4 << 20, 1 << 20
_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    target = tmp_path / "disk"
    target.mkdir()
    options = f"size={DISK_BYTES}".encode()
    if _libc.mount(b"tmpfs", os.fsencode(target), b"tmpfs", 0, options):
        pytest.skip("a small disk cannot be mounted here (it takes root)")
    yield target
    _libc.umount2(os.fsencode(target), 2)


def fill(store: SqliteStore) -> Row:
    """Commit until the disk is full; the last row that was kept."""
    kept = chain_of([b"first"])[0]
    store.commit([kept], [])
    for _ in range(10_000):
        following = chain_of([bytes(20_000)], kept)
        try:
            store.commit(following, [])
        except StoreFull:
            return kept
        kept = following[0]
    raise AssertionError("the disk never filled")


def test_the_reserve_is_really_allocated(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "journal.db", reserve_bytes=RESERVE_BYTES)
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= RESERVE_BYTES
    store.close()


def test_a_full_disk_keeps_what_was_there_and_nothing_of_the_failed_commit(small_disk: Path) -> None:
    store = SqliteStore(small_disk / "journal.db", reserve_bytes=RESERVE_BYTES)
    last = fill(store)
    reader = store.reader()
    assert reader.head() == last
    reader.close()
    store.close()


def test_with_the_reserve_a_commit_goes_through_on_a_full_disk(small_disk: Path) -> None:
    store = SqliteStore(small_disk / "journal.db", reserve_bytes=RESERVE_BYTES)
    last = fill(store)
    rescue = chain_of([bytes(100_000)], last)
    store.commit(rescue, [], reserve=True)
    reader = store.reader()
    assert reader.head() == rescue[-1]
    reader.close()
    store.close()


def test_ordinary_commits_do_not_eat_what_the_release_has_freed(small_disk: Path) -> None:
    store = SqliteStore(small_disk / "journal.db", reserve_bytes=RESERVE_BYTES)
    rescue = chain_of([bytes(100_000)], fill(store))
    store.commit(rescue, [], reserve=True)
    with pytest.raises(StoreFull):
        store.commit(chain_of([b"small"], rescue[-1]), [])
    more = chain_of([b"small"], rescue[-1])
    store.commit(more, [], reserve=True)
    store.close()


def test_the_reserve_is_whole_again_once_there_is_space(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1 << 20))
    store = SqliteStore(small_disk / "journal.db", reserve_bytes=RESERVE_BYTES)
    rescue = chain_of([bytes(100_000)], fill(store))
    store.commit(rescue, [], reserve=True)
    ballast.unlink()
    store.commit(chain_of([b"small"], rescue[-1]), [])
    assert (small_disk / "reserve").stat().st_size == RESERVE_BYTES
    store.close()


def test_the_reference_keeps_its_reserve_as_well() -> None:
    store = MemoryStore(capacity_bytes=1_000, reserve_bytes=500)
    rows = chain_of([bytes(400), bytes(400)])
    store.commit(rows[:1], [])
    with pytest.raises(StoreFull):
        store.commit(rows[1:], [])
    store.commit(rows[1:], [], reserve=True)
