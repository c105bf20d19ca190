"""The sessions of a shard: a fold of who talks with which agent.

    opened ─▶ closing ─▶ closed ─▶ let go with its process
       └────────────────────▲   the agent ended by itself

A session has the number of the process that it began with, as a run has that of its root: what ends with it is that
run. So there are never more of them than processes in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import KernelPanic


class Session(msgspec.Struct, array_like=True):
    """One session. Times are the kernel's, 0 for what has not been."""

    number: int
    uid: int
    user: str
    fleet: str
    agent: str
    kept: bool
    grace_ms: int
    begun_ns: int
    spoken_ns: int = 0
    """When a person last said something in it, or was answered."""
    spoken_seq: int = 0
    """The entry in which a person last said something."""
    closing_ns: int = 0
    closed_ns: int = 0
    reason: str = ""
    """Why it was closed."""

    @property
    def open(self) -> bool:
        """People can talk in it."""
        return not (self.closing_ns or self.closed_ns)


class Sessions(msgspec.Struct):
    """By number. Invariant: `live` is how many of them are not closed."""

    sessions: dict[int, Session] = {}
    live: int = 0

    def opened(self, seq: int, time_ns: int, e: ev.SessionOpened) -> None:
        """Fold a new one."""
        self.sessions[e.session] = Session(e.session, e.uid, e.user, e.fleet, e.agent, e.kept, e.grace_ms, time_ns)
        self.live += 1

    def was_kept(self, seq: int, time_ns: int, e: ev.SessionKept) -> None:
        """Fold that it outlives its people, or does not."""
        self._require(e.session).kept = e.kept

    def closing(self, seq: int, time_ns: int, e: ev.SessionClosing) -> None:
        """Fold that it is being ended."""
        session = self._require(e.session)
        session.closing_ns, session.reason = time_ns, e.reason

    def closed(self, seq: int, time_ns: int, e: ev.SessionClosed) -> None:
        """Fold its end."""
        session = self._require(e.session)
        if session.closed_ns:
            raise KernelPanic(f"session {e.session} is closed, and an event closes it again")
        session.closed_ns, session.reason = time_ns, e.reason
        self.live -= 1

    def handed_off(self, seq: int, time_ns: int, e: ev.ProcessHandedOff) -> None:
        """Fold that people talk with another agent in it."""
        session = self.sessions.get(e.pid)
        if session is not None:
            session.agent = e.agent

    def sent(self, seq: int, time_ns: int, e: ev.MessageSent) -> None:
        """Fold that somebody spoke, if it was a person, to the agent of a session."""
        session = self.sessions.get(e.receiver)
        if session is not None and e.sender < 0:
            session.spoken_ns, session.spoken_seq = time_ns, seq

    def replied(self, seq: int, time_ns: int, e: ev.MessageReplied) -> None:
        """Fold that the agent answered."""
        session = self.sessions.get(e.pid)
        if session is not None:
            session.spoken_ns = time_ns

    def reaped(self, seq: int, time_ns: int, e: ev.ProcessReaped) -> None:
        """Fold that its process has left the table: nobody asks for it again."""
        session = self.sessions.pop(e.pid, None)
        if session is not None and not session.closed_ns:
            self.live -= 1

    def _require(self, number: int) -> Session:
        session = self.sessions.get(number)
        if session is None:
            raise KernelPanic(f"an event names session {number}, which there is not")
        return session


FOLDS: dict[type, Callable[[Sessions, int, int, Any], None]] = {
    ev.SessionOpened: Sessions.opened,
    ev.SessionKept: Sessions.was_kept,
    ev.SessionClosing: Sessions.closing,
    ev.SessionClosed: Sessions.closed,
    ev.ProcessHandedOff: Sessions.handed_off,
    ev.MessageSent: Sessions.sent,
    ev.MessageReplied: Sessions.replied,
    ev.ProcessReaped: Sessions.reaped,
}
