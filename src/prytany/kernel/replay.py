"""Replay of one process: its record is fed to a fresh worker until that stands where the old one stood.

The record is what reached the process, in order: answers, denials, signals. What the worker asks is held against what
it asked then. No driver is called. What the worker asks beyond the record is kept until the frontier, and is live from
there on.

A worker takes one item at a time, however many lie before it. So items are sent ahead of the calls that they answer, a
bounded number, and a record is replayed in few writes; whether a call was really made before its answer was taken
shows in the frame that follows. An inline program takes each item as it is sent: there, the call has to be made first.

The frontier: every item is sent, the worker has taken them all, and it has nothing left to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import Eio, Ereplay
from prytany.abi.wire import PIECE
from prytany.journal.bodies import unpack
from prytany.kernel.earlier import earlier_forms
from prytany.kernel.gate import denial
from prytany.ports.store import Reader

NIL = b"\xc0"


class Item(msgspec.Struct, frozen=True, gc=False):
    """One recorded delivery."""

    n: int
    time_ns: int
    errno: str
    value: bytes


class Asked(NamedTuple):
    """A recorded call."""

    call: str
    argument: bytes


class Record(NamedTuple):
    """The record of one incarnation, in the order of the journal."""

    start_ns: int
    items: list[Item]
    asked: dict[int, Asked]


def denied_value(call: str, cause: str = "") -> bytes:
    """What a denied call is answered with."""
    return msgspec.msgpack.encode([denial(call, cause), {"cause": cause} if cause else {}])


AHEAD_ITEMS_MAX = 512
"""Items that a worker in replay was sent and has not taken, at most."""
AHEAD_BYTES_MAX = 1 << 20
"""Sent ahead at once; one item more may go."""
ENTRIES_A_STEP = 256
"""How many entries of a record are read at once: some milliseconds."""


def read_record(
    reader: Reader, tenant: int, pid: int, tail: int, cut_seq: int = 0, cut_ns: int = 0
) -> Iterator[Record | None]:
    """Walk the record of `pid` back from its last entry to where it was cut, if it was, and give it in order.

    It is read in steps: None says that a step is over and others may have a turn; the record comes last.

    Raises:
        Eio: an entry or a body of it is missing.
        StoreError: it cannot be read.
    """
    chain: list[tuple[int, list[Any], bytes]] = []
    at = tail
    while at > cut_seq:
        row = reader.row(at)
        if row is None:
            raise Eio(f"entry {at} of the record of process {pid} is missing")
        entry = ev.decode_entry(row.record)
        own: list[Any] = [e for e in entry.events if getattr(e, "pid", 0) == pid and hasattr(e, "prev")]
        if not own:
            raise Eio(f"entry {at} is linked from the record of process {pid} and holds nothing of it")
        chain.append((entry.time_ns, own, row.bodies))
        at = own[0].prev
        if len(chain) % ENTRIES_A_STEP == 0:
            yield None
    record = Record(cut_ns, [], {})
    last_ns = cut_ns
    for done, (time_ns, events, packed) in enumerate(reversed(chain), 1):
        bodies = dict(unpack(packed))

        def content(digest: bytes, bodies: dict[bytes, bytes] = bodies) -> bytes:
            if not digest:
                return NIL
            if (found := bodies.get(digest)) is not None:
                return found
            if (body := reader.body(tenant, digest)) is None:
                raise Eio(f"content of the record of process {pid} is missing or was forgotten")
            return body.content

        for event in events:
            if isinstance(event, ev.ProcessStarted):
                record = record._replace(start_ns=time_ns)
                last_ns = time_ns
            else:
                last_ns = _add(record, event, time_ns, last_ns, content)
        if done % ENTRIES_A_STEP == 0:
            yield None
    yield record


def _add(record: Record, event: ev.Event, time_ns: int, last_ns: int, content: Callable[[bytes], bytes]) -> int:
    """Add what one event means for the process; the time of the last item so far."""
    match event:
        case ev.CallDone():
            record.asked[event.n] = Asked(event.call, event.argument)
            record.items.append(Item(event.n, time_ns, event.errno, content(event.result)))
        case ev.CallClosed():
            record.items.append(Item(event.n, time_ns, event.errno, content(event.result)))
        case ev.CallPiece():
            record.items.append(Item(event.n, time_ns, PIECE, content(event.piece)))
        case ev.ProcessSignalled():
            record.items.append(Item(-event.signal, time_ns, "", NIL))
        case ev.CallsDenied():
            when_ns = last_ns if event.again else time_ns
            for n in event.ns:
                record.asked[n] = Asked(event.call, b"")
                record.items.append(Item(n, when_ns, event.errno, denied_value(event.call, event.cause)))
            return when_ns
        case ev.CallOpened():
            record.asked[event.n] = Asked(event.call, event.argument)
            return last_ns
        case _:
            return last_ns
    return time_ns


def _same(recorded: bytes, call: str, argument: bytes, digest: Callable[[bytes], bytes]) -> bool:
    return recorded == digest(argument) or any(recorded == digest(form) for form in earlier_forms(call, argument))


class Cursor:
    """Where a replay stands."""

    def __init__(self, record: Record | None = None, quiet: int = 0) -> None:
        """At the beginning of `record`; of none while that is still being read.

        `quiet` is how many items (the start is one) an earlier worker took: what is printed up to there is known.
        """
        self.reading = record is None
        self.record = record or Record(0, [], {})
        self.quiet = quiet
        self.made: set[int] = set()
        """Recorded calls that the worker has made again and that no item has answered yet."""
        self.beyond: list[tuple[int, str, bytes]] = []
        """Calls that the record does not hold."""
        self._next = 0
        self._taken = 0
        self._matched = 0

    def load(self, record: Record, quiet: int = 0) -> None:
        """The record was read; what came up meanwhile follows it."""
        self.reading, self.quiet = False, quiet
        self.record = record._replace(items=record.items + self.record.items)

    def add(self, item: Item) -> None:
        """An item that came up while the record was read, or the replay ran."""
        self.record.items.append(item)

    def on_call(self, n: int, call: str, argument: bytes, digest: Callable[[bytes], bytes]) -> None:
        """The worker made call `n`.

        Raises:
            Ereplay: the record holds another call there.
        """
        asked = self.record.asked.get(n)
        if asked is None:
            self.beyond.append((n, call, argument))
        elif asked.call != call or (asked.argument and not _same(asked.argument, call, argument, digest)):
            raise Ereplay(
                f"call {n} was {asked.call} when it was recorded, and is {call} now, or its arguments differ",
                call=call,
                detail={"n": n, "recorded": asked.call, "now": call},
            )
        else:
            self._matched += 1
        self.made.add(n)

    def on_taken(self, delivered: int) -> None:
        """The worker has taken `delivered` items in all, the start included, and what it asked before is known.

        Raises:
            Ereplay: it has taken an answer to a call that it had not made.
        """
        while self._taken < min(delivered - 1, len(self.record.items)):
            self._check_made(self.record.items[self._taken])
            self._taken += 1

    def _check_made(self, item: Item) -> None:
        if item.n > 0 and item.n not in self.made:
            asked = self.record.asked.get(item.n)
            name = asked.call if asked else "a call"
            raise Ereplay(f"{name} (call {item.n}) was made when this was recorded, and is not made now", call=name)

    def due(self, *, ahead: bool = False) -> list[Item]:
        """The items that can go out now; with `ahead`, also some whose calls are still to come."""
        items: list[Item] = []
        size_bytes = 0
        recorded = self.record.items
        most = min(len(recorded), self.quiet - 1) if self.quiet else len(recorded)
        if ahead:
            most = min(most, self._taken + AHEAD_ITEMS_MAX)
        while self._next < most and size_bytes < AHEAD_BYTES_MAX:
            item = recorded[self._next]
            if not ahead and item.n > 0 and item.n not in self.made:
                break
            items.append(item)
            size_bytes += len(item.value)
            self._next += 1
        return items

    def turns_new(self, delivered: int) -> bool:
        """Whether the worker has just taken the last item that an earlier one took: what it does now is new."""
        if not self.quiet or delivered < self.quiet:
            return False
        self.quiet = 0
        return True

    def at_frontier(self, delivered: int) -> bool:
        """Whether the worker, idle after `delivered` items (the start is one), stands where its record ends.

        Raises:
            Ereplay: it is idle, and has not made a call that an item of its record answers, or that it had open.
        """
        if delivered < 1 + self._next:
            return False
        if self._next < len(self.record.items):
            self._check_made(self.record.items[self._next])
            return False
        if self._matched < len(self.record.asked):
            missing = min(n for n in self.record.asked if n not in self.made)
            raise Ereplay(f"{self.record.asked[missing].call} (call {missing}) is recorded, and is not made now")
        return True
