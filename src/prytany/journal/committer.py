"""The journal's committing side: groups are committed in their order, and what became of each is told to the loop.

    put (loop) ─▶ queue ─▶ this thread: one transaction, anchor ─▶ one call into the loop

Invariants:
- What is told as durable is committed and anchored, in the order of the chain.
- After a commit failed nothing later is committed: what it would follow is not there.
- It shares a `SimpleQueue` with the loop's thread and nothing else. The store and the anchor are its own.

Source: group commit, DeWitt et al., SIGMOD 1984.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

from prytany.abi import limits
from prytany.journal.anchor import Anchor
from prytany.journal.group import Command, Turn, merge
from prytany.ports.store import Store, StoreError, StoreFull

T = TypeVar("T")


class Owner(Protocol):
    """Who is told, on the loop's thread."""

    def on_committed(self, seq: int) -> None:
        """`seq` and everything before it is durable."""
        ...

    def on_failed(self, error: StoreError) -> None:
        """A commit failed; there is none after it."""
        ...

    def on_closed(self) -> None:
        """Everything is done that was queued before the end."""
        ...


class Committer:
    """Commits what is put. `put` and `command` are called on the loop's thread."""

    def __init__(self, store: Store, anchor: Anchor | None, loop: asyncio.AbstractEventLoop, owner: Owner) -> None:
        """The store and the anchor are used by the committing thread alone, but for the store's readers."""
        self._store = store
        self._anchor = anchor
        self._loop = loop
        self._owner = owner
        self._queue: SimpleQueue[Turn | Command | None] = SimpleQueue()
        self._ahead: list[Turn | Command | None] = []  # taken from the queue, and not due yet
        self._broken: StoreError | None = None  # known here before the loop knows it
        self._thread = threading.Thread(target=self._run, name="prytany-journal", daemon=True)
        self.commits = 0
        """Transactions of entries so far."""
        self.put = self._queue.put
        """Queue a turn, a command, or None: the end."""

    def start(self) -> None:
        """Commit on a thread of its own from here on."""
        self._thread.start()

    def join(self) -> None:
        """Return when the thread has ended, if there is one."""
        if self._thread.is_alive():
            self._thread.join()

    def command(self, action: Callable[[], T], done: asyncio.Future[T]) -> None:
        """Queue `action`; `done` gets its result, or what it raised."""
        self.put(Command(lambda: self._carry_out(action, done), partial(self._fail, done)))

    # On the committing thread, or, where there is none, on the loop's.

    def _run(self) -> None:
        while self._take(self._ahead.pop() if self._ahead else self._queue.get()):
            pass

    def drain(self) -> None:
        """Carry out what is queued, and return: for who has no thread."""
        while self._ahead or not self._queue.empty():
            if not self._take(self._ahead.pop() if self._ahead else self._queue.get_nowait()):
                return

    def drop(self) -> None:
        """Forget what is queued, as a machine does that goes out."""
        self._ahead.clear()
        with contextlib.suppress(Empty):
            while True:
                self._queue.get_nowait()

    def _take(self, first: Turn | Command | None) -> bool:
        """Carry out one thing and what can be merged with it; after a failure, take and drop. False at the end."""
        if first is None:
            self._end()
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
                self._call(self._owner.on_failed, self._broken)
        return True

    def _commit(self, turn: Turn) -> StoreError | None:
        """One or more transactions of bounded size; what went wrong, if anything did."""
        rows, large, most = turn.rows, turn.large, limits.GROUP_COMMIT_ENTRIES_MAX
        try:
            for start in range(0, len(rows), most):
                group = rows[start : start + most] if len(rows) > most else rows
                self._store.commit(group, large, reserve=turn.reserve)
                large = []  # bodies go with the first group: a body may be there before its record, never after
                self.commits += 1
                seq, hash_ = group[-1][:2]
                if self._anchor is not None:
                    self._anchor.write(seq, hash_)
                self._call(self._owner.on_committed, seq)
        except StoreError as error:
            return error
        except OSError as error:
            kind = StoreFull if error.errno == errno.ENOSPC else StoreError
            return kind(f"the anchor cannot be written: {error.strerror}")
        except Exception as error:  # a driver's bug: the chain must stop here all the same
            return StoreError(f"{type(error).__name__}: {error}")
        return None

    def _end(self) -> None:
        if self._anchor is not None:
            try:
                self._anchor.close()
            except OSError as error:
                if self._broken is None:
                    self._call(self._owner.on_failed, StoreError(f"the anchor could not be synced: {error.strerror}"))
        self._call(self._owner.on_closed)

    def _carry_out(self, action: Callable[[], T], done: asyncio.Future[T]) -> None:
        try:
            result = action()
        except Exception as error:
            self._fail(done, error)
        else:
            self._call(lambda: None if done.done() else done.set_result(result))

    def _fail(self, done: asyncio.Future[T], error: Exception) -> None:
        self._call(lambda: None if done.done() else done.set_exception(error))

    def _call(self, callback: Callable[..., object], *args: object) -> None:
        """Run `callback` on the loop. A loop that was closed under us has nobody left to tell."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *args)
