"""One process, as the fold knows it.

Everything here is plain data, so that a snapshot is its encoding. It holds nothing that a replay could not rebuild,
and no content. Units are in the names.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from prytany.abi.errors import KernelPanic
from prytany.abi.qos import Qos


class State(StrEnum):
    """Where a process stands. `waiting` is shown by `view`, from the calls that a running process has open."""

    CREATED = "created"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPED = "stopped"
    TERMINATED = "terminated"


WAITS = {
    "process_wait": "process",
    "timer_wait": "timer",
    "message_receive": "message",
    "message_next": "message",
    "message_call": "reply",
    "message_send": "room",
    "lock_acquire": "lock",
    "tool_hold": "resource",
    "segment_wait": "segment",
    "group_wait": "children",
    "pipe_read": "input",
    "pipe_write": "room in a pipe",
}
"""Calls that wait for others, and need no place meanwhile; with what for."""
RECEIVES = frozenset({"message_receive", "message_next"})
"""Calls that take a message."""
PACED = "bytes a second"
"""What a call waits for that would take more than its agent may."""


class Reservation(msgspec.Struct, array_like=True, frozen=True):
    """The most that one attempt at a model call can take."""

    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd_micros: int
    priced: bool | None = None
    """Whether the model's price is known."""
    endpoint: str = ""
    """The kernel's name of the model; "" in records of before there were queues."""


class OpenCall(msgspec.Struct, array_like=True):
    """A call whose intent is recorded and whose result is not. `doubt` says that its effect may have happened,
    `pieces` how many of a stream were recorded."""

    call: str
    argument: bytes
    seq: int
    subject: int = 0
    doubt: bool = False
    opened_ns: int = 0
    settled: str = ""
    """What was said of it while no kernel ran; the next kernel carries it out."""
    pieces: int = 0
    reserved: Reservation | None = None
    asking: bool = False
    """An attempt at its model may be under way: where the kernel dies, it is lost."""
    tool: str = ""
    started: bool = False
    """Its tool was begun; until then it waits for a resource that another call has."""
    queued_ns: int = 0
    """Since when it waits for its turn at a model; 0 while it does not. Then nothing is set aside for it."""
    paced: bool = False
    """It waits for its agent's bytes a second."""

    @property
    def waits(self) -> bool:
        """Whether it waits for others, and needs no place meanwhile."""
        return self.call in WAITS or self.queued_ns > 0 or self.paced or (self.call == "tool_call" and not self.started)

    @property
    def shown(self) -> str:
        """What people read: the call, and which tool."""
        return f"{self.call} {self.tool}" if self.tool else self.call


class Abandoned(msgspec.Struct, array_like=True):
    """A call that nobody waits for any more, and whose effect may have happened. It outlives its process."""

    pid: int
    n: int
    run: int
    name: str
    """Of the process."""
    call: str
    """As people read it."""


class Usage(msgspec.Struct, array_like=True):
    """What a process took, itself only; and what its open model calls may still take, set aside."""

    calls: int = 0
    denials: int = 0
    model_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd_micros: int = 0
    model_us: int = 0
    cpu_us: int = 0
    run_us: int = 0
    """Time in which it ran or waited for a model or a file, up to its last change of state."""
    wait_us: int = 0
    """Time in which all that it had open waited for others, or for a time."""
    reserved_prompt_tokens: int = 0
    reserved_completion_tokens: int = 0
    reserved_usd_micros: int = 0
    queued_us: int = 0
    """Time that its calls waited for their turns at models."""

    def add(self, other: Usage) -> None:
        """Count in what another took."""
        for field in self.__struct_fields__:
            setattr(self, field, getattr(self, field) + getattr(other, field))


class Process(msgspec.Struct, array_like=True):
    """A running agent. Invariant: `open` is empty once it is terminated, and `tail` is the last entry of its record."""

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
    depth: int
    spawned_ns: int
    spawned_seq: int
    model: str = ""
    state: State = State.CREATED
    reason: str = ""
    incarnation: int = 0
    tail: int = 0
    idle_seq: int = 0
    """The entry of its record after which its worker had nothing to do; it is idle while that is the last one."""
    unasked: int = 0
    """How many items of its record end no call: signals, and pieces of streams."""
    started_ns: int = 0
    ended_ns: int = 0
    ended_seq: int = 0
    status: int = 0
    signal: int = 0
    result: bytes = b""
    children: dict[int, None] = {}
    open: dict[int, OpenCall] = {}
    waiters: dict[int, int] = {}
    """Who waits for its end: caller's pid to the number of the call."""
    denied: dict[str, int] = {}
    """Denials so far, a call and errno."""
    journal_bytes: int = 0
    """What it put into the journal: records and contents."""
    history_from: int = 0
    """`usage.calls` when this incarnation began, or its record was cut."""
    refused_from: int = 0
    """`usage.denials` when this incarnation began, or its record was cut."""
    forgotten: bool = False
    """Its content was destroyed."""
    warned: dict[str, int] = {}
    """Bounds that this incarnation came near, and how far it was."""
    usage: Usage = msgspec.field(default_factory=Usage)
    restarts: int = 0
    """How many times it may be restarted; `failures` is how many times it failed."""
    failures: int = 0
    asked: int = 0
    """The signal that asked this incarnation to end, or 0."""
    epoch: int = 0
    """How many times its program began again: a worker of an earlier one has nothing to say any more."""
    cut_seq: int = 0
    """The record holds the entries after this one, and starts at its time; 0 for all of the incarnation."""
    cut_ns: int = 0
    base: int = 0
    """How many calls of the incarnation were made before the cut."""
    cut_unasked: int = 0
    """`unasked` at the cut."""
    snapshot: bytes = b""
    """Digest of the state that its program begins from, in entry `snapshot_seq`; empty for none."""
    snapshot_seq: int = 0
    pending: bytes = b""
    """The source that it moves to at its next message boundary."""
    previous: bytes = b""
    """The source that it goes back to if this one cannot take its state over."""
    incidents: dict[int, str] = {}
    """What of it needs a person: the number of the call (0: the process itself) to the kind."""
    below: Usage = msgspec.field(default_factory=Usage)
    """What its descendants took that are reaped."""
    busy: int = 0
    """Open calls that wait for nobody."""
    waiting: bool = False
    mark_ns: int = 0
    """Since when it runs or waits; 0 when it does neither."""
    python: str = ""
    environment: str = ""
    spawned_by: int = 0
    """The parent that it was born with, and is told of at each start; `parent` is 0 once that is reaped."""
    restart_ns: int = 0
    """When it begins again, where it failed; 0 when it has begun."""
    kin: int = 0
    """Of a root: how many others of its run are in the table."""
    pending_program: str = ""
    """Where `pending` is from, if from elsewhere."""
    previous_program: str = ""
    """Where `previous` is from."""
    reaped: int = 0
    """How many descendants of it were reaped; what they took is in `below`."""
    tags: list[str] = []
    """What what it takes is told apart by."""
    qos: int = Qos.UTILITY
    weight: int = 1
    deadline_ns: int = 0
    """When its model calls have to begin at the latest; 0 where nobody said."""
    qos_most: int = Qos.UTILITY
    """The most urgent class that it may give itself: what it was started with, or an operator said last."""
    weight_most: int = 1
    above: int = 0
    """Of an orphan: who of those that it descends from is nearest, and still in the table or left a bounded tree; 0 for
    nobody."""
    wards: dict[int, None] = {}
    """The orphans of which it is that, and those who left their trees."""
    bounded: bool = False
    """Somebody bounded what it and all below it may take."""
    handed: bytes = b""
    """Digest of what it was given, in entry `handed_seq`, when it became this agent; empty for who always was."""
    handed_seq: int = 0
    handed_by: str = ""
    """The agent that it was before."""
    handed_context: int = 0
    handoffs: int = 0
    """How many times in a row it became another agent and did nothing."""
    handoff_asked: int = 0
    """`usage.model_calls` at the last."""

    def link(self, seq: int, prev: int) -> None:
        """Entry `seq` is the next of its record, and says that `prev` was the last; raises KernelPanic when it was not.

        Several events of one entry may belong to one record; the link of all of them goes to the entry before.
        """
        if prev != self.tail and seq != self.tail:
            raise KernelPanic(f"the record of process {self.pid} links to entry {prev}, and its tail is {self.tail}")
        self.tail = seq

    def account(self, now_ns: int, *, goes_on: bool = True) -> None:
        """Count the time since the last change of what it does, if this is one."""
        waiting, goes_on = not self.busy and bool(self.open), goes_on and self.state is State.RUNNING
        if goes_on and self.mark_ns and waiting == self.waiting:
            return
        if self.mark_ns:
            span_us = (now_ns - self.mark_ns) // 1000
            if self.waiting:
                self.usage.wait_us += span_us
            else:
                self.usage.run_us += span_us
        self.waiting, self.mark_ns = waiting, now_ns if goes_on else 0

    def needs_place(self) -> bool:
        """Whether it does anything: it runs, and not all that it has asked for waits for others or for a person."""
        if self.state is not State.RUNNING:
            return False
        if not self.busy:
            return not self.open
        for n, call in self.open.items():
            if not call.waits and n not in self.incidents and not call.doubt:
                return True
        return not self.open

    @property
    def alive(self) -> bool:
        """Not terminated."""
        return self.state is not State.TERMINATED

    @property
    def history(self) -> int:
        """Calls of its record."""
        return self.usage.calls - self.history_from

    @property
    def untouched(self) -> bool:
        """Nothing has reached it since it first started, and it has asked for nothing: its record is empty."""
        return self.incarnation == 1 and not (self.usage.calls or self.usage.denials or self.unasked or self.epoch)

    @property
    def idle(self) -> bool:
        """It runs, and nothing happens in it until something reaches it: it can do without a worker."""
        return self.tail == self.idle_seq != 0 and not self.needs_place()

    def took_all(self, n: int, items: int, unasked_before: int) -> bool:
        """Whether a worker that makes its call `n`, and was handed `items`, has all that its record holds, which begins
        after `unasked_before` of the items that end no call.

        Each call before `n` is open, or was answered by one item; a denial that waits to be recorded counts as one that
        was not handed over yet.
        """
        return items == n - 1 - len(self.open) + self.unasked - unasked_before

    def shown_state(self) -> tuple[State, str]:
        """State and reason as people see them: a running process whose oldest open call waits for others is waiting."""
        if self.state is State.RUNNING and self.open:
            n = min(self.open)
            oldest = self.open[n]
            if oldest.doubt:
                return State.WAITING, "an outcome in doubt"
            if n in self.incidents:
                return State.WAITING, f"a person: {self.incidents[n]}"
            if oldest.queued_ns and oldest.reserved is not None:
                return State.WAITING, f"its turn at {oldest.reserved.model}"
            if oldest.paced:
                return State.WAITING, PACED
            waits = WAITS.get(oldest.call)
            if waits is None:
                return State.RUNNING, oldest.shown
            return State.WAITING, f"{waits} {oldest.subject}" if waits == "process" else waits
        return self.state, self.reason
