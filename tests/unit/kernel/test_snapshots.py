"""Snapshots: a fold that begins at one is the fold from the first entry, and what cannot be believed is not used."""

from __future__ import annotations

import ast
import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prytany.abi import limits
from prytany.drivers.stores.memory import MemoryReader, MemoryStore
from prytany.journal.anchor import Head
from prytany.journal.snapshot import snapshot_of
from prytany.kernel import snapshots as snapshots_module
from prytany.kernel import state as kernel_state
from prytany.kernel.fold_version import fold_version
from prytany.kernel.folding import FOLDS_OF_SEVERAL, fold, fold_from_snapshot, fold_from_start, version
from prytany.kernel.snapshots import Snapshots
from prytany.kernel.state import ShardState
from prytany.ports.store import Row, Snapshot, StoreFull
from tests.simulation.fleet import Fleet
from tests.unit.kernel.random_journal import random_journals


def taken(rows: list[Row], at: int) -> Snapshot:
    """The snapshot that a kernel would have made after entry `at`."""
    folded = fold_from_start(MemoryReader(rows[:at], [], []))
    return snapshot_of(folded.head, version(), folded.state.encode())


@settings(max_examples=60, deadline=None)
@given(random_journals(), st.data())
def test_a_fold_from_any_snapshot_is_the_fold_from_the_first_entry(rows: list[Row], data: st.DataObject) -> None:
    whole = fold_from_start(MemoryReader(rows, [], []))
    at = data.draw(st.integers(1, len(rows)))
    short = fold_from_snapshot(MemoryReader(rows, [], [taken(rows, at)]))
    assert (short.snapshot_seq, short.head) == (at, whole.head)
    assert short.state == whole.state
    assert short.state.digest() == whole.state.digest()


def other_state(s: Snapshot, rows: list[Row]) -> Snapshot:
    return s._replace(state=s.state[:-1] + bytes([s.state[-1] ^ 1]))


def older_fold(s: Snapshot, rows: list[Row]) -> Snapshot:
    return snapshot_of(Head(s.seq, s.hash), "0" * 32, s.state)


def other_chain(s: Snapshot, rows: list[Row]) -> Snapshot:
    return snapshot_of(Head(s.seq, bytes(16)), s.version, s.state)


def beyond_the_head(s: Snapshot, rows: list[Row]) -> Snapshot:
    return snapshot_of(Head(len(rows) + 5, s.hash), s.version, s.state)


def no_state(s: Snapshot, rows: list[Row]) -> Snapshot:
    return snapshot_of(Head(s.seq, s.hash), s.version, b"\x93\x01\x02\x03")


@pytest.mark.parametrize("spoil", [other_state, older_fold, other_chain, beyond_the_head, no_state])
def test_a_snapshot_that_cannot_be_believed_is_not_used(spoil: Callable[[Snapshot, list[Row]], Snapshot]) -> None:
    fleet = Fleet()
    asyncio.run(fleet.live())
    rows = list(fleet.store.reader().rows(1))
    spoilt = spoil(taken(rows, 5), rows)
    folded = fold_from_snapshot(MemoryReader(rows, [], [spoilt]))
    assert folded.snapshot_seq == 0
    assert folded.state == fold_from_start(MemoryReader(rows, [], [])).state
    # The one before it, which is sound, is used in its place.
    if spoil is not no_state:
        assert fold_from_snapshot(MemoryReader(rows, [], [spoilt, taken(rows, 3)])).snapshot_seq == 3


def test_a_kernel_that_closes_keeps_a_snapshot_of_its_last_entry_and_the_next_begins_there() -> None:
    fleet = Fleet()
    asyncio.run(fleet.live())
    reader = fleet.store.reader()
    head = reader.head()
    assert head is not None
    folded = fold_from_snapshot(reader)
    assert folded.snapshot_seq == head.seq
    assert folded.state.digest() == fold_from_start(reader).state.digest()


def test_snapshots_are_made_every_so_many_entries_of_what_was_appended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SNAPSHOT_ENTRIES", 10)
    monkeypatch.setattr(limits, "SNAPSHOT_BYTES_AN_ENTRY", 1 << 20)
    made: list[Snapshot] = []
    monkeypatch.setattr(MemoryStore, "save_snapshot", lambda self, snapshot: made.append(snapshot))
    fleet = Fleet()
    asyncio.run(fleet.live())
    rows = list(fleet.store.reader().rows(1))
    assert [s.seq for s in made] == sorted({s.seq for s in made})
    assert len(made) >= len(rows) // 20
    for snapshot in made:
        assert snapshot.state == fold_from_start(MemoryReader(rows[: snapshot.seq], [], [])).state.encode()
        assert snapshot.hash == rows[snapshot.seq - 1].hash


def test_the_larger_the_state_the_rarer_its_snapshots() -> None:
    snapshots = Snapshots(ShardState())
    folded = fold_from_start(MemoryReader([], [], []))
    snapshots.begin(folded._replace(snapshot_seq=7, snapshot_bytes=10))
    assert snapshots.due == 7 + limits.SNAPSHOT_ENTRIES
    snapshots.begin(folded._replace(snapshot_seq=7, snapshot_bytes=10 * limits.SNAPSHOT_ENTRIES**2))
    assert snapshots.due == 7 + 10 * limits.SNAPSHOT_ENTRIES**2 // limits.SNAPSHOT_BYTES_AN_ENTRY


def test_a_snapshot_that_cannot_be_kept_breaks_nothing_and_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: MemoryStore, snapshot: Snapshot) -> None:
        raise StoreFull("no space")

    monkeypatch.setattr(limits, "SNAPSHOT_ENTRIES", 1)
    monkeypatch.setattr(MemoryStore, "save_snapshot", full)
    fleet = Fleet()
    with caplog.at_level(logging.WARNING, snapshots_module.__name__):
        ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["status"] == 0
    assert "was not kept" in caplog.text
    assert fold_from_snapshot(fleet.store.reader()).snapshot_seq == 0


def test_every_field_of_the_state_is_a_rooms_own_class_so_that_the_version_knows_its_fold() -> None:
    for field in msgspec.structs.fields(ShardState):
        assert issubclass(field.type, msgspec.Struct)
        assert field.type.__module__.startswith("prytany.")


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[type, Path]:
    """A state with one room, whose text can be changed."""
    folder = tmp_path / "some_room"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "fold.py").write_text("class Room:\n    pass\n")
    (folder / "other.py").write_text("LIMIT = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setitem(sys.modules, "some_room", _imported("some_room"))
    module = _imported("some_room.fold")
    monkeypatch.setitem(sys.modules, "some_room.fold", module)
    state: Any = type("State", (), {"__annotations__": {"room": module.Room}, "__module__": "some_room.fold"})
    return state, folder


def _imported(name: str) -> ModuleType:
    import importlib

    return importlib.import_module(name)


def test_the_version_changes_with_any_file_of_a_room_and_with_nothing_else(room: tuple[type, Path]) -> None:
    state, folder = room
    before = fold_version(state)
    assert fold_version(state) == before
    assert fold_version(state, "prytany.abi") != before
    (folder / "other.py").write_text("LIMIT = 2\n")
    changed = fold_version(state)
    assert changed != before
    (folder / "new.py").write_text("")
    assert fold_version(state) not in (before, changed)


def test_the_version_covers_the_events_and_the_process_room() -> None:
    assert len(version().encode()) <= 64
    assert version() == fold_version(ShardState, "prytany.abi", *FOLDS_OF_SEVERAL)
    assert version() != fold_version(ShardState)


def test_a_list_of_processes_folds_the_same_way() -> None:
    fleet = Fleet()
    asyncio.run(fleet.live())
    assert fold(fleet.store.reader()) == fold_from_start(fleet.store.reader())[:2]


def test_all_that_folds_is_part_of_the_version_of_the_fold() -> None:
    tree = ast.parse(Path(kernel_state.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert {name for name in imported if name.startswith("prytany.kernel.")} == set(FOLDS_OF_SEVERAL)
