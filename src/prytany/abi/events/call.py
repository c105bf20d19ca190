"""Events of system calls. Together with starts and signals they are a process's record."""

from __future__ import annotations

import msgspec

from prytany.abi.events.digest import Digest


class CallDone(msgspec.Struct, array_like=True, frozen=True, tag="call.done/1"):
    """A call that was decided at once: asked and answered in one entry."""

    pid: int
    n: int
    call: str
    argument: Digest
    errno: str
    result: Digest
    prev: int
    spared: bool = False
    """The argument's content was not kept: other events hold what it said, or it was too large."""


class CallOpened(msgspec.Struct, array_like=True, frozen=True, tag="call.opened/1"):
    """The intent of a call that takes time."""

    pid: int
    n: int
    call: str
    argument: Digest
    prev: int
    subject: int = 0
    """What it waits for, where that is a number: a pid or a time in nanoseconds."""
    idle: bool = False
    """The worker had taken everything that the record holds, and did nothing after this call."""
    spared: bool = False
    """As of a call that was decided at once; then its effect needs none of it."""


class CallClosed(msgspec.Struct, array_like=True, frozen=True, tag="call.closed/1"):
    """The result of an opened call, at the place of the record where the program learns it."""

    pid: int
    n: int
    errno: str
    result: Digest
    prev: int


class CallPiece(msgspec.Struct, array_like=True, frozen=True, tag="call.piece/1"):
    """What a streamed call gave since its last piece, at the place of the record where the program learns it."""

    pid: int
    n: int
    piece: Digest
    prev: int


class CallPaced(msgspec.Struct, array_like=True, frozen=True, tag="call.paced/1"):
    """An open call waits for its turn at its agent's bytes a second, or waits no longer. In the entry of its intent,
    or after it; nothing of it begins while it waits."""

    pid: int
    n: int
    waits: bool


class CallDoubted(msgspec.Struct, array_like=True, frozen=True, tag="call.doubted/1"):
    """The call's effect was begun before a crash, and nobody knows whether it happened."""

    pid: int
    n: int


class CallAbandoned(msgspec.Struct, array_like=True, frozen=True, tag="call.abandoned/1"):
    """Nobody waits for the call any more, and its effect may have happened: its process cancels it, ends or begins
    again, which stands in the same entry, after this. What became of the effect is for a person to find out."""

    pid: int
    n: int


class CallSettled(msgspec.Struct, array_like=True, frozen=True, tag="call.settled/1"):
    """Somebody said what becomes of a call that could not go on by itself: `retry`, `skip` or `give`.

    It answers nothing itself: a call that is skipped or given its result is closed in the same entry. `uid` is the
    operator's, -1 where a rule or the kernel settled it. `later` says that no kernel ran: the effect is not begun
    before the next one carries the settlement out, so the doubt stays until then.
    """

    pid: int
    n: int
    choice: str
    uid: int = -1
    later: bool = False


class CallsDenied(msgspec.Struct, array_like=True, frozen=True, tag="call.denied/1"):
    """The gate refused. `ns` counts the calls: the first alone, repeats of it together with whatever comes next."""

    pid: int
    call: str
    errno: str
    ns: list[int]
    prev: int
    again: bool = False
    """Repeats: each was answered at the time of the item before it, since it had no entry of its own."""
    cause: str = ""
    """Which bound refused, where it was a quota: `process`, `tenant` or `history`."""
