"""A breaker an endpoint: who fails again and again is left alone, and then asked once.

    closed ── failures ──▶ open ── its time ──▶ half open ── the probe succeeds ──▶ closed
                             ▲                      │
                             └──── the probe fails ─┘        the time doubles

It counts what says that the endpoint is ill (no connection, no answer in time, no sense in the answer), one after the
other without a success; what says that a request was wrong, or that there were too many, is none of its affair.

Source: Nygard, "Release It!", 2007, "Circuit Breaker".
"""

from __future__ import annotations

from enum import StrEnum

FAILURES = frozenset({"unreachable", "timeout", "overloaded", "garbage", "interrupted", "crashed"})
"""Kinds of `ModelFailure` that count."""
FAILURES_MAX = 5
OPEN_NS = 1_000_000_000
DOUBLINGS_MAX = 6


class State(StrEnum):
    """What people see."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class Breaker:
    """See the module.

    Attributes:
        since_ns: when it opened last; 0 for never.
        cause: the kind of the failure that opened it.
    """

    def __init__(self) -> None:
        self.since_ns = 0
        self.cause = ""
        self._failures = 0
        self._opened = 0
        """How often in a row."""
        self._probe_ns = 0
        """When it may be asked again; 0 while it is closed."""
        self._probing = 0
        """The key of the call that is the probe, plus one."""

    def state(self, now_ns: int) -> State:
        """Where it stands."""
        if not self._probe_ns:
            return State.CLOSED
        return State.HALF_OPEN if self._probing or now_ns >= self._probe_ns else State.OPEN

    def ready_ns(self, now_ns: int) -> int | None:
        """When a call may begin: now or later; None while only the end of another can tell."""
        if self._probing:
            return None
        return max(now_ns, self._probe_ns)

    def begun(self, key: int) -> None:
        """A call begins. Of an open one, it is the probe."""
        if self._probe_ns:
            self._probing = key + 1

    def succeeded(self, key: int) -> None:
        """A call was answered, or refused with good sense: the endpoint is there."""
        self._failures = 0
        if self._probe_ns and self._probing == key + 1:
            self._opened = self._probe_ns = self._probing = 0
            self.cause = ""

    def failed(self, key: int, kind: str, now_ns: int) -> None:
        """A call came to nothing for one of `FAILURES`."""
        probe = self._probing == key + 1
        if probe:
            self._probing = 0
        elif self._probe_ns:
            return  # it had begun before, and says nothing new
        self._failures += 1
        if probe or self._failures >= FAILURES_MAX:
            self._probe_ns = now_ns + (OPEN_NS << min(self._opened, DOUBLINGS_MAX))
            self._opened += 1
            self._failures = 0
            self.since_ns, self.cause = now_ns, kind

    def gone(self, key: int) -> None:
        """A call ended and nobody knows how: of the probe, another has to be made."""
        if self._probing == key + 1:
            self._probing = 0
