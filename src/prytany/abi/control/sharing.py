"""What processes share, as an operator asks of it: locks, and segments with their versions."""

from __future__ import annotations

import msgspec

QUEUE_SHOWN_MAX = 50
"""Of those who have a lock, and of those who wait for it, in an answer: the first."""


class ListLocks(msgspec.Struct, array_like=True, frozen=True, tag="locks"):
    """At most ROWS_MAX locks that somebody has or waits for, by scope and name, after that `scope/name`."""

    after: str = ""


class BreakLock(msgspec.Struct, array_like=True, frozen=True, tag="locks break"):
    """Take a lock from all who have it, with what each of them was granted together with it; whoever is next has it.

    They are not told: their numbers of the grant are below the next one's. Answered with how many had it. `scope` may
    be "" where the name is of one scope only.
    """

    name: str
    scope: str = ""


class ListSegments(msgspec.Struct, array_like=True, frozen=True, tag="shared"):
    """At most ROWS_MAX shared segments, by scope and name, after that `scope/name`."""

    after: str = ""


SharingLook = ListLocks | ListSegments
SharingCommand = SharingLook | BreakLock


class ClaimRow(msgspec.Struct, kw_only=True):
    """One process in the line of a lock."""

    pid: int
    name: str
    """Of the process."""
    n: int
    """The call that asked."""
    shared: bool
    fence: int
    """The number of the grant; 0 while it waits."""
    since_ns: int


class LockRow(msgspec.Struct, kw_only=True):
    """A lock that somebody has or waits for."""

    scope: str
    """`run:PID` or `fleet:NUMBER`."""
    where: str
    """The same for people: of what run, or the fleet's name."""
    name: str
    permits: int
    """Of a semaphore; 0 for a lock."""
    held: int
    waiting: int
    holders: list[ClaimRow]
    waiters: list[ClaimRow]


class SegmentRow(msgspec.Struct, kw_only=True):
    """A shared segment."""

    scope: str
    where: str
    name: str
    version: int
    size_bytes: int
    pid: int
    """Who wrote it last."""
    writer: str
    """Its name; "" where it has left the table."""
    written_ns: int
    waiting: int
    """How many wait for a change of it."""
    entry: int
    """In which its value lies."""
    value: str
    """The value's digest, in hexadecimal."""
