"""Event schemas: what the journal says happened.

Each event is an array whose first element is its type and version (`process.spawned/1`). A record only grows at its
end, with a default, so that an older one decodes as it is; what changes in another way gets the next version, and an
upcaster here turns the older one into it. Events hold no content, only keyed digests of it: the content lies beside
the chain.

Events that belong to a process's record carry `prev`, the entry before them in that record, so that a record is a
linked list through the journal and a fork of it is a pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec


class ProcessSpawned(msgspec.Struct, array_like=True, frozen=True, tag="process.spawned/1"):
    """A process was made. `source` is the digest of the program's text; `argument` that of its packed arguments."""

    pid: int
    parent: int
    run: int
    name: str
    kind: str
    program: str
    source: bytes
    argument: bytes
    pledge: list[str]
    unveil: dict[str, str]
    seed: bytes
    uid: int = -1
    """Of the operator whose command it was; -1 where a process spawned it."""
    model: str = ""


class ProcessReady(msgspec.Struct, array_like=True, frozen=True, tag="process.ready/1"):
    """It wants to run, in a new incarnation with an empty record."""

    pid: int
    incarnation: int


class ProcessStarted(msgspec.Struct, array_like=True, frozen=True, tag="process.started/1"):
    """It got a place. The time of this entry is the program's first time."""

    pid: int
    prev: int


class ProcessPaused(msgspec.Struct, array_like=True, frozen=True, tag="process.stopped/1"):
    """It was stopped, with the reason."""

    pid: int
    reason: str


class ProcessContinued(msgspec.Struct, array_like=True, frozen=True, tag="process.continued/1"):
    """It may go on."""

    pid: int


class ProcessSignalled(msgspec.Struct, array_like=True, frozen=True, tag="process.signalled/1"):
    """A signal reached it, at this place of its record. `sender` is a pid, or -1 - uid of an operator."""

    pid: int
    signal: int
    sender: int
    prev: int


class ProcessExited(msgspec.Struct, array_like=True, frozen=True, tag="process.exited/1"):
    """It terminated. `signal` is what ended it from outside, or 0; `result` is the digest of what it leaves."""

    pid: int
    status: int
    signal: int
    reason: str
    result: bytes
    cpu_us: int = 0


class ProcessReaped(msgspec.Struct, array_like=True, frozen=True, tag="process.reaped/1"):
    """Its status was taken; it leaves the table."""

    pid: int


class CallDone(msgspec.Struct, array_like=True, frozen=True, tag="call.done/1"):
    """A call that was decided at once: asked and answered in one entry."""

    pid: int
    n: int
    call: str
    argument: bytes
    errno: str
    result: bytes
    prev: int


class CallOpened(msgspec.Struct, array_like=True, frozen=True, tag="call.opened/1"):
    """The intent of a call that takes time."""

    pid: int
    n: int
    call: str
    argument: bytes
    prev: int
    subject: int = 0
    """What it waits for, where that is a number: a pid or a time in nanoseconds."""


class CallClosed(msgspec.Struct, array_like=True, frozen=True, tag="call.closed/1"):
    """The result of an opened call, at the place of the record where the program learns it."""

    pid: int
    n: int
    errno: str
    result: bytes
    prev: int


class CallDoubted(msgspec.Struct, array_like=True, frozen=True, tag="call.doubted/1"):
    """The call's effect was begun before a crash, and nobody knows whether it happened."""

    pid: int
    n: int


class CallsDenied(msgspec.Struct, array_like=True, frozen=True, tag="call.denied/1"):
    """The gate refused. `ns` counts the calls: the first alone, repeats of it together with whatever comes next."""

    pid: int
    call: str
    errno: str
    ns: list[int]
    prev: int
    again: bool = False
    """Repeats: each was answered at the time of the item before it, since it had no entry of its own."""


class ModelUsed(msgspec.Struct, array_like=True, frozen=True, tag="model.used/1"):
    """What one attempt at a model took, whether or not it was answered."""

    pid: int
    n: int
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd_micros: int
    took_us: int
    cause: str = ""


class KernelStarted(msgspec.Struct, array_like=True, frozen=True, tag="kernel.started/1"):
    """A kernel opened this journal."""

    version: str
    os_pid: int


class IncidentOpened(msgspec.Struct, array_like=True, frozen=True, tag="incident.opened/1"):
    """Something needs a person."""

    pid: int
    kind: str
    n: int = 0


class IncidentClosed(msgspec.Struct, array_like=True, frozen=True, tag="incident.closed/1"):
    """It was seen to, by the operator of that uid (-1: it settled itself)."""

    pid: int
    kind: str
    n: int = 0
    uid: int = -1


Event = (
    ProcessSpawned
    | ProcessReady
    | ProcessStarted
    | ProcessPaused
    | ProcessContinued
    | ProcessSignalled
    | ProcessExited
    | ProcessReaped
    | CallDone
    | CallOpened
    | CallClosed
    | CallDoubted
    | CallsDenied
    | ModelUsed
    | KernelStarted
    | IncidentOpened
    | IncidentClosed
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


def digests_of(record: bytes) -> Iterator[bytes]:
    """The digests of content that an entry names, in order; empty ones stand for no content."""
    for event in decode_entry(record).events:
        for name in ("source", "argument", "result"):
            digest = getattr(event, name, b"")
            if digest:
                yield digest
