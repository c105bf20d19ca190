"""The record of one incarnation, read: what reached its process, and what it asked, in the order of the journal.

A record is a linked list through the journal (`prev`), so reading it costs what is in it, not what is in the journal.
What an event means for the process stands here once, for those who bring one back and those who look at one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import Eio
from prytany.abi.values import NIL
from prytany.abi.wire import PIECE, UNREADABLE
from prytany.journal.bodies import Stored
from prytany.kernel.gate import denied_value
from prytany.ports.store import Reader

ENTRIES_A_STEP = 256
"""How many entries of a record are read at once: some milliseconds."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """One recorded delivery."""

    n: int
    time_ns: int
    errno: str
    value: bytes
    after: int = 0
    """Of one that answers no call: how many calls of the record were made before it."""


class Asked(NamedTuple):
    """A recorded call."""

    call: str
    argument: bytes


class Record(NamedTuple):
    """The record of one incarnation, in the order of the journal."""

    start_ns: int
    items: list[Item]
    asked: dict[int, Asked]


def of_archive(reader: Reader, seq: int) -> str:
    """What to add to what is said of a missing entry, where an archive has it."""
    return ": it is in an archive, and ought to have stayed here" if seq <= reader.archived() else ""


def read_record(
    reader: Reader, tenant: int, pid: int, tail: int, cut_seq: int = 0, cut_ns: int = 0,
    digest_of: Callable[[bytes], bytes] | None = None,
) -> Iterator[Record | None]:  # fmt: skip
    """Walk the record of `pid` back from its last entry to where it was cut, if it was, and give it in order.

    It is read in steps: None says that a step is over and others may have a turn; the record comes last. With
    `digest_of`, what is handed to the program is held against the digest that names it.

    Raises:
        Eio: an entry or a body of it is missing or damaged.
        StoreError: it cannot be read.
    """
    chain: list[tuple[int, list[Any], bytes]] = []
    at = tail
    while at > cut_seq:
        row = reader.row(at)
        if row is None:
            raise Eio(f"entry {at} of the record of process {pid} is missing{of_archive(reader, at)}")
        try:
            entry = ev.decode_entry(row.record)
        except UNREADABLE:
            raise Eio(f"entry {at} of the record of process {pid} is damaged") from None
        own: list[Any] = [e for e in entry.events if getattr(e, "pid", 0) == pid and hasattr(e, "prev")]
        if not own or own[0].prev >= at:
            raise Eio(f"entry {at} is linked from the record of process {pid} and is none of it")
        chain.append((entry.time_ns, own, row.bodies))
        at = own[0].prev
        if len(chain) % ENTRIES_A_STEP == 0:
            yield None
    record = Record(cut_ns, [], {})
    last_ns = cut_ns
    of = f"the record of process {pid}"
    for done, (time_ns, events, packed) in enumerate(reversed(chain), 1):
        stored = Stored(reader, tenant, packed, of, digest_of)
        for event in events:
            if isinstance(event, ev.ProcessStarted):
                record = record._replace(start_ns=time_ns)
                last_ns = time_ns
            else:
                last_ns = _add(record, event, time_ns, last_ns, stored)
        if done % ENTRIES_A_STEP == 0:
            yield None
    yield record


def _add(record: Record, event: ev.Event, time_ns: int, last_ns: int, stored: Stored) -> int:
    """Add what one event means for the process; the time of the last item so far."""
    match event:
        case ev.CallDone():
            record.asked[event.n] = Asked(event.call, event.argument)
            record.items.append(Item(event.n, time_ns, event.errno, stored.read(event.result) or NIL))
        case ev.CallClosed():
            record.items.append(Item(event.n, time_ns, event.errno, stored.read(event.result) or NIL))
        case ev.CallPiece():
            record.items.append(Item(event.n, time_ns, PIECE, stored.read(event.piece) or NIL))
        case ev.ProcessSignalled():
            record.items.append(Item(-event.signal, time_ns, "", NIL, len(record.asked)))
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
