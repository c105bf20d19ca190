# ruff: noqa: D102  (a test's name is its sentence)
"""The conformance suite of stores: bind it in a short file, and pytest runs it.

    class TestMyStore(StoreSuite):
        def open(self, folder): return MyStore(folder / "journal.db")

    TestMyStoreMachine = store_machine(MyStore...).TestCase

The store's declared features choose the tests. The machine does the same random steps to the store and to the in-memory
reference, and compares all that a reader shows after each.
"""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prytany.drivers.stores.memory import MemoryStore
from prytany.journal.anchor import Head
from prytany.journal.chain import GENESIS, next_hash
from prytany.journal.snapshot import snapshot_of
from prytany.ports.store import Base, Body, Reader, Row, Store, StoreFenced, StoreLocked


def chain_of(records: list[bytes], after: Row | None = None, bodies: bytes = b"") -> list[Row]:
    """Rows that continue the chain after `after`."""
    seq, hash_ = (after.seq, after.hash) if after else (0, GENESIS)
    rows: list[Row] = []
    for record in records:
        seq, hash_ = seq + 1, next_hash(hash_, record)
        rows.append(Row(seq, hash_, record, bodies))
    return rows


def everything(reader: Reader) -> tuple[object, ...]:
    """All that a reader shows, comparable; the reader is closed."""
    shown = (reader.head(), list(reader.rows(1)), list(reader.bodies()), list(reader.snapshots()))
    reader.close()
    return shown


class StoreSuite(ABC):
    """What every store has to do."""

    @abstractmethod
    def open(self, folder: Path) -> Store:
        """Open the store that lies, or will lie, in `folder`."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Any:
        """An empty store."""
        store = self.open(tmp_path)
        yield store
        store.close()

    def test_a_new_store_is_empty(self, store: Store) -> None:
        reader = store.reader()
        assert reader.head() is None
        assert reader.row(1) is None
        assert everything(reader) == (None, [], [], [])

    @pytest.mark.parametrize("count", [1, 31, 32, 33, 100])
    def test_rows_come_back_as_they_were_given(self, store: Store, count: int) -> None:
        rows = chain_of([bytes([n]) * n for n in range(count)], bodies=b"\x90")
        store.commit(rows, [])
        reader = store.reader()
        assert list(reader.rows(1)) == rows
        assert list(reader.rows(2, 5)) == rows[1:5]
        assert reader.head() == rows[-1] == reader.row(count)
        reader.close()

    def test_a_row_of_a_number_that_stands_is_fenced_and_nothing_of_its_commit_is_kept(self, store: Store) -> None:
        first = chain_of([b"a", b"b", b"c"])
        store.commit(first, [])
        late = [first[-1], *chain_of([b"d"], first[-1])]
        with pytest.raises(StoreFenced):
            store.commit(late[::-1], [Body(1, bytes(16), 1, b"x")])
        assert everything(store.reader()) == (first[-1], first, [], [])

    def test_a_store_goes_on_after_a_fenced_commit(self, store: Store) -> None:
        rows = chain_of([b"a", b"b"])
        store.commit(rows[:1], [])
        with pytest.raises(StoreFenced):
            store.commit(rows[:1], [])
        store.commit(rows[1:], [])
        reader = store.reader()
        assert reader.head() == rows[-1]
        reader.close()

    def test_a_reader_keeps_its_moment(self, store: Store) -> None:
        rows = chain_of([b"a", b"b"])
        store.commit(rows[:1], [])
        reader = store.reader()
        store.commit(rows[1:], [])
        assert everything(reader)[1] == rows[:1]

    def test_a_body_that_is_there_is_left_as_it_is(self, store: Store) -> None:
        first = Body(1, bytes(16), 1, b"first")
        store.commit([], [first])
        store.commit([], [first._replace(content=b"second")])
        reader = store.reader()
        assert reader.body(1, bytes(16)) == first
        assert reader.body(2, bytes(16)) is None
        reader.close()

    def test_forgetting_destroys_the_named_bodies_of_one_tenant_only(self, store: Store) -> None:
        mine, other = Body(1, bytes(16), 1, b"mine"), Body(2, bytes(16), 2, b"other")
        rows = chain_of([b"a"])
        store.commit(rows, [mine, other])
        assert store.forget(1, [bytes(16), b"\1" * 16]) == 1
        assert everything(store.reader()) == (rows[-1], rows, [other], [])

    def test_a_base_takes_the_place_of_the_one_before_and_of_older_snapshots(self, store: Store) -> None:
        rows = chain_of([b"a", b"b", b"c", b"d"])
        store.commit(rows, [])
        for row in rows[1:3]:
            store.save_snapshot(snapshot_of(Head(row.seq, row.hash), "1", b"state"))
        reader = store.reader()
        assert (reader.base(), reader.archived()) == (None, 0)
        reader.close()
        for last in (1, 2):
            base = Base(last, rows[last - 1].hash, 3, rows[2].hash, 1, b"state" * last, b"kept", b"digest")
            store.set_base(base)
            reader = store.reader()
            assert (reader.base(), reader.archived()) == (base, last)
            reader.close()
        assert [snapshot.seq for snapshot in everything(store.reader())[3]] == [3]  # type: ignore[attr-defined]

    def test_what_is_removed_is_gone_and_the_others_stay(self, store: Store) -> None:
        rows = chain_of([bytes([n]) * 9_000 for n in range(20)])
        store.commit(rows, [Body(1, bytes(16), 1, b"x")])
        store.remove([1, 2, 5, 99])
        store.remove([])
        store.shrink()
        left = [row for row in rows if row.seq not in (1, 2, 5)]
        assert everything(store.reader()) == (rows[-1], left, [Body(1, bytes(16), 1, b"x")], [])
        store.commit(chain_of([b"next"], rows[-1]), [])
        with pytest.raises(StoreFenced):
            store.commit(rows[-1:], [])

    def test_forgetting_small_content_changes_the_packs_of_the_named_rows_only(self, store: Store) -> None:
        rows = chain_of([b"a", b"b", b"c"], bodies=b"\x91\x92\xc4\x01d\xc4\x06secret")
        store.commit(rows, [])
        assert store.forget(1, [], [(2, b""), (3, b"\x90"), (9, b"x")]) == 0
        kept = [rows[0], rows[1]._replace(bodies=b""), rows[2]._replace(bodies=b"\x90")]
        assert everything(store.reader()) == (kept[-1], kept, [], [])

    def test_a_durable_store_has_forgotten_after_it_is_opened_again(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        if store.features.durable:
            rows = chain_of([b"a"], bodies=b"\x90")
            store.commit(rows, [])
            store.forget(1, [], [(1, b"")])
            store.close()
            store = self.open(tmp_path)
            assert everything(store.reader())[1] == [rows[0]._replace(bodies=b"")]
        store.close()

    def test_the_two_newest_snapshots_are_kept_newest_first(self, store: Store) -> None:
        snapshots = [snapshot_of(Head(n, bytes(16)), "1", b"state") for n in (1, 2, 3)]
        for snapshot in snapshots:
            store.save_snapshot(snapshot)
        assert everything(store.reader())[3] == [snapshots[2], snapshots[1]]

    def test_size_grows_with_what_is_kept(self, store: Store) -> None:
        before = store.size_bytes()
        store.commit(chain_of([bytes(100_000)]), [])
        assert store.size_bytes() >= before + 100_000

    def test_a_durable_store_has_everything_after_it_is_opened_again(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        if store.features.durable:
            rows, bodies = chain_of([b"a", b"b"]), [Body(1, bytes(16), 1, b"x")]
            store.commit(rows, bodies)
            store.close()
            store = self.open(tmp_path)
            assert everything(store.reader()) == (rows[-1], rows, bodies, [])
        store.close()

    def test_an_exclusive_store_refuses_a_second_writer_until_the_first_has_closed(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        if store.features.exclusive:
            with pytest.raises(StoreLocked):
                self.open(tmp_path)
            store.close()
            store = self.open(tmp_path)
        store.close()


PACKS = st.lists(st.tuples(st.integers(1, 20), st.binary(max_size=8)), max_size=3)


def store_machine(open_store: Callable[[Path], Store]) -> type[RuleBasedStateMachine]:
    """A machine that compares the store with the reference."""

    class StoreMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.folder = tempfile.TemporaryDirectory()
            self.store = open_store(Path(self.folder.name))
            self.model = MemoryStore()

        @rule(records=st.lists(st.binary(max_size=40), max_size=70), bodies=st.binary(max_size=8))
        def commit(self, records: list[bytes], bodies: bytes) -> None:
            rows = chain_of(records, self.model.reader().head(), bodies)
            self.store.commit(rows, [])
            self.model.commit(rows, [])

        @rule(seq=st.integers(1, 20), record=st.binary(max_size=4))
        def commit_anything(self, seq: int, record: bytes) -> None:
            outcomes: list[bool] = []
            for store in (self.store, self.model):
                try:
                    store.commit([Row(seq, bytes(16), record, b"")], [])
                    outcomes.append(True)
                except StoreFenced:
                    outcomes.append(False)
            assert outcomes[0] == outcomes[1]

        @rule(tenant=st.integers(0, 2), name=st.integers(0, 3), content=st.binary(max_size=9_000))
        def keep_body(self, tenant: int, name: int, content: bytes) -> None:
            body = Body(tenant, bytes([name]) * 16, 1, content)
            self.store.commit([], [body])
            self.model.commit([], [body])

        @rule(tenant=st.integers(0, 2), names=st.lists(st.integers(0, 3), max_size=3), packs=PACKS)
        def forget(self, tenant: int, names: list[int], packs: list[tuple[int, bytes]]) -> None:
            digests = [bytes([name]) * 16 for name in names]
            assert self.store.forget(tenant, digests, packs) == self.model.forget(tenant, digests, packs)

        @rule(seq=st.integers(1, 9), version=st.sampled_from(["1", "2"]), state=st.binary(max_size=50))
        def save_snapshot(self, seq: int, version: str, state: bytes) -> None:
            snapshot = snapshot_of(Head(seq, bytes(16)), version, state)
            self.store.save_snapshot(snapshot)
            self.model.save_snapshot(snapshot)

        @precondition(lambda self: self.store.features.durable)
        @rule()
        def open_again(self) -> None:
            self.store.close()
            self.store = open_store(Path(self.folder.name))

        @invariant()
        def shows_the_same(self) -> None:
            assert everything(self.store.reader()) == everything(self.model.reader())

        def teardown(self) -> None:
            self.store.close()
            self.folder.cleanup()

    StoreMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
    return StoreMachine
