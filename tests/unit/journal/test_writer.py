import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from prytany.abi import limits
from prytany.abi.errors import Eio, Enospc
from prytany.drivers.stores.memory import MemoryStore
from prytany.journal.anchor import Anchor, Head, read_anchor
from prytany.journal.chain import next_hash
from prytany.journal.snapshot import snapshot_of
from prytany.journal.writer import START, Journal
from prytany.ports.store import Body, Row, StoreError, StoreFull


class Watched(MemoryStore):
    """Holds each commit until it is let go, counts them, and fails those it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.sizes: list[int] = []
        self.synced = 0
        self.reserves: list[bool] = []
        self.fail_at: int | None = None
        self.error: StoreError = StoreError("told to fail")

    def commit(self, rows: Sequence[Row], bodies: Sequence[Body], *, reserve: bool = False) -> None:
        self.entered.release()
        assert self.gate.wait(10)
        if self.fail_at is not None and rows[-1].seq >= self.fail_at:
            raise self.error
        super().commit(rows, bodies, reserve=reserve)
        self.sizes.append(len(rows))
        self.reserves.append(reserve)
        self.synced = rows[-1].seq


class Heard:
    """What a journal called back."""

    def __init__(self, store: Watched) -> None:
        self.store = store
        self.durable: list[int] = []
        self.failures: list[StoreError] = []

    def on_durable(self, seq: int) -> None:
        assert self.store.synced >= seq, "acknowledged before the commit returned"
        self.durable.append(seq)


def run(body: Callable[[Journal, Watched, Heard], Awaitable[None]], anchor: Anchor | None = None) -> None:
    async def main() -> None:
        store = Watched()
        heard = Heard(store)
        loop = asyncio.get_running_loop()
        journal = Journal(store, loop, START, heard.on_durable, heard.failures.append, anchor=anchor)
        try:
            await body(journal, store, heard)
        finally:
            store.gate.set()
            await journal.close()

    asyncio.run(main())


def test_an_append_gives_number_and_hash_at_once() -> None:
    async def body(journal: Journal, store: Watched, heard: Heard) -> None:
        store.gate.clear()
        assert [journal.append(b"a"), journal.append(b"b")] == [1, 2]
        assert journal.head == Head(2, next_hash(next_hash(START.hash, b"a"), b"b"))
        assert journal.durable == 0

    run(body)


def test_what_one_turn_appends_is_one_commit_and_one_call_back() -> None:
    async def body(journal: Journal, store: Watched, heard: Heard) -> None:
        for n in range(100):
            journal.append(b"%d" % n)
        await journal.wait_durable(100)
        assert store.sizes == [100]
        assert heard.durable == [100]
        assert journal.commits == 1

    run(body)


def test_what_piles_up_while_the_writer_is_busy_is_one_group() -> None:
    async def body(journal: Journal, store: Watched, heard: Heard) -> None:
        store.gate.clear()
        journal.append(b"first")
        await asyncio.get_running_loop().run_in_executor(None, store.entered.acquire)
        for n in range(10):
            await asyncio.get_running_loop().run_in_executor(None, int)  # another turn of the loop
            journal.append(b"%d" % n)
        await asyncio.get_running_loop().run_in_executor(None, int)  # the last turn's entries are handed over
        store.gate.set()
        await journal.wait_durable(11)
        assert store.sizes == [1, 10]

    run(body)


def test_no_transaction_exceeds_its_bound() -> None:
    async def body(journal: Journal, store: Watched, heard: Heard) -> None:
        most = limits.GROUP_COMMIT_ENTRIES_MAX
        for _ in range(most + 1):
            journal.append(b"x")
        await journal.wait_durable(most + 1)
        assert store.sizes == [most, 1]

    run(body)


def test_a_wait_ends_only_after_the_commit_has_returned() -> None:
    async def body(journal: Journal, store: Watched, heard: Heard) -> None:
        store.gate.clear()
        waiters = [journal.wait_durable(journal.append(b"x")) for _ in range(3)]
        early = journal.wait_durable(1)
        await asyncio.get_running_loop().run_in_executor(None, store.entered.acquire)
        assert not any(waiter.done() for waiter in [*waiters, early])
        store.gate.set()
        await asyncio.gather(*waiters, early)
        assert store.synced == 3

    run(body)


@pytest.mark.parametrize(("error", "expected"), [(StoreError("x"), Eio), (StoreFull("x"), Enospc)])
def test_after_a_failed_commit_nothing_later_is_kept(error: StoreError, expected: type[Exception]) -> None:
    async def body(journal: Journal, store: Watched, heard: Heard) -> None:
        store.fail_at, store.error = 2, error
        await journal.wait_durable(journal.append(b"a"))
        lost = journal.wait_durable(journal.append(b"b"))
        later = journal.append(b"c")
        with pytest.raises(expected):
            await lost
        store.fail_at = None
        with pytest.raises(expected):
            journal.append(b"d")
        with pytest.raises(expected):
            await journal.wait_durable(later)
        assert heard.failures == [error]
        assert (heard.durable, journal.durable) == ([1], 1)
        assert [row.record for row in store.reader().rows(1)] == [b"a"]

    run(body)


def test_entries_queued_behind_a_failing_commit_are_never_committed() -> None:
    async def body(journal: Journal, store: Watched, heard: Heard) -> None:
        store.fail_at = 1
        store.gate.clear()
        journal.append(b"a")
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, store.entered.acquire)
        later = journal.wait_durable(journal.append(b"b"))
        snapshot = journal.save_snapshot(lambda: snapshot_of(Head(2, bytes(16)), "1", b""))
        store.fail_at = 1
        store.gate.set()
        with pytest.raises(Eio):
            await later
        with pytest.raises(StoreError):
            await snapshot
        assert len(heard.failures) == 1
        assert store.sizes == []

    run(body)


def test_closing_commits_what_is_queued() -> None:
    async def body(journal: Journal, store: Watched, heard: Heard) -> None:
        journal.append(b"a")
        await journal.close()
        assert (store.synced, heard.durable) == (1, [1])
        with pytest.raises(Eio):
            journal.append(b"b")

    run(body)


def test_a_snapshot_follows_what_was_appended_before_it() -> None:
    async def body(journal: Journal, store: Watched, heard: Heard) -> None:
        journal.append(b"a")
        await journal.save_snapshot(lambda: snapshot_of(journal.head, "1", b"state"))
        assert store.synced == 1
        assert [s.seq for s in store.reader().snapshots()] == [1]

    run(body)


def test_large_bodies_and_the_reserve_reach_the_store() -> None:
    async def body(journal: Journal, store: Watched, heard: Heard) -> None:
        large = Body(1, bytes(16), 1, b"x")
        await journal.wait_durable(journal.append(b"a", b"", [large], reserve=True))
        await journal.wait_durable(journal.append(b"b"))
        assert store.reserves == [True, False]
        assert store.reader().body(1, bytes(16)) == large
        assert await journal.forget(1, [bytes(16)]) == 1

    run(body)


def test_an_acknowledged_entry_is_anchored(tmp_path: Path) -> None:
    anchor = Anchor(tmp_path / "head")

    async def body(journal: Journal, store: Watched, heard: Heard) -> None:
        for _ in range(3):
            await journal.wait_durable(journal.append(b"a"))
            assert read_anchor(tmp_path / "head") == journal.head

    run(body, anchor)
    assert anchor.syncs == 1
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(anchor._fd)


def test_an_anchor_that_cannot_be_written_breaks_the_journal(tmp_path: Path) -> None:
    anchor = Anchor(tmp_path / "head")
    with (tmp_path / "head").open("rb") as read_only:
        os.dup2(read_only.fileno(), anchor._fd)  # as if its disk had gone

    async def body(journal: Journal, store: Watched, heard: Heard) -> None:
        with pytest.raises(Eio):
            await journal.wait_durable(journal.append(b"a"))
        assert len(heard.failures) == 1

    run(body, anchor)


def test_it_is_shrinking_until_that_is_done_behind_what_was_appended_before() -> None:
    async def body(journal: Journal, store: Watched, heard: Heard) -> None:
        store.gate.clear()
        journal.append(b"a")
        assert not journal.shrinking
        done = journal.shrink()
        assert journal.shrinking
        store.gate.set()
        await done
        await journal.turn()
        assert not journal.shrinking

    run(body)
