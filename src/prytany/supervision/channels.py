"""Channels: by which people are told, and what each has still to tell. A fold, and what follows from it.

What came up is tallied by kind. It becomes notices one by one, until a channel was told so many of a kind in a period;
what comes up beyond that is told together, in one notice with a count, when the period is over. So a storm is a notice
a period, and nothing of it is lost. Who decides asks `Channel.openings`; what was decided comes back as an event.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits

_MS = 1_000_000


class Failing(msgspec.Struct, array_like=True):
    """How an agent's processes failed and were begun again."""

    times: list[int] = []
    """The last of them."""
    count: int = 0
    """Since the last storm was told."""
    since_ns: int = 0
    quiet_ns: int = 0
    """Until when no storm is told."""


class Tally(msgspec.Struct, array_like=True):
    """What came up of one kind and is in no notice yet; `about` is the first of it."""

    since_ns: int
    count: int = 0
    about: list[ev.Subject] = []


class Window(msgspec.Struct, array_like=True, frozen=True):
    """Until then so many more of a kind are told one by one."""

    until_ns: int
    left: int


class Notice(msgspec.Struct, array_like=True):
    """One notice that was not delivered. `seq` is the last entry that says something of it."""

    number: int
    kind: str
    count: int
    since_ns: int
    about: list[ev.Subject]
    id: str
    opened_ns: int
    seq: int
    attempts: int = 0
    next_ns: int = 0
    """When it is tried next."""
    cause: str = ""
    """Why the last attempt failed."""


class Opening(msgspec.Struct, frozen=True):
    """A notice that is due."""

    kind: str
    count: int
    since_ns: int
    about: list[ev.Subject]
    until_ns: int
    left: int


class Channel(msgspec.Struct, array_like=True):
    """One way to tell people of one fleet."""

    at: int
    """Its place in the fleet's list."""
    label: str
    kinds: list[str]
    definition: bytes
    tallies: dict[str, Tally] = {}
    windows: dict[str, Window] = {}
    waiting: dict[int, Notice] = {}
    given_up: dict[int, Notice] = {}
    """The last of those that could not be delivered, for people to look at."""
    forgotten: int = 0
    """How many were given up before those."""
    delivered: int = 0

    @property
    def busy(self) -> bool:
        """It has something to tell."""
        return bool(self.tallies or self.waiting)

    def hear(self, kind: str, time_ns: int, subject: ev.Subject) -> bool:
        """Something of that kind came up; whether this tells of such."""
        if kind not in self.kinds:
            return False
        tally = self.tallies.get(kind)
        if tally is None:
            tally = self.tallies[kind] = Tally(time_ns)
        tally.count += 1
        if len(tally.about) < limits.NOTICES_A_PERIOD:
            tally.about.append(subject)
        return True

    def openings(self, now_ns: int, *, flush: bool = False) -> Iterator[Opening]:
        """The notices that are due; with `flush`, whatever was told in this period already."""
        room = limits.NOTICES_WAITING_MAX - len(self.waiting)
        for kind, tally in self.tallies.items():
            window = self.windows.get(kind)
            if window is None or now_ns >= window.until_ns:
                window = Window(now_ns + limits.NOTICE_PERIOD_MS * _MS, limits.NOTICES_A_PERIOD)
            until_ns, left = window.until_ns, window.left
            if room <= 0 or (not left and not flush):
                continue
            if tally.count > min(left, len(tally.about), room):
                yield Opening(kind, tally.count, tally.since_ns, list(tally.about), until_ns, 0)
                room -= 1
                continue
            for subject in tally.about:
                left -= 1
                room -= 1
                yield Opening(kind, 1, tally.since_ns, [subject], until_ns, left)

    def due(self, now_ns: int, durable: int) -> Notice | None:
        """The oldest notice that is to be tried now, of what is recorded up to entry `durable`."""
        return next((n for n in self.waiting.values() if n.next_ns <= now_ns and n.seq <= durable), None)

    def next_ns(self) -> int | None:
        """When something is due by the time alone; None where that is never."""
        times = [n.next_ns for n in self.waiting.values() if n.next_ns]
        if len(self.waiting) < limits.NOTICES_WAITING_MAX:
            times += [window.until_ns for kind in self.tallies if (window := self.windows.get(kind)) is not None]
        return min(times, default=None)

    def opened(self, seq: int, time_ns: int, e: ev.NoticeOpened) -> None:
        """Fold a notice."""
        self.windows[e.kind] = Window(e.until_ns, e.left)
        self.waiting[e.notice] = Notice(e.notice, e.kind, e.count, e.since_ns, e.about, e.id, time_ns, seq)
        tally = self.tallies.get(e.kind)
        if tally is not None:
            tally.count -= e.count
            tally.about = tally.about[len(e.about) :]
            if tally.count <= 0:
                del self.tallies[e.kind]

    def missed(self, seq: int, e: ev.NoticeMissed) -> None:
        """Fold an attempt that failed."""
        notice = self.waiting.get(e.notice)
        if notice is None:
            return
        notice.seq, notice.attempts, notice.cause, notice.next_ns = seq, e.attempt, e.cause, e.until_ns
        if not e.until_ns:
            self.given_up[e.notice] = self.waiting.pop(e.notice)
            if len(self.given_up) > limits.NOTICES_GIVEN_UP_MAX:
                del self.given_up[next(iter(self.given_up))]
                self.forgotten += 1

    def retried(self, seq: int, number: int) -> None:
        """Fold that it is tried again."""
        notice = self.given_up.pop(number, None) or self.waiting.get(number)
        if notice is not None:
            notice.seq, notice.attempts, notice.next_ns = seq, 0, 0
            self.waiting[number] = notice

    def dropped(self, number: int) -> None:
        """Fold that nobody is told of it any more."""
        self.given_up.pop(number, None)
        self.waiting.pop(number, None)
