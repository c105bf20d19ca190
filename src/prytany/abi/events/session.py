"""Events of sessions: a person, the agent that they talk with, and what ends with it."""

from __future__ import annotations

import msgspec


class SessionOpened(msgspec.Struct, array_like=True, frozen=True, tag="session.opened/1"):
    """Somebody talks with the agent that is spawned in the same entry; the session has that process's number.

    `user` is the name that they gave, which nobody has checked; `uid` is theirs, as the operating system knows it. One
    that is not `kept` is closed when it has been without them for `grace_ms`.
    """

    session: int
    uid: int
    user: str
    fleet: str
    agent: str
    kept: bool
    grace_ms: int


class SessionKept(msgspec.Struct, array_like=True, frozen=True, tag="session.kept/1"):
    """It outlives those who talk in it, or does so no more."""

    session: int
    kept: bool
    uid: int


class SessionClosing(msgspec.Struct, array_like=True, frozen=True, tag="session.closing/1"):
    """Its processes were told to end, and have a time for it."""

    session: int
    uid: int
    reason: str


class SessionClosed(msgspec.Struct, array_like=True, frozen=True, tag="session.closed/1"):
    """Its agent has ended, and with it all that it started."""

    session: int
    reason: str
