"""The entry: one input's events, and its form in the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, get_type_hints

import msgspec

from prytany.abi.events.call import CallClosed, CallDone, CallDoubted, CallOpened, CallPiece, CallsDenied, CallSettled
from prytany.abi.events.context import (
    ContextAppended,
    ContextAsked,
    ContextClosed,
    ContextForked,
    ContextOpened,
)
from prytany.abi.events.kernel import IncidentClosed, IncidentOpened, KernelStarted, OperatorCommanded
from prytany.abi.events.model import ModelReserved, ModelUsed
from prytany.abi.events.process import (
    ProcessAccounted,
    ProcessContinued,
    ProcessExited,
    ProcessPaused,
    ProcessReady,
    ProcessReaped,
    ProcessSignalled,
    ProcessSpawned,
    ProcessStarted,
)

Event = (
    ProcessSpawned
    | ProcessReady
    | ProcessStarted
    | ProcessPaused
    | ProcessContinued
    | ProcessSignalled
    | ProcessExited
    | ProcessReaped
    | ProcessAccounted
    | CallDone
    | CallOpened
    | CallClosed
    | CallPiece
    | CallDoubted
    | CallSettled
    | CallsDenied
    | ModelReserved
    | ModelUsed
    | ContextOpened
    | ContextAppended
    | ContextAsked
    | ContextForked
    | ContextClosed
    | KernelStarted
    | IncidentOpened
    | IncidentClosed
    | OperatorCommanded
)


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One input's events: appended, chained and applied whole. `time_ns` is the kernel's, and never goes back."""

    time_ns: int
    events: list[Event]


Upcaster = Callable[[list[Any]], list[Any]]
UPCASTERS: dict[str, Upcaster] = {}
"""From an older `type/version` to a function that gives the array of the next version."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)
encode_entry = _encoder.encode


def decode_entry(record: bytes) -> Entry:
    """The entry that `record` holds, in today's versions; raises msgspec.ValidationError for a newer one."""
    if not UPCASTERS:
        return _decoder.decode(record)
    try:
        return _decoder.decode(record)
    except msgspec.ValidationError:
        raw = msgspec.msgpack.decode(record)
        raw[1] = [_upcast(event) for event in raw[1]]
        return msgspec.convert(raw, Entry)


def _upcast(event: list[Any]) -> list[Any]:
    while (upcaster := UPCASTERS.get(event[0])) is not None:
        event = upcaster(event)
    return event


@cache
def digest_fields(kind: type) -> tuple[str, ...]:
    """The fields of an event's class that name content."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        name
        for name, hint in hints.items()
        if any(getattr(mark, "extra", None) == {"digest": True} for mark in getattr(hint, "__metadata__", ()))
    )


def digests_of(record: bytes) -> Iterator[bytes]:
    """The digests of content that an entry names, in order; empty ones stand for no content."""
    for event in decode_entry(record).events:
        for name in digest_fields(type(event)):
            digest = getattr(event, name)
            if digest:
                yield digest
