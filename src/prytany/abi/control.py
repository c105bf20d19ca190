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
ROW_CALLS_MAX = 8
"""Open calls in one row of `ps`: the oldest."""


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


class ForgetProcess(msgspec.Struct, array_like=True, frozen=True, tag="forget"):
    """Destroy the content of an ended process; answered when it is destroyed."""

    pid: int


class CollectContent(msgspec.Struct, array_like=True, frozen=True, tag="collect"):
    """Destroy the content of processes that ended before that time, some at a time; answered when that is done."""

    before_ns: int = 0
    """0 is the time for which ended runs are kept in the table."""


class SendMessage(msgspec.Struct, array_like=True, frozen=True, tag="send"):
    """Put a message of that type into its mailbox; answered with the message's number."""

    pid: int
    kind: str
    body: Any = None


class UpgradeProcess(msgspec.Struct, array_like=True, frozen=True, tag="upgrade"):
    """Move a `Server` to its program as it is on disk now, or to `program`: the same class in another file."""

    pid: int
    program: str = ""


class StartAgent(msgspec.Struct, array_like=True, frozen=True, tag="start"):
    """Start an agent of the fleet of that name, as the root of a run; answered with its pid."""

    fleet: str
    agent: str
    kwargs: dict[str, Any] = {}
    function: str = ""
    """Another one of its program than the agent's own."""


class BringFleet(msgspec.Struct, array_like=True, frozen=True, tag="bring"):
    """Bring a resolved fleet, packed, which stays until it is withdrawn; or say only what that would change."""

    fleet: bytes
    dry_run: bool = False


class WithdrawFleet(msgspec.Struct, array_like=True, frozen=True, tag="withdraw"):
    """Take the fleet of that name down: nothing of it is started any more, and with `end` its processes are asked to
    end (TERM)."""

    name: str
    end: bool = True


class ListFleets(msgspec.Struct, array_like=True, frozen=True, tag="fleets"):
    """The fleets that are there."""


class FollowProcess(msgspec.Struct, array_like=True, frozen=True, tag="listen"):
    """Answered with what a process said and what became of it after entry `after`, once that is anything."""

    pid: int
    after: int


class AwaitEntry(msgspec.Struct, array_like=True, frozen=True, tag="follow"):
    """Answered with the number of the last durable entry once that is above `after`."""

    after: int


Command = (
    GetStatus | ListProcesses | InspectProcess | SignalProcess | WaitProcess | ListIncidents | SettleIncident
    | ForgetProcess | CollectContent | SendMessage | UpgradeProcess | AwaitEntry | StartAgent | BringFleet
    | WithdrawFleet | ListFleets | FollowProcess
)  # fmt: skip
Unbounded = WaitProcess | ForgetProcess | CollectContent | AwaitEntry | BringFleet | FollowProcess
"""Those whose answer takes as long as it takes."""


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


class UsageRow(msgspec.Struct, kw_only=True):
    """What one process took, or several. The `reserved` stands for what their open model calls may still take."""

    processes: int = 1
    calls: int = 0
    denials: int = 0
    model_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd_micros: int = 0
    model_us: int = 0
    cpu_us: int = 0
    run_us: int = 0
    wait_us: int = 0
    reserved_prompt_tokens: int = 0
    reserved_completion_tokens: int = 0
    reserved_usd_micros: int = 0

    def add(self, other: UsageRow) -> None:
        """Count in what another took."""
        for field in self.__struct_fields__:
            setattr(self, field, getattr(self, field) + getattr(other, field))


class MailboxRow(msgspec.Struct, kw_only=True):
    """How many messages a process has: not taken yet, taken and not done, and put aside."""

    waiting: int = 0
    in_hand: int = 0
    dead: int = 0


class OpenRow(msgspec.Struct, kw_only=True):
    """A call that has no result yet."""

    n: int
    call: str
    opened_ns: int
    subject: int
    doubt: bool
    waits: str = ""
    """What for; "" while it is being done."""


class ProcessRow(msgspec.Struct, kw_only=True):
    """A line of `ps`. Times are the kernel's, 0 for what has not been."""

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
    wall_us: int = 0
    """From its first start to its end, or until now."""
    kind: str = ""
    program: str = ""
    source: str = ""
    """Digest of the program's text, in hexadecimal: its version."""
    model: str = ""
    unveil: dict[str, str] = {}
    incarnation: int = 0
    failures: int = 0
    restarts: int = 0
    """How many times it may be restarted."""
    children: int = 0
    open: list[OpenRow] = []
    """The ROW_CALLS_MAX oldest of `open_calls`."""
    open_calls: int = 0
    mailbox: MailboxRow = msgspec.field(default_factory=MailboxRow)
    contexts: int = 0
    incidents: int = 0
    journal_bytes: int = 0
    spawned_ns: int = 0
    started_ns: int = 0
    ended_ns: int = 0
    forgotten: bool = False
    usage: UsageRow = msgspec.field(default_factory=UsageRow)
    """Its own."""
    below: UsageRow = msgspec.field(default_factory=UsageRow)
    """What its descendants took that are reaped."""
    tree: UsageRow | None = None
    """Of a root: what its whole run took, the reaped and itself included. `Client.ps` adds it up."""


class IncidentRow(msgspec.Struct, kw_only=True):
    """Something that needs a person; `n` is 0 where it is about the process itself, and minus the entry that opened it
    where it is about a call that nobody waits for any more."""

    pid: int
    n: int
    kind: str
    name: str
    call: str
    since_ns: int


class ContextRow(msgspec.Struct, kw_only=True):
    """A conversation that a process holds; `node` is its head's, in hexadecimal."""

    number: int
    messages: int
    size_bytes: int
    node: str


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
    usage: UsageRow
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
    wall_us: int = 0
    """From its first start to its end, or until now."""
    tree: UsageRow = msgspec.field(default_factory=UsageRow)
    """What it took with all its descendants, the reaped included."""
    used: dict[str, int] = {}
    """How far it is, of those of `limits` that are counted."""
    failures: int = 0
    """How many times it failed; `limits` says how often it is restarted."""
    warned: dict[str, int] = {}
    """Bounds that this incarnation came near, and where it stood then."""
    pending: str = ""
    """Digest of the program that it moves to at its next message boundary, in hexadecimal."""
    python: str = ""
    tools: list[str] = []
    """Those that it may call."""
    contexts: list[ContextRow] = []
    """The ROWS_MAX oldest."""
    mailbox: MailboxRow = msgspec.field(default_factory=MailboxRow)
    forgotten: bool = False
    """Its content was destroyed."""


class Ended(msgspec.Struct, kw_only=True):
    """The end of a process."""

    pid: int
    status: int
    signal: int
    reason: str
    result: Any
    error: Any


class Forgotten(msgspec.Struct, kw_only=True):
    """What was destroyed of a process, and what was not since others name it as well."""

    contents: int
    freed_bytes: int
    kept: int


class Collected(msgspec.Struct, kw_only=True):
    """What was destroyed of processes that ended long ago."""

    pids: list[int]
    contents: int
    freed_bytes: int
    kept: int
    """Pieces of content that others name as well."""
    more: bool
    """There are other processes: the same command goes on with them."""


class Upgrade(msgspec.Struct, kw_only=True):
    """What becomes of an upgrade: at once, or when the message in hand is done (`pending`)."""

    pending: bool
    program: str
    source: str
    """Digest of the new program, in hexadecimal."""


class Plan(msgspec.Struct, kw_only=True):
    """What bringing a fleet changes, or changed: names of agents and of models."""

    fleet: str
    number: int
    """0 where it is new and was not brought."""
    added: list[str] = []
    changed: list[str] = []
    removed: list[str] = []
    models: list[str] = []
    """Models that are new, changed or gone."""
    started: list[int] = []
    """The pids of what was started."""

    @property
    def empty(self) -> bool:
        """Nothing changes."""
        return not (self.added or self.changed or self.removed or self.models)


class FleetRow(msgspec.Struct, kw_only=True):
    """One fleet. One that does not stay goes with its last process."""

    number: int
    name: str
    stays: bool
    agents: dict[str, str]
    """By name, what each is for."""
    models: list[str]
    processes: int


class Said(msgspec.Struct, kw_only=True):
    """One thing that a process said, or that became of it, in entry `seq`.

    `piece`: a piece of a model's text (`value`). `reply`: its reply to message `number`; with `errno`, why there is
    none. `model`: a model is asked, `number` is the call. `tool`: a tool is called (`value`). `incident`: it needs a
    person (`value`). `ended`: it has ended.
    """

    seq: int
    kind: str
    number: int = 0
    errno: str = ""
    value: Any = None


class Heard(msgspec.Struct, kw_only=True):
    """What was said up to entry `last`."""

    last: int
    said: list[Said]


ANSWERS: dict[type[Command], Any] = {
    GetStatus: Status,
    ListProcesses: list[ProcessRow],
    InspectProcess: Inspection,
    SignalProcess: None,
    WaitProcess: Ended,
    ListIncidents: list[IncidentRow],
    SettleIncident: None,
    ForgetProcess: Forgotten,
    CollectContent: Collected,
    SendMessage: int,
    UpgradeProcess: Upgrade,
    AwaitEntry: int,
    StartAgent: int,
    BringFleet: Plan,
    WithdrawFleet: int,
    ListFleets: list[FleetRow],
    FollowProcess: Heard,
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
