"""Locks: who has a named resource, and who waits for it, in the order of the journal.

A resource is a line. It has a capacity, and each claim in it takes some of that: a semaphore's permit takes one of as
many as it has; of a lock, who shares it takes one and who has it alone takes all. A claim that comes joins the end of
the lines of all its resources at once, and has its place in a line as soon as those before it leave room. It is
granted when it has its place in all of them. So nobody is passed, writers do not starve, claims of several resources
cannot wait for each other, and once a place is had nothing takes it away but the claim's own end.

    claimed ─▶ waits ─▶ due ─▶ granted ─▶ released          or its call ends, or its process does

Invariants: the places that are had in a line take no more than its capacity, and the first that waits does not fit;
a claim is due when it has all its places and was not granted; a line that nobody is in does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import msgspec

from prytany.abi import events as ev

ALONE = 1 << 30
"""The capacity of a lock, which who has it alone takes whole."""


class Line(msgspec.Struct, array_like=True):
    """One resource. The keys are tickets; both are in the order in which they joined."""

    capacity: int
    taken: int = 0
    has: dict[int, int] = {}
    """Who has its place here, though it may still wait elsewhere, to how much it takes."""
    waits: dict[int, int] = {}


class Claim(msgspec.Struct, array_like=True):
    """What call `n` of a process asked for, and what it has once `fence` is set."""

    pid: int
    n: int
    scope: str
    takes: dict[str, int]
    """By name in the scope."""
    lacks: int = 0
    """In how many lines it has no place yet."""
    fence: int = 0
    """The number of its grant, which is above that of every grant before; 0 while it waits."""
    since_ns: int = 0
    """Since when it waits, or has it."""


class Waited(NamedTuple):
    """A line in which a claim waits for its place."""

    name: str
    key: str
    ticket: int
    room: int
    """How much those before it may take at most."""
    before: Callable[[], Iterator[tuple[Claim, int]]]
    """Who they are, with what they take; those who have their place come first."""


class Locks(msgspec.Struct):
    """All lines of a shard, by `scope/name`."""

    lines: dict[str, Line] = {}
    claims: dict[int, Claim] = {}
    """By ticket, which says in which order they came."""
    waiting: dict[int, dict[int, int]] = {}
    """Process, then call, to the ticket of a claim that waits."""
    held: dict[int, dict[int, int]] = {}
    """Process, then fence, to the ticket of a claim that was granted."""
    due: dict[int, None] = {}
    """Tickets of those that can be granted."""
    tickets: int = 0
    fences: int = 0
    permits: dict[str, dict[str, int]] = {}
    """Scope, then name, of semaphores: how many permits each has, from its first use until the scope ends."""

    def room(self, key: str, takes: int) -> bool:
        """Whether a claim that takes so much of a resource would have its place at once."""
        line = self.lines.get(key)
        return line is None or (not line.waits and line.taken + takes <= line.capacity)

    def count(self, pid: int) -> int:
        """How many claims a process has, granted or not."""
        return len(self.waiting.get(pid, ())) + len(self.held.get(pid, ()))

    def holding(self, pid: int, fence: int) -> Claim | None:
        """What a process was granted by that number, if it still has it."""
        ticket = self.held.get(pid, _NOTHING).get(fence)
        return None if ticket is None else self.claims[ticket]

    def granted_by(self, pid: int, n: int) -> Claim | None:
        """What call `n` of a process was granted, if it still has it. Looks through what it has."""
        tickets = self.held.get(pid, _NOTHING).values()
        return next((claim for ticket in tickets if (claim := self.claims[ticket]).n == n), None)

    def before(self, pid: int, n: int) -> Iterator[Waited]:
        """For a call that waits, each line that it has no place in."""
        ticket = self.waiting.get(pid, _NOTHING).get(n)
        if ticket is None:
            return
        claim = self.claims[ticket]
        for name, takes in claim.takes.items():
            line = self.lines[f"{claim.scope}/{name}"]
            if ticket in line.waits:
                key = f"{claim.scope}/{name}"
                yield Waited(name, key, ticket, line.capacity - takes, partial(self._before, line, ticket))

    def _before(self, line: Line, ticket: int) -> Iterator[tuple[Claim, int]]:
        for other, takes in line.has.items():
            yield self.claims[other], takes
        for other, takes in line.waits.items():
            if other == ticket:
                return
            yield self.claims[other], takes

    def behind(self, pid: int) -> Iterator[tuple[str, int, Iterator[int]]]:
        """Each line that a process is in, its ticket there, and which processes wait behind it, the last first."""
        for tickets in (self.held.get(pid, _NOTHING), self.waiting.get(pid, _NOTHING)):
            for ticket in tickets.values():
                claim = self.claims[ticket]
                for name in claim.takes:
                    key = f"{claim.scope}/{name}"
                    yield key, ticket, self._behind(self.lines[key], ticket)

    def _behind(self, line: Line, ticket: int) -> Iterator[int]:
        for other in reversed(line.waits):
            if other <= ticket:
                return
            yield self.claims[other].pid

    # Folds.

    def claimed(self, now_ns: int, e: ev.LockClaimed) -> None:
        """Fold a claim: it joins its lines, and is granted at once where the event says so."""
        self.tickets = ticket = self.tickets + 1
        takes = dict.fromkeys(e.names, 1 if e.permits else ALONE)
        for name in e.shared:
            takes[name] = 1
        if e.permits:
            self.permits.setdefault(e.scope, {}).update(dict.fromkeys(e.names, e.permits))
        claim = self.claims[ticket] = Claim(e.pid, e.n, e.scope, takes, 0, e.fence, now_ns)
        for name, takes_here in takes.items():
            key = f"{e.scope}/{name}"
            line = self.lines.get(key)
            if line is None:
                line = self.lines[key] = Line(e.permits or ALONE)
            if not line.waits and line.taken + takes_here <= line.capacity:
                line.has[ticket] = takes_here
                line.taken += takes_here
            else:
                line.waits[ticket] = takes_here
                claim.lacks += 1
        if e.fence:
            self.fences = e.fence
            self.held.setdefault(e.pid, {})[e.fence] = ticket
        else:
            self.waiting.setdefault(e.pid, {})[e.n] = ticket
            if not claim.lacks:
                self.due[ticket] = None

    def granted(self, now_ns: int, e: ev.LockGranted) -> None:
        """Fold that who waited has it."""
        ticket = self._no_more(self.waiting, e.pid, e.n)
        if ticket is None:
            return
        self.due.pop(ticket, None)
        claim = self.claims[ticket]
        claim.fence, claim.since_ns = e.fence, now_ns
        self.fences = e.fence
        self.held.setdefault(e.pid, {})[e.fence] = ticket

    def released(self, now_ns: int, e: ev.LockReleased) -> None:
        """Fold that a process let go of what it was granted, or an operator did for it."""
        ticket = self._no_more(self.held, e.pid, e.fence)
        if ticket is not None:
            self._leave(ticket)

    def closed(self, now_ns: int, e: ev.CallClosed) -> None:
        """Fold the end of a call: a claim that was not granted by then never is."""
        if e.pid in self.waiting and (ticket := self._no_more(self.waiting, e.pid, e.n)) is not None:
            self._leave(ticket)

    def ended(self, pid: int) -> None:
        """Fold the end of a process, or that its program begins again, and knows nothing of what it had."""
        for tickets in (self.waiting.pop(pid, None), self.held.pop(pid, None)):
            for ticket in tickets.values() if tickets else ():
                self._leave(ticket)

    def scope_ended(self, scope: str) -> None:
        """Fold that nobody is left who could name what is in a scope."""
        self.permits.pop(scope, None)

    def _no_more(self, of: dict[int, dict[int, int]], pid: int, number: int) -> int | None:
        tickets = of.get(pid)
        ticket = tickets.pop(number, None) if tickets is not None else None
        if tickets is not None and not tickets:
            del of[pid]
        return ticket

    def _leave(self, ticket: int) -> None:
        claim = self.claims.pop(ticket)
        self.due.pop(ticket, None)
        for name in claim.takes:
            key = f"{claim.scope}/{name}"
            line = self.lines[key]
            if (takes := line.has.pop(ticket, 0)) > 0:
                line.taken -= takes
            else:
                del line.waits[ticket]
            if line.waits:
                self._let_in(line)
            elif not line.has:
                del self.lines[key]

    def _let_in(self, line: Line) -> None:
        """Whoever is next in a line has its place there, as long as there is room."""
        while line.waits:
            ticket = next(iter(line.waits))
            takes = line.waits[ticket]
            if line.taken + takes > line.capacity:
                return
            del line.waits[ticket]
            line.has[ticket] = takes
            line.taken += takes
            claim = self.claims[ticket]
            claim.lacks -= 1
            if not claim.lacks:
                self.due[ticket] = None


_NOTHING: dict[int, int] = {}

FOLDS: dict[type, Callable[[Locks, int, ev.Event], None]] = {
    ev.LockClaimed: Locks.claimed,  # type: ignore[dict-item]
    ev.LockGranted: Locks.granted,  # type: ignore[dict-item]
    ev.LockReleased: Locks.released,  # type: ignore[dict-item]
    ev.CallClosed: Locks.closed,  # type: ignore[dict-item]
}
"""What this room folds, with the kernel's time; ends of processes and scopes beside it."""
