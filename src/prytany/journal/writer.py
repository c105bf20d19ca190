"""The journal's writing side: entries are chained on the loop's thread and committed in groups on one other.

    append (loop) ─▶ list of this turn ─▶ committer: one transaction, anchor ─▶ one call into the loop: on_durable

Invariants:
- `append` gives numbers without gaps, and hashes in the order of the calls; both are known at once, before durability.
- `durable` only grows, and only after the store's commit has returned (so after its sync) and the anchor is written.
- After a commit failed the journal is broken for good; its owner throws its state away, and folds again.

It must not look into a record. Its backlog is bounded by what its callers may have in flight.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from hashlib import blake2b
from operator import itemgetter
from typing import TypeVar

from prytany.abi.errors import Eio, Enospc, KernelError
from prytany.journal.anchor import Anchor, Head
from prytany.journal.chain import GENESIS, HASH_BYTES
from prytany.journal.committer import Committer
from prytany.journal.group import Turn
from prytany.ports.store import Base, Body, Row, Snapshot, Store, StoreError, StoreFull

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
        """Start the committer's thread; the store and the anchor are its own until `close`.

        Args:
            store: used by the committer's thread alone, but for its readers.
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
        self._rows: list[Row] = []
        self._large: list[Body] = []
        self._reserve = False
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []  # by number; nearly always appended in order
        self._failure: StoreError | None = None
        self._closing: asyncio.Future[None] | None = None
        self._shrinking: set[asyncio.Future[None]] = set()
        self._committer = Committer(store, anchor, loop, self)
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
        return self._committer.commits

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
        self.on_failed(StoreError(f"the kernel failed: {type(error).__name__}: {error}"))

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
        """Keep the snapshot that `make` gives, on the committer's thread, after everything that was appended before. A
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

    def turn(self) -> asyncio.Future[None]:
        """Done when the committer has come to it, behind all that was appended so far: it is there, and not stuck.

        Raises:
            Enospc, Eio: the journal is broken, or closed.
        """
        return self._command(lambda: None)

    def set_base(self, base: Base) -> asyncio.Future[None]:
        """Have the journal begin with `base`, after everything that was appended before."""
        return self._command(lambda: self._store.set_base(base))

    def remove(self, seqs: Sequence[int]) -> asyncio.Future[None]:
        """Remove archived entries."""
        return self._command(lambda: self._store.remove(seqs))

    def shrink(self) -> asyncio.Future[None]:
        """Give the room of what was removed back to the disk; what is appended meanwhile waits."""
        shrinking = self._command(lambda: self._store.shrink())
        self._shrinking.add(shrinking)
        shrinking.add_done_callback(self._shrinking.discard)
        return shrinking

    @property
    def shrinking(self) -> bool:
        """Whether it gives room back, which takes as long as the disk does for all that is left."""
        return bool(self._shrinking)

    async def close(self) -> None:
        """Commit what is queued, close the anchor, end the thread. The store stays open: it is its opener's."""
        if self._closing is None:
            self._flush()
            self._closing = self._loop.create_future()
            self._committer.put(None)
        await asyncio.shield(self._closing)
        self._committer.join()

    # On the loop's thread.

    def _begin(self) -> None:
        """Let the committer go; a simulation has it go by steps."""
        self._committer.start()

    def _flush(self) -> None:
        """Hand this turn's entries to the committer."""
        if not self._rows:
            return
        self._committer.put(Turn(self._rows, self._large, self._reserve))
        self._rows, self._large, self._reserve = [], [], False

    def _command(self, action: Callable[[], T]) -> asyncio.Future[T]:
        if self._failure is not None or self._closing is not None:
            raise self._refusal()
        self._flush()
        done: asyncio.Future[T] = self._loop.create_future()
        self._committer.command(action, done)
        return done

    # Told by the committer.

    def on_committed(self, seq: int) -> None:
        """`seq` and everything before it is durable."""
        self._durable = seq
        waiters = self._waiters
        if waiters and waiters[0][0] <= seq:
            end = bisect_right(waiters, seq, key=itemgetter(0))
            self._waiters = waiters[end:]
            for _, waiter in waiters[:end]:
                if not waiter.done():
                    waiter.set_result(None)
        self._on_durable(seq)

    def on_failed(self, error: StoreError) -> None:
        """Nothing later is committed; who waits is told."""
        if self._failure is not None:
            return
        self._failure = error
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(self._refusal())
        self._waiters.clear()
        self._on_failure(error)

    def on_closed(self) -> None:
        """The committer is done."""
        if self._closing is not None and not self._closing.done():
            self._closing.set_result(None)

    def _refusal(self) -> KernelError:
        if isinstance(self._failure, StoreFull):
            return Enospc(f"the journal is broken: {self._failure}")
        if self._failure is not None:
            return Eio(f"the journal is broken: {self._failure}", detail={"cause": type(self._failure).__name__})
        return Eio("the journal is closed, or was never given this entry")
