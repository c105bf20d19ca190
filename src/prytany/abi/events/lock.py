"""Events of locks. Their names are the program's words for what it shares, as the types of messages are."""

from __future__ import annotations

import msgspec


class LockClaimed(msgspec.Struct, array_like=True, frozen=True, tag="lock.claimed/1"):
    """Call `n` asked for all of these at once; in its entry.

    It has them with this entry where `fence` says so, the number of its grant; else it joined the ends of their lines.
    """

    pid: int
    n: int
    scope: str
    names: list[str]
    """To have alone; or of semaphores, one permit of each."""
    shared: list[str] = []
    permits: int = 0
    """How many each of the semaphores has; 0 for locks."""
    fence: int = 0


class LockGranted(msgspec.Struct, array_like=True, frozen=True, tag="lock.granted/1"):
    """Who waited has all that it asked for; in the entry that closes its call."""

    pid: int
    n: int
    fence: int


class LockReleased(msgspec.Struct, array_like=True, frozen=True, tag="lock.released/1"):
    """A process let go of what it was granted by that number; an operator did for it where `uid` is not -1.

    The end of a process, and of what its program knows, releases all it has, without this.
    """

    pid: int
    fence: int
    uid: int = -1


class DeadlockFound(msgspec.Struct, array_like=True, frozen=True, tag="deadlock.found/1"):
    """Processes waited for each other in a circle, each for the next and the last for the first, and none of them could
    go on. Call `n` of `pid` is closed with EDEADLK in the same entry, after this."""

    pid: int
    n: int
    pids: list[int]
    ns: list[int]
    """The calls by which they waited."""
