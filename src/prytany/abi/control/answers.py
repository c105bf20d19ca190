"""What a kernel says of itself, of its processes and of its fleets."""

from __future__ import annotations

from typing import Any

import msgspec


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
    since_ns: int = 0
    """When this kernel began; 0 where none runs."""
    models: list[str] = []
    """The names of those that it has open; "" is the default one's."""
    fleets: list[FleetRow] = []
    """The ROWS_MAX oldest."""
    notices_waiting: int = 0
    """Notices that were opened, and not delivered yet."""
    notices_given_up: int = 0
    """Those that could not be delivered."""
    states: dict[str, int] = {}
    """How many processes are in which state, as `ps` shows it."""
    lacking: list[str] = []
    """What cannot be had of the secrets of its fleets, a line each."""


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
    queued_us: int = 0
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
    fleet: str = ""
    """The name of its fleet, and which agent of it that is; "" where it is of none."""
    agent: str = ""
    tags: list[str] = []
    session: int = 0
    """That which it ends with, or 0."""
    qos: str = ""
    """Its class of service."""
    weight: int = 1
    deadline_ns: int = 0
    """When its model calls have to begin at the latest; 0 for no time."""
    queued_us: int = 0
    """How long its calls waited for their turns at models, those that still do among them."""
    restart: str = ""
    """Which of its ends are not for good, where somebody supervises it."""
    strategy: str = ""
    """How it supervises, where it does; with `intensity` restarts in `period_ms`, and how many there were in all."""
    intensity: int = 0
    period_ms: int = 0
    tree_restarts: int = 0
    pool: list[int] = []
    """Of a pool: how many members it has at the least and at the most; its `children` are they, and what waits lies in
    its `mailbox`."""


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
    tags: list[str] = []
    session: int = 0
    """That which it ends with, or 0."""
    qos: str = ""
    weight: int = 1
    deadline_ns: int = 0
    queued_us: int = 0
    accounts: list[str] = []
    """The budgets that its calls are set aside in."""


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


class Prepared(msgspec.Struct, kw_only=True):
    """What a journal can begin with once older entries are removed."""

    seq: int
    """The entry at which the state was taken."""
    state: bytes
    """Digest of that state."""
    kept: int
    """Older entries that stay, since something needs them."""


class Removed(msgspec.Struct, kw_only=True):
    """What has left the journal."""

    entries: int
    freed_bytes: int


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


class ChannelRow(msgspec.Struct, kw_only=True):
    """One way to tell people of a fleet, at its place in the fleet's list, and how many notices it had."""

    at: int
    label: str
    kinds: list[str]
    delivered: int
    waiting: int
    given_up: int


class NoticeRow(msgspec.Struct, kw_only=True):
    """A notice that was not delivered; or, with number 0, what is held back to be told together.

    `state`: `waiting` for its next attempt at `next_ns` (0: now), `given up`, or `held back` until `next_ns`.
    """

    notice: int
    fleet: str
    at: int
    """The channel's place in the fleet's list."""
    channel: str
    kind: str
    count: int
    state: str
    opened_ns: int
    next_ns: int
    attempts: int = 0
    cause: str = ""
    """Why the last attempt failed."""
    id: str = ""


class FleetRow(msgspec.Struct, kw_only=True):
    """One fleet. One that does not stay goes with its last process."""

    number: int
    name: str
    stays: bool
    agents: dict[str, str]
    """By name, what each is for."""
    models: list[str]
    processes: int
    channels: list[ChannelRow] = []
    entry: str = ""
    """The agent that is talked with where none is named; "" where it was not looked up."""
    chats: list[str] = []
    """The agents that can be talked with; none where it was not looked up."""


class Said(msgspec.Struct, kw_only=True):
    """One thing that a process said, or that became of it, in entry `seq`.

    `said`: somebody sent it message `number` (`value`: `uid`, `type` and `body`). `piece`: a piece of a model's text
    (`value`). `reply`: its reply to message `number`; with `errno`, why there is
    none. `model`: a model is asked, `number` is the call. `tool`: a tool is called (`value`). `incident`: it needs a
    person (`value`). `stopped`: it stands still (`value` is why). `done`: it
    is done with message `number`, replied to or not. `ended`: it has ended.
    """

    seq: int
    kind: str
    number: int = 0
    errno: str = ""
    value: Any = None
    forgotten: bool = False
    """What was said was destroyed by an operator's command: `value` holds nothing of it."""


class Heard(msgspec.Struct, kw_only=True):
    """What was said up to entry `last`."""

    last: int
    said: list[Said]
