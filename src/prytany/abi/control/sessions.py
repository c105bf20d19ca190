"""Sessions, as an operator tells a kernel of them and is told."""

from __future__ import annotations

import msgspec

from prytany.abi.budgets import Budget

SESSION_ENDED = "its session ended"
"""The reason of the end of a process that did as it was told when its session was ended."""


class OpenSession(msgspec.Struct, array_like=True, frozen=True, tag="session open"):
    """Start a chat agent of the fleet of that name for `user`; answered with the session. One that is not `kept` is
    closed when nobody has attended it for `grace_ms`."""

    fleet: str
    agent: str
    user: str
    kept: bool
    grace_ms: int
    tags: tuple[str, ...] = ()
    budget: Budget | None = None
    """Of its run; None, or `KEPT` in it, for what its fleet says, or else what every run has."""


class AttendSession(msgspec.Struct, array_like=True, frozen=True, tag="session attend"):
    """Be there for as long as this is not answered, which it is when the session is closed, and the connection
    lives."""

    session: int


class LeaveSession(msgspec.Struct, array_like=True, frozen=True, tag="session leave"):
    """One of those who attend it goes, and says so: with the last, a session that is not kept is closed at once.
    Answered with whether it was."""

    session: int


class KeepSession(msgspec.Struct, array_like=True, frozen=True, tag="session keep"):
    """It outlives those who attend it, or does so no more."""

    session: int
    kept: bool


class CloseSession(msgspec.Struct, array_like=True, frozen=True, tag="session close"):
    """End it, kept or not: its processes get TERM, a time to tidy up, and KILL."""

    session: int


class ListSessions(msgspec.Struct, array_like=True, frozen=True, tag="sessions"):
    """At most ROWS_MAX sessions with a number above `after`, by number; with those that have ended and whose process is
    still in the table."""

    after: int = 0


SessionCommand = OpenSession | AttendSession | LeaveSession | KeepSession | CloseSession | ListSessions


class SessionRow(msgspec.Struct, kw_only=True):
    """One session. Times are the kernel's, 0 for what has not been."""

    session: int
    """The pid of its agent's process as well."""
    state: str
    """`open`, `closing` or `closed`."""
    user: str
    """As they gave it."""
    uid: int
    fleet: str
    agent: str
    kept: bool
    grace_ms: int
    attended: int
    """By how many, now; 0 where no kernel runs."""
    processes: int
    """Those that end with it: its agent's, and what that started and is still in the table."""
    unanswered: int
    """Messages that lie before its agent or are in hand."""
    begun_ns: int
    spoken_ns: int
    spoken_seq: int
    """The entry in which a person last said something."""
    closing_ns: int
    closed_ns: int
    reason: str
    """Why it was closed."""
