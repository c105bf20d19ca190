"""Events of supervision: who supervises whom, how children are ended and begin again, and who is told of an end."""

from __future__ import annotations

import msgspec


class TreeDeclared(msgspec.Struct, array_like=True, frozen=True, tag="tree.declared/1"):
    """`pid` supervises its children like this, from here on. Words are those of `prytany.abi.supervision`."""

    pid: int
    strategy: str
    intensity: int
    """More restarts within the period than this, and it gives up."""
    period_ms: int
    group: bool = False
    """It has no program: it begins when it is ready, and its children with it."""


class ChildSupervised(msgspec.Struct, array_like=True, frozen=True, tag="tree.child_supervised/1"):
    """`pid`, which was spawned in this entry, is a child of `supervisor`, the last that was started."""

    pid: int
    supervisor: int
    """0 for a root, which nobody supervises: then only `progress_ms` says anything."""
    restart: str
    shutdown_ms: int
    """Between TERM and KILL."""
    progress_ms: int = 0
    """It fails when it does nothing of its own for so long; 0 for any time."""


class ChildDropped(msgspec.Struct, array_like=True, frozen=True, tag="tree.child_dropped/1"):
    """`pid` is not begun again, however it ends: who stands above it, or an operator, ends it for good."""

    pid: int


class ChildRestarted(msgspec.Struct, array_like=True, frozen=True, tag="tree.child_restarted/1"):
    """A restart of `pid` that counts."""

    supervisor: int
    pid: int


class TreeEnding(msgspec.Struct, array_like=True, frozen=True, tag="tree.ending/1"):
    """`supervisor` ends these children, in this order; then happens what `after` says, not before `until_ns`. What it
    was doing before is no more."""

    supervisor: int
    pids: list[int]
    after: str
    until_ns: int
    reason: str
    """For people."""
    signal: int = 0
    """Which signal the supervisor itself is to be told, for `term`."""


class ChildTold(msgspec.Struct, array_like=True, frozen=True, tag="tree.child_told/1"):
    """It was the turn of `pid` to end. It is killed at `kill_ns`; 0 for not yet: it supervises, and ends its own."""

    pid: int
    kill_ns: int


class TreeSettled(msgspec.Struct, array_like=True, frozen=True, tag="tree.settled/1"):
    """What `supervisor` ended has ended, and what was to happen then is in this entry."""

    supervisor: int


class ProcessCycled(msgspec.Struct, array_like=True, frozen=True, tag="process.cycled/1"):
    """An incarnation was ended, for another's failure or because it is to run for ever, and the next begins at
    `until_ns`. As `process.failed`, and no failure of its own."""

    pid: int
    incarnation: int
    reason: str
    until_ns: int
    cpu_us: int = 0


class ProcessPostponed(msgspec.Struct, array_like=True, frozen=True, tag="process.postponed/1"):
    """A process that is to begin again does so at `until_ns`, and not when it was to before."""

    pid: int
    until_ns: int


class LinkMade(msgspec.Struct, array_like=True, frozen=True, tag="link.made/1"):
    """`pid` ends when `source` ends badly; or it is only told of its end."""

    pid: int
    source: int
    told: bool


class LinkDropped(msgspec.Struct, array_like=True, frozen=True, tag="link.dropped/1"):
    """It does not any more."""

    pid: int
    source: int


class MonitorSet(msgspec.Struct, array_like=True, frozen=True, tag="monitor.set/1"):
    """`pid` is told once of the end of `target`."""

    ref: int
    pid: int
    target: int


class MonitorDropped(msgspec.Struct, array_like=True, frozen=True, tag="monitor.dropped/1"):
    """It is not any more; or it was told at once, since `target` had ended."""

    ref: int
    pid: int


class EndTold(msgspec.Struct, array_like=True, frozen=True, tag="link.told/1"):
    """What was to be said of an end, by this number, was said."""

    number: int
