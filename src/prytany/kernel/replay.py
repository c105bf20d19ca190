"""Replay of one process: its record is fed to a fresh worker until that stands where the old one stood.

The record is what reached the process, in order: answers, denials, signals. An item goes out when the worker has made
the call that it answers, and what the worker asks is held against what it asked then. No driver is called. What the
worker asks beyond the record is kept until the frontier, and is live from there on.

The frontier: every item is sent, the worker has taken them all, and it has nothing left to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import Eio, Ereplay
from prytany.abi.wire import PIECE
from prytany.journal.bodies import unpack
from prytany.kernel.gate import denial
from prytany.ports.store import Reader

NIL = b"\xc0"


class Item(msgspec.Struct, frozen=True):
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


def read_record(reader: Reader, tenant: int, pid: int, tail: int, cut_seq: int = 0, cut_ns: int = 0) -> Record:
    """Walk the record of `pid` back from its last entry to where it was cut, if it was, and give it in order.

    Raises:
        Eio: an entry or a body of it is missing.
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
    record = Record(cut_ns, [], {})
    last_ns = cut_ns
    for time_ns, events, packed in reversed(chain):
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
    return record


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


class Cursor:
    """Where a replay stands."""

    def __init__(self, record: Record, quiet: int = 0) -> None:
        """`quiet` is how many items (the start is one) an earlier worker took: what is printed up to there is known."""
        self.record = record
        self.quiet = quiet
        self.made: set[int] = set()
        """Recorded calls that the worker has made again and that no item has answered yet."""
        self.beyond: list[tuple[int, str, bytes]] = []
        """Calls that the record does not hold."""
        self._next = 0
        self._matched = 0

    def add(self, item: Item) -> None:
        """An item that came up while the replay ran."""
        self.record.items.append(item)

    def on_call(self, n: int, call: str, argument: bytes, digest: Callable[[bytes], bytes]) -> None:
        """The worker made call `n`.

        Raises:
            Ereplay: the record holds another call there.
        """
        asked = self.record.asked.get(n)
        if asked is None:
            self.beyond.append((n, call, argument))
        elif asked.call != call or (asked.argument and asked.argument != digest(argument)):
            raise Ereplay(
                f"call {n} was {asked.call} when it was recorded, and is {call} now, or its arguments differ",
                call=call,
                detail={"n": n, "recorded": asked.call, "now": call},
            )
        else:
            self._matched += 1
        self.made.add(n)

    def due(self) -> list[Item]:
        """The items that can go out now."""
        items: list[Item] = []
        recorded = self.record.items
        most = self.quiet - 1 if self.quiet else len(recorded)
        while self._next < min(len(recorded), most):
            item = recorded[self._next]
            if item.n > 0 and item.n not in self.made:
                break
            items.append(item)
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
            item = self.record.items[self._next]
            asked = self.record.asked.get(item.n)
            name = asked.call if asked else "a call"
            raise Ereplay(f"{name} (call {item.n}) was made when this was recorded, and is not made now", call=name)
        if self._matched < len(self.record.asked):
            missing = min(n for n in self.record.asked if n not in self.made)
            raise Ereplay(f"{self.record.asked[missing].call} (call {missing}) is recorded, and is not made now")
        return True
