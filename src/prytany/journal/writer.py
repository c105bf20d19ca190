"""The journal's writing side: entries are chained on the loop's thread and committed in groups on one other.

    append (loop) ─▶ list of this turn ─▶ queue ─▶ writer: one transaction, anchor ─▶ one call into the loop: on_durable

Invariants:
- `append` gives numbers without gaps, and hashes in the order of the calls; both are known at once, before durability.
- `durable` only grows, and only after the store's commit has returned (so after its sync) and the anchor is written.
- After a commit failed nothing later is committed: what it would follow is not there. The journal is broken for
  good; its owner throws its state away, and folds again.
- Only the loop's thread touches the turn's list. The two threads share a `SimpleQueue` and nothing else.

It must not look into a record. Its backlog is bounded by what its callers may have in flight.

Source: group commit, DeWitt et al., SIGMOD 1984.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from operator import itemgetter
from queue import SimpleQueue
from typing import TypeVar

from prytany.abi import limits
from prytany.abi.errors import Eio, Enospc, KernelError
from prytany.journal.anchor import Anchor, Head
from prytany.journal.chain import GENESIS, HASH_BYTES
from prytany.journal.group import Command, Turn, merge
from prytany.ports.store import Body, Row, Snapshot, Store, StoreError, StoreFull

T = TypeVar("T")

START = Head(0, GENESIS)
"""The head of an empty journal."""

# Row(...) goes through a Python-level __new__, which costs half as much again.
_row: Callable[[type[Row], tuple[int, bytes, bytes, bytes]], Row]
_row = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


class Journal:
    """The one writer of a shard's journal."""

    def __init__(
        self,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        head: Head,
        on_durable: Callable[[int], None],
        on_failure: Callable[[StoreError], None],
        *,
        anchor: Anchor | None = None,
    ) -> None:
        """Start the writer's thread; the store and the anchor are its own until `close`.

        Args:
            store: used by the writer's thread alone, but for its readers.
            loop: on whose thread everything here is called, and calls back.
            head: the last row's number and hash, or `START`.
            on_durable: called with a number: it and everything before it is durable.
            on_failure: called once, when a commit failed.
            anchor: where each durable head is written; closed at the end.
        """
        self._store = store
        self._loop = loop
        self._seq, self._hash = head
        self._durable = head.seq
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._anchor = anchor
        self._rows: list[Row] = []
        self._large: list[Body] = []
        self._reserve = False
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []  # by number; nearly always appended in order
        self._failure: StoreError | None = None
        self._closing: asyncio.Future[None] | None = None
        self._queue: SimpleQueue[Turn | Command | None] = SimpleQueue()
        self._commits = 0
        self._ahead: list[Turn | Command | None] = []  # taken from the queue, and not due yet
        self._broken: StoreError | None = None  # as the writer's thread knows it, before the loop does
        self._thread = threading.Thread(target=self._write, name="prytany-journal", daemon=True)
        self._begin()

    @property
    def head(self) -> Head:
        """The last appended entry, durable or not."""
        return Head(self._seq, self._hash)

    @property
    def durable(self) -> int:
        """The last number that is known to be durable."""
        return self._durable

    @property
    def commits(self) -> int:
        """Transactions of entries so far; a durable store has synced once for each."""
        return self._commits

    @property
    def failure(self) -> StoreError | None:
        """What broke the journal, or None."""
        return self._failure

    def next_seq(self) -> int:
        """The number that the next entry will have. Raises as `append`, which then does not."""
        if self._failure is not None or self._closing is not None:
            raise self._refusal()
        return self._seq + 1

    def give_up(self, error: BaseException) -> None:
        """Take nothing any more: its owner's state is no good. What was appended is still committed."""
        self._failed(StoreError(f"the kernel failed: {type(error).__name__}: {error}"))

    def append(self, record: bytes, bodies: bytes = b"", large: Sequence[Body] = (), reserve: bool = False) -> int:
        """Chain `record` and queue it; its number. It is durable when `on_durable` says so, and not before.

        Args:
            record: the entry, as it is stored and hashed.
            bodies: packed small bodies.
            large: kept in the same transaction, or an earlier one.
            reserve: the group this is part of may use the space that is kept for a full disk.

        Raises:
            Enospc: the journal is broken, because the disk was full.
            Eio: the journal is broken for another reason, or closed.
        """
        if self._failure is not None or self._closing is not None:
            raise self._refusal()
        self._seq = seq = self._seq + 1
        self._hash = hash_ = blake2b(self._hash + record, digest_size=HASH_BYTES).digest()
        rows = self._rows
        if not rows:
            # Not now, but after this turn's other callbacks: what one delivery sets off goes into one transaction.
            self._loop.call_soon(self._flush)
        rows.append(_row(Row, (seq, hash_, record, bodies)))
        if large:
            self._large.extend(large)
        if reserve:
            self._reserve = True
        return seq

    def wait_durable(self, seq: int) -> asyncio.Future[None]:
        """To be awaited: done once entry `seq` is durable.

        A future and not a coroutine: this is called for each entry that somebody waits for, and a coroutine costs
        twice.

        Raises:
            Enospc, Eio: it never will be; the journal is broken or closed.
        """
        waiter = self._loop.create_future()
        if seq > self._durable and (self._failure is not None or seq > self._seq):
            waiter.set_exception(self._refusal())
        elif seq <= self._durable:
            waiter.set_result(None)
        elif not self._waiters or seq >= self._waiters[-1][0]:
            self._waiters.append((seq, waiter))
        else:
            insort(self._waiters, (seq, waiter), key=itemgetter(0))
        return waiter

    def save_snapshot(self, make: Callable[[], Snapshot]) -> asyncio.Future[None]:
        """Keep the snapshot that `make` gives, on the writer's thread, after everything that was appended before. A
        snapshot that fails breaks nothing: it is a cache.
        """
        return self._command(lambda: self._store.save_snapshot(make()))

    def forget(
        self, tenant: int, digests: Sequence[bytes], packs: Sequence[tuple[int, bytes]] = ()
    ) -> asyncio.Future[int]:
        """Destroy large bodies, and put packs without forgotten content in place, after everything that was appended
        before; the number of bodies that were there.
        """
        return self._command(lambda: self._store.forget(tenant, digests, packs))

    async def close(self) -> None:
        """Commit what is queued, close the anchor, end the thread. The store stays open: it is its opener's."""
        if self._closing is None:
            self._flush()
            self._closing = self._loop.create_future()
            self._queue.put(None)
        await asyncio.shield(self._closing)
        if self._thread.is_alive():
            self._thread.join()

    # On the loop's thread.

    def _begin(self) -> None:
        """Let the writer go; a simulation has another one."""
        self._thread.start()

    def _flush(self) -> None:
        """Hand this turn's entries to the writer."""
        if not self._rows:
            return
        self._queue.put(Turn(self._rows, self._large, self._reserve))
        self._rows, self._large, self._reserve = [], [], False

    def _command(self, action: Callable[[], T]) -> asyncio.Future[T]:
        if self._failure is not None or self._closing is not None:
            raise self._refusal()
        self._flush()
        done: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(Command(lambda: self._carry_out(action, done), partial(self._fail, done)))
        return done

    def _committed(self, seq: int) -> None:
        self._durable = seq
        waiters = self._waiters
        if waiters and waiters[0][0] <= seq:
            end = bisect_right(waiters, seq, key=itemgetter(0))
            self._waiters = waiters[end:]
            for _, waiter in waiters[:end]:
                if not waiter.done():
                    waiter.set_result(None)
        self._on_durable(seq)

    def _failed(self, error: StoreError) -> None:
        if self._failure is not None:
            return
        self._failure = error
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(self._refusal())
        self._waiters.clear()
        self._on_failure(error)

    def _closed(self) -> None:
        if self._closing is not None and not self._closing.done():
            self._closing.set_result(None)

    def _refusal(self) -> KernelError:
        if isinstance(self._failure, StoreFull):
            return Enospc(f"the journal is broken: {self._failure}")
        if self._failure is not None:
            return Eio(f"the journal is broken: {self._failure}", detail={"cause": type(self._failure).__name__})
        return Eio("the journal is closed, or was never given this entry")

    # On the writer's thread.

    def _write(self) -> None:
        """Commit groups until told to end."""
        while self._take(self._ahead.pop() if self._ahead else self._queue.get()):
            pass

    def _take(self, first: Turn | Command | None) -> bool:
        """Carry out one thing and what can be merged with it; after a failure, take and drop. False at the end."""
        if first is None:
            self._end(self._broken)
            return False
        if isinstance(first, Command):
            if self._broken is None:
                first.run()
            else:
                first.refuse(self._broken)
        elif self._broken is None:
            turn, self._ahead = merge(first, self._queue, limits.GROUP_COMMIT_ENTRIES_MAX)
            self._broken = self._commit(turn)
            if self._broken is not None:
                self._call(self._failed, self._broken)
        return True

    def _commit(self, turn: Turn) -> StoreError | None:
        """One or more transactions of bounded size; what went wrong, if anything did."""
        rows, large, most = turn.rows, turn.large, limits.GROUP_COMMIT_ENTRIES_MAX
        try:
            for start in range(0, len(rows), most):
                group = rows[start : start + most] if len(rows) > most else rows
                self._store.commit(group, large, reserve=turn.reserve)
                large = []  # bodies go with the first group: a body may be there before its record, never after
                self._commits += 1
                seq, hash_ = group[-1][:2]
                if self._anchor is not None:
                    self._anchor.write(seq, hash_)
                self._call(self._committed, seq)
        except StoreError as error:
            return error
        except OSError as error:
            kind = StoreFull if error.errno == errno.ENOSPC else StoreError
            return kind(f"the anchor cannot be written: {error.strerror}")
        except Exception as error:  # a driver's bug: the chain must stop here all the same
            return StoreError(f"{type(error).__name__}: {error}")
        return None

    def _end(self, failure: StoreError | None) -> None:
        if self._anchor is not None:
            try:
                self._anchor.close()
            except OSError as error:
                if failure is None:
                    self._call(self._failed, StoreError(f"the anchor could not be synced: {error.strerror}"))
        self._call(self._closed)

    def _carry_out(self, action: Callable[[], T], done: asyncio.Future[T]) -> None:
        try:
            result = action()
        except Exception as error:
            self._call(self._fail, done, error)
        else:
            self._call(lambda: None if done.done() else done.set_result(result))

    def _fail(self, done: asyncio.Future[T], error: Exception) -> None:
        def tell() -> None:
            if not done.done():
                done.set_exception(error)

        self._call(tell)

    def _call(self, callback: Callable[..., object], *args: object) -> None:
        """Run `callback` on the loop. A loop that was closed under us has nobody left to tell."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *args)
