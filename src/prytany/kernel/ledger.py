"""The ledger: apply, append, and hold back until durable.

State is applied early, so that the next call is decided on it; what an entry means for the outside (an answer, an
effect's start, a worker's end) is done when the journal's watermark has passed it, in the order of the entries.
Nothing else in the kernel may talk to the outside.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.journal.bodies import split
from prytany.journal.digests import Keyring
from prytany.journal.writer import Journal
from prytany.kernel.shared import Shared
from prytany.kernel.snapshots import Snapshots
from prytany.kernel.state import ShardState
from prytany.kernel.undurable import Undurable
from prytany.ports.clock import Clock
from prytany.ports.store import Body
from prytany.process.table import Table

TENANT = 0
DENIALS_MAX = 1024


def _nobody() -> None:
    """Nobody is to be woken."""


class Durable(msgspec.Struct, frozen=True, gc=False):
    """An entry whose reactions are due. A struct: one is made for each entry, and a tuple takes three times as long."""

    seq: int
    time_ns: int
    events: Sequence[ev.Event]
    contents: dict[bytes, bytes]
    work: Any = None
    """What the effect of the call that it opens begins with."""


class Denials:
    """Repeated denials: answered in their turn, and recorded together with what comes next in the same record.

    What was answered and is not yet recorded can be lost in a crash, and changes nothing: the program is then denied
    again, by the same gate, at the same place of its record.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.waiting: dict[int, list[tuple[int, str, str, str]]] = {}

    def add(self, pid: int, n: int, call: str, errno: str, cause: str) -> None:
        """Call `n` was denied as one before it was."""
        waiting = self.waiting.setdefault(pid, [])
        waiting.append((n, call, errno, cause))
        self._ledger.after((ev.CallsDenied(pid, call, errno, [n], 0, True, cause),))
        if len(waiting) >= DENIALS_MAX:
            self._ledger.commit((), {}, flush=pid)

    def before(self, events: Sequence[ev.Event]) -> list[ev.Event]:
        """What is to be recorded before `events`, which touch the records of some processes."""
        flushed: list[ev.Event] = []
        for pid in {getattr(e, "pid", 0): None for e in events}:
            flushed.extend(self.take(pid))
        return flushed

    def take(self, pid: int) -> list[ev.Event]:
        """What waits for `pid`; runs of one kind are one event."""
        events: list[ev.Event] = []
        ns: list[int] = []
        last: tuple[str, str, str] | None = None
        for n, call, errno, cause in self.waiting.pop(pid, ()):
            if (call, errno, cause) != last:
                last, ns = (call, errno, cause), []
                events.append(ev.CallsDenied(pid, call, errno, ns, self._ledger.table.require(pid).tail, True, cause))
            ns.append(n)
        return events


class Ledger:
    """One shard's journal with its fold."""

    def __init__(self, state: ShardState, keyring: Keyring, clock: Clock, react: Callable[[Durable], None]) -> None:
        self.state = state
        self.table: Table = state.table
        self._keyring = keyring
        self.key_id = keyring.key_id(TENANT) or 0
        self._clock = clock
        self._react = react
        self._held: deque[Durable] = deque()
        self._undurable = Undurable()
        self._journal: Journal | None = None
        self.begun_at = 0
        """The last entry of the kernels before."""
        self.denials = Denials(self)
        self.shared = Shared(self.digest)
        self.followers: list[asyncio.Future[int]] = []
        """Who is to be told of the next durable entry."""
        self.snapshots = Snapshots(state)
        self._digested: tuple[bytes | None, bytes] = None, b""
        self.wake: Callable[[], None] = _nobody
        """Called when an entry was committed: who could not go on before may be able to now."""

    def attach(self, journal: Journal) -> None:
        """Write to `journal` from here on."""
        self._journal = journal
        self.begun_at = journal.head.seq

    @property
    def journal(self) -> Journal:
        """The journal that was attached."""
        assert self._journal is not None
        return self._journal

    def now_ns(self) -> int:
        """The kernel's time: the clock's, and never before the last entry's."""
        return max(self._clock.now_ns(), self.table.time_ns)

    def digest(self, content: bytes) -> bytes:
        """The keyed digest under which `content` is named; empty for none."""
        if content is self._digested[0]:  # who decides names it, and who records it does again
            return self._digested[1]
        if not content:
            return b""
        digest = self._keyring.digest(TENANT, content)
        self._digested = content, digest
        return digest

    def commit(
        self,
        events: Sequence[ev.Event],
        contents: dict[bytes, bytes],
        shared: Sequence[bytes] = (),
        *,
        flush: int = 0,
        payer: int = -1,
        reserve: bool = False,
        work: Any = None,
    ) -> int:
        """Apply one entry, append it, and hold its reactions until it is durable.

        Args:
            events: what was decided.
            contents: what its digests name; none of it empty.
            shared: content that other entries name as well; it is kept once.
            flush: a process whose repeated denials are recorded now.
            payer: the process that caused it; that of the first event where it is not given. What is shared is not
                counted to it: it is the operator's, or came in as somebody's argument or result before.
            reserve: a full disk makes this necessary; it may use the space that is kept for that.
            work: what the effect of the call that is opened begins with.

        Raises:
            Enospc, Eio: the journal is broken, or closed.
            Exception: what a fold raised. Nothing was written, and the journal is given up: the state is no good.
        """
        answered = events
        if self.denials.waiting:
            denied = self.denials.take(flush) if flush else self.denials.before(events)
            events = [*denied, *events]
        now_ns = self.now_ns()
        packed, large = split(TENANT, self.key_id, contents.items())
        content_bytes = len(packed)
        if large:
            content_bytes += sum(len(body.content) for body in large)
        if payer < 0:
            payer = getattr(answered[0], "pid", 0) if answered else flush
        record = ev.encode_entry(ev.Entry(now_ns, list(events), payer, content_bytes))
        journal = self.journal
        seq = journal.next_seq()
        apply = self.state.apply
        try:
            for event in events:
                apply(seq, now_ns, event)
            self.state.charge(payer, len(record) + content_bytes)
        except Exception as error:
            # It cannot follow, so it must not be written: no later kernel could fold it. The state may be half changed.
            journal.give_up(error)
            raise
        for content in shared:  # last, so that nothing counts as handed over whose entry is not written
            if (digest := self.shared.hand_over(content)) is not None:
                large.append(Body(TENANT, digest, self.key_id, content))
        journal.append(record, packed, large, reserve)
        self._held.append(Durable(seq, now_ns, answered, contents, work))
        self.wake()
        return seq

    def after(self, events: Sequence[ev.Event]) -> None:
        """Hold what has no entry of its own behind what was committed so far."""
        held = Durable(self._held[-1].seq if self._held else 0, 0, events, {})
        if self._held:
            self._held.append(held)
        else:
            self._react(held)

    def undurable(self, digest: bytes) -> bytes | None:
        """Content that was committed and is not durable yet, or None. For deciding on it; it may not leave."""
        return self._undurable.find(self._held, digest)

    def events_undurable(self) -> Iterator[ev.Event]:
        """What was committed and is not durable yet. For deciding on it; it may not leave."""
        return (event for entry in self._held for event in entry.events)

    def on_durable(self, seq: int) -> None:
        """The journal's watermark reached `seq`."""
        held = self._held
        react = self._react
        while held and held[0].seq <= seq:
            react(held.popleft())
        self._undurable.passed(seq)
        if self.followers:
            self._tell_followers(seq)
        if seq >= self.snapshots.due:
            self.snapshots.save(self.journal)

    async def wait_entry(self, after: int) -> int:
        """The number of the last durable entry, once it is above `after`."""
        while (durable := self.journal.durable) <= after:
            told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self.followers.append(told)
            try:
                await told
            finally:
                if told in self.followers:
                    self.followers.remove(told)
        return durable

    def _tell_followers(self, seq: int) -> None:
        followers, self.followers = self.followers, []
        for told in followers:
            if not told.done():
                told.set_result(seq)
