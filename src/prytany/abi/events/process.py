"""Events of a process's life."""

from __future__ import annotations

import msgspec

from prytany.abi.events.digest import Digest


class ProcessSpawned(msgspec.Struct, array_like=True, frozen=True, tag="process.spawned/1"):
    """A process was made. `source` is the digest of the program's text; `argument` that of its packed arguments."""

    pid: int
    parent: int
    run: int
    name: str
    kind: str
    program: str
    source: Digest
    argument: Digest
    pledge: list[str]
    unveil: dict[str, str]
    seed: bytes
    uid: int = -1
    """Of the operator whose command it was; -1 where a process spawned it."""
    model: str = ""
    python: str = ""
    """The interpreter that runs it, by path; "" is the kernel's own."""
    environment: str = ""
    """What that interpreter was: version, place, and a digest of what is installed there."""
    restarts: int = 0
    """How many times the kernel restarts it when it fails."""
    fleet: int = 0
    """The number of its fleet; 0 where it is of none."""
    agent: str = ""
    """Which agent of its fleet it is, or belongs to."""
    tags: list[str] = []
    """Its own and its parent's: what it takes can be told apart by them."""
    qos: int = 2
    """Its class of service, as `prytany.abi.qos.Qos`."""
    weight: int = 1
    """Its share beside the others of its class."""


class ProcessScheduled(msgspec.Struct, array_like=True, frozen=True, tag="process.scheduled/1"):
    """From here on it is of this class, has this weight, and its model calls have to begin by `deadline_ns` (0: no
    time was said). `sender` is a pid, or -1 - uid of an operator."""

    pid: int
    qos: int
    weight: int
    deadline_ns: int
    sender: int


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


class ProcessWarned(msgspec.Struct, array_like=True, frozen=True, tag="process.warned/1"):
    """It came near a bound, once an incarnation. `what` is the bound's name (`history`), `value` how far it is."""

    pid: int
    what: str
    value: int


class ProcessExited(msgspec.Struct, array_like=True, frozen=True, tag="process.exited/1"):
    """It terminated. `signal` is what ended it from outside, or 0; `result` is the digest of what it leaves."""

    pid: int
    status: int
    signal: int
    reason: str
    result: Digest
    cpu_us: int = 0
    failed: bool = False
    """It failed by itself, and is not begun again; nobody had asked it to end."""


class ProcessAccounted(msgspec.Struct, array_like=True, frozen=True, tag="process.accounted/1"):
    """A worker of it took this, microseconds, beside what was recorded before. It may be gone, and the process put
    away, ended, or reaped since. `accounts` are the budgets that it is charged to."""

    pid: int
    run: int
    cpu_us: int
    accounts: list[str] = []
    agent: str = ""
    """Whose worker it was, where its process is another agent by now."""


class ProcessReaped(msgspec.Struct, array_like=True, frozen=True, tag="process.reaped/1"):
    """Its status was taken, or nobody is there to take it; or the run that it is the root of ended long ago. It leaves
    the table; of a root, with all that was held for its run."""

    pid: int


class ProcessFailed(msgspec.Struct, array_like=True, frozen=True, tag="process.failed/1"):
    """An incarnation failed, and the next one begins at `until_ns`: same pid and mailbox, an empty record."""

    pid: int
    incarnation: int
    status: int
    signal: int
    reason: str
    result: Digest
    until_ns: int
    cpu_us: int = 0


class ProcessExeced(msgspec.Struct, array_like=True, frozen=True, tag="process.execed/1"):
    """Its program begins again with `state`, and its record is cut here."""

    pid: int
    state: Digest
    prev: int


class ProcessUpgrading(msgspec.Struct, array_like=True, frozen=True, tag="process.upgrading/1"):
    """At its next message boundary it moves to `source`."""

    pid: int
    source: Digest
    program: str = ""
    """Where that is from, if from elsewhere than the one before."""


class ProcessUpgraded(msgspec.Struct, array_like=True, frozen=True, tag="process.upgraded/1"):
    """It runs `source` from here on, once that has taken its state over; its record is cut here."""

    pid: int
    source: Digest
    prev: int
    program: str = ""
    """Where that is from, if from elsewhere than the one before."""


class ProcessReverted(msgspec.Struct, array_like=True, frozen=True, tag="process.reverted/1"):
    """The new program could not take its state over: it goes on with the old one. `result` says why."""

    pid: int
    reason: str
    result: Digest
    prev: int
    cpu_us: int = 0
