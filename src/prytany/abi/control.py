"""What goes over the control socket, as data: an operator's commands, and what they are answered with.

    client -> kernel   [n, [command, argument, ...]]     n is the client's own number for it, from 1
    kernel -> client   [n, errno, value]                 in the order in which they are done

Each is preceded by its length, as in `abi.wire`: 4 bytes, little-endian. Several commands may be in flight on one
connection. errno is "" for a result; else the name of an error, whose value is `[message, detail]`. `n == 0` is said of
the connection itself, which is closed after it. Commands grow at their ends, answers by named fields.
"""

from __future__ import annotations

from typing import Any

import msgspec

SOCKET = "control"
"""The socket's name in the home."""
ROWS_MAX = 500
"""Rows of one answer."""


class GetStatus(msgspec.Struct, array_like=True, frozen=True, tag="status"):
    """What the kernel is, and how much is in it."""


class ListProcesses(msgspec.Struct, array_like=True, frozen=True, tag="ps"):
    """At most ROWS_MAX processes with a pid above `after`, by pid."""

    after: int = 0


class InspectProcess(msgspec.Struct, array_like=True, frozen=True, tag="inspect"):
    """Everything about one process."""

    pid: int


class SignalProcess(msgspec.Struct, array_like=True, frozen=True, tag="signal"):
    """Signal it, by number."""

    pid: int
    signal: int


class WaitProcess(msgspec.Struct, array_like=True, frozen=True, tag="wait"):
    """Answered when it has ended."""

    pid: int


class ListIncidents(msgspec.Struct, array_like=True, frozen=True, tag="incidents"):
    """What needs a person: the ROWS_MAX oldest."""


class SettleIncident(msgspec.Struct, array_like=True, frozen=True, tag="settle"):
    """Decide what needs a person: `retry`, `skip`, or `give` with the result. `n` is as ListIncidents gave it."""

    pid: int
    n: int
    choice: str
    value: Any = None


Command = (
    GetStatus | ListProcesses | InspectProcess | SignalProcess | WaitProcess | ListIncidents | SettleIncident
)  # fmt: skip


class Envelope(msgspec.Struct, array_like=True, frozen=True):
    """A request whose command is not decoded yet, so that an unknown one can be answered by its number."""

    n: int
    command: msgspec.Raw


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """An answer; see the module."""

    n: int
    errno: str
    value: msgspec.Raw


class Status(msgspec.Struct, kw_only=True):
    """A kernel, or a home in which none runs (`os_pid` 0)."""

    version: str
    os_pid: int
    home: str
    confined: bool
    head: int
    """The number of the journal's last entry."""
    time_ns: int
    processes: int
    running: int
    ready: int
    incidents: int
    running_max: int
    let_go: int = 0
    """How many runs have ended and left the table; the journal has their records."""


class ProcessRow(msgspec.Struct, kw_only=True):
    """A line of `ps`."""

    pid: int
    parent: int
    run: int
    name: str
    state: str
    reason: str
    status: int
    pledge: list[str]
    calls: int
    denials: int
    tokens: int
    cost_usd_micros: int
    cpu_us: int = 0
    """With what its descendants took that are reaped."""
    run_us: int = 0
    wait_us: int = 0


class OpenRow(msgspec.Struct, kw_only=True):
    """A call that has no result yet."""

    n: int
    call: str
    opened_ns: int
    subject: int
    doubt: bool


class IncidentRow(msgspec.Struct, kw_only=True):
    """Something that needs a person; `n` is 0 where it is about the process itself, and minus the entry that opened it
    where it is about a call that nobody waits for any more."""

    pid: int
    n: int
    kind: str
    name: str
    call: str
    since_ns: int


class Inspection(msgspec.Struct, kw_only=True):
    """Everything about one process. Times are the kernel's, 0 for what has not been; digests are in hexadecimal."""

    pid: int
    parent: int
    run: int
    name: str
    kind: str
    program: str
    source: str
    state: str
    reason: str
    status: int
    signal: int
    incarnation: int
    depth: int
    pledge: list[str]
    unveil: dict[str, str]
    model: str
    limits: dict[str, int]
    open: list[OpenRow]
    children: list[int]
    usage: dict[str, int]
    denied: dict[str, int]
    incidents: list[IncidentRow]
    now_ns: int
    spawned_ns: int
    started_ns: int
    ended_ns: int
    spawned_seq: int
    tail: int
    """The last entry of its record."""
    ended_seq: int


class Ended(msgspec.Struct, kw_only=True):
    """The end of a process."""

    pid: int
    status: int
    signal: int
    reason: str
    result: Any
    error: Any


ANSWERS: dict[type[Command], Any] = {
    GetStatus: Status,
    ListProcesses: list[ProcessRow],
    InspectProcess: Inspection,
    SignalProcess: None,
    WaitProcess: Ended,
    ListIncidents: list[IncidentRow],
    SettleIncident: None,
}
"""What each command is answered with."""

decode_envelope = msgspec.msgpack.Decoder(Envelope).decode
decode_command = msgspec.msgpack.Decoder(Command).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
_encode = msgspec.msgpack.encode


def encode_message(message: tuple[object, ...]) -> bytes:
    """A request `(n, command)` or a reply `(n, errno, value)` with its length in front."""
    body = _encode(message)
    return len(body).to_bytes(4, "little") + body
