"""One process, as the fold knows it.

Everything here is plain data, so that a snapshot is its encoding. It holds nothing that a replay could not rebuild,
and no content. Units are in the names.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class State(StrEnum):
    """Where a process stands. `waiting` is shown by `view`, from the calls that a running process has open."""

    CREATED = "created"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPED = "stopped"
    TERMINATED = "terminated"


WAITS = {"process_wait": "process", "timer_wait": "timer"}
"""Calls that wait for others, and need no place meanwhile; with what for."""


class OpenCall(msgspec.Struct, array_like=True):
    """A call whose intent is recorded and whose result is not. `doubt` says that its effect may have happened."""

    call: str
    argument: bytes
    seq: int
    subject: int = 0
    doubt: bool = False


class Usage(msgspec.Struct, array_like=True):
    """What a process took, itself only."""

    calls: int = 0
    denials: int = 0
    model_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd_micros: int = 0
    model_us: int = 0
    cpu_us: int = 0


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
    signals: int = 0
    """How many items of its record answer no call."""
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
    usage: Usage = msgspec.field(default_factory=Usage)

    @property
    def alive(self) -> bool:
        """Not terminated."""
        return self.state is not State.TERMINATED

    @property
    def idle(self) -> bool:
        """It runs, and nothing happens in it until something reaches it: it can do without a worker."""
        return self.tail == self.idle_seq != 0 and all(call.call in WAITS for call in self.open.values())

    def took_all(self, n: int, items: int) -> bool:
        """Whether a worker that makes call `n`, and was handed `items`, has all that its record holds.

        Each call before `n` is open, or was answered by one item; a denial that waits to be recorded counts as one that
        was not handed over yet.
        """
        return items == n - 1 - len(self.open) + self.signals

    def shown_state(self) -> tuple[State, str]:
        """State and reason as people see them: a running process whose oldest open call waits for others is waiting."""
        if self.state is State.RUNNING and self.open:
            oldest = self.open[min(self.open)]
            if oldest.doubt:
                return State.WAITING, "an outcome in doubt"
            waits = WAITS.get(oldest.call)
            if waits is None:
                return State.RUNNING, oldest.call
            return State.WAITING, f"{waits} {oldest.subject}" if waits == "process" else waits
        return self.state, self.reason
