"""The wait-for graph: who can go on, and who waits for each other in a circle.

A process waits when it has calls open and its program does nothing until one of them ends. A call *needs* something
where it waits for certain processes to act: it goes on as soon as, for all that it needs, those it waits for leave
room. Somebody who waits for a lock that one other has needs that one; who waits for a permit of a semaphore needs any
of those who have one; a caller needs whoever is to reply.

A set of processes is deadlocked when none of its members can go on before another of them does: each call of each
needs something that its fellows alone keep it from. Everything else, a timer, a message, a person, a model, a running
tool, may end by itself, and so whoever waits for that can go on. A time limit changes nothing of that: until it passes,
nobody of the set goes on, and who hears of a deadlock sooner loses nothing by it.

A deadlock can only come about by a wait that begins, so it is looked for from there: along what that process waits for,
and against it along those who wait for it, a step here and a step there, until one of the two ends, which means that
there is none. So it costs the smaller of the two, whoever else waits. Those who wait in one line are followed once, and
not again from each of them.

Source: the AND-OR graph of resource and communication waits, Chandy, Misra and Haas, TOCS 1983; the fixpoint is the
reduction of Holt, Computing Surveys 1972.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple

STEPS_MAX = 200_000
"""Edges that one look follows: some tenths of a second. Beyond it no deadlock is found."""


class Need(NamedTuple):
    """What one call waits for: that those before it leave room."""

    of: Callable[[], Iterator[tuple[int, int]]]
    """Processes, and how much each takes; those that are likeliest to keep it first."""
    room: int = 0
    """The most that they may take for it to go on."""
    line: Hashable = None
    """Where they wait behind each other, and the call behind all of them: which line that is."""
    place: int = 0
    """The call's in it: whoever has a higher one stands behind."""


class Behind(NamedTuple):
    """Some who wait for a process, and perhaps some who do not."""

    of: Iterator[int]
    line: Hashable = None
    place: int = 0
    """As of a need: they stand behind that place of the line."""


Calls = Mapping[int, Sequence[Need]]
"""Open calls, to what each needs; it goes on when it needs nothing any more."""
CallsOf = Callable[[int], Calls | None]
"""What a process waits for; None where it can go on by itself."""
BehindOf = Callable[[int], Iterator[Behind]]
"""Who waits for a process."""


class Wait(NamedTuple):
    """One step of a circle: call `n` of a process waits for the next one of it."""

    pid: int
    n: int


class _Graph:
    """One look."""

    def __init__(self, calls_of: CallsOf) -> None:
        self._calls_of = calls_of
        self._known: dict[int, Calls | None] = {}
        self.steps = 0

    def calls(self, pid: int) -> Calls | None:
        """What it waits for, asked once."""
        if pid not in self._known:
            self._known[pid] = self._calls_of(pid)
        return self._known[pid]

    def ahead(self, start: int) -> Iterator[int]:
        """Each process that is met from `start` on along what processes wait for, as often as it is."""
        seen, left = {start}, deque([start])
        lines: dict[Hashable, int] = {}
        while left:
            for needs in (self.calls(left.popleft()) or {}).values():
                for need in needs:
                    if need.line is not None and lines.get(need.line, -1) >= need.place:
                        continue  # all of these were met, by way of somebody behind
                    lines[need.line] = need.place
                    for other, _ in need.of():
                        self.steps += 1
                        yield other
                        if other not in seen:
                            seen.add(other)
                            left.append(other)

    def blocked(self, pid: int, among: set[int]) -> list[int] | None:
        """Those of a set who keep all calls of a process from going on; None where they do not."""
        keep: list[int] = []
        for needs in (self.calls(pid) or {}).values():
            by = next((found for need in needs if (found := self.kept(need, among)) is not None), None)
            if by is None:
                return None
            keep += by
        return keep

    def kept(self, need: Need, among: set[int]) -> list[int] | None:
        """Those of a set who are enough to keep one need from being met; None where they are not."""
        found: list[int] = []
        taken = 0
        for other, takes in need.of():
            self.steps += 1
            if other in among:
                found.append(other)
                taken += takes
                if taken > need.room:
                    return found
        return None


def find_deadlock(start: int, calls_of: CallsOf, behind: BehindOf) -> list[Wait] | None:
    """A shortest circle of those who are deadlocked, since `start` began to wait; None where it is not.

    Args:
        start: a process.
        calls_of: what each waits for.
        behind: who waits for each.
    """
    graph = _Graph(calls_of)
    if not graph.calls(start) or not _meets(graph, start, behind):
        return None
    members = _deadlocked(graph, start)
    return None if start not in members else _circle(graph, start, members)


def _meets(graph: _Graph, start: int, behind: BehindOf) -> bool:
    """Whether whom `start` waits for may wait for it in turn. Costs the smaller of the two directions."""
    ways = deque((graph.ahead(start), _back_along(start, behind)))
    while graph.steps < STEPS_MAX:
        way = ways[0]
        ways.rotate()
        try:
            if next(way) == start:
                return True
        except StopIteration:
            return False
        graph.steps += 1
    return False


def _back_along(start: int, behind: BehindOf) -> Iterator[int]:
    """Each process that is met from `start` on along who waits for whom, as often as it is."""
    seen, left = {start}, deque([start])
    lines: dict[Hashable, int] = {}
    while left:
        for some in behind(left.popleft()):
            if some.line is not None and lines.get(some.line, some.place + 1) <= some.place:
                continue
            lines[some.line] = some.place
            for other in some.of:
                yield other
                if other not in seen:
                    seen.add(other)
                    left.append(other)


def _deadlocked(graph: _Graph, start: int) -> set[int]:
    """All whom `start` waits for, itself among them, less those who can go on, those who can then, and so on."""
    members = {pid for pid in (start, *graph.ahead(start)) if graph.calls(pid)}
    keeps: dict[int, list[int]] = {}
    left = deque(sorted(members))
    while left and graph.steps < STEPS_MAX:
        pid = left.popleft()
        if pid not in members:
            continue
        kept_by = graph.blocked(pid, members)
        if kept_by is None:
            members.remove(pid)
            left += keeps.pop(pid, ())
        else:
            for other in kept_by:
                keeps.setdefault(other, []).append(pid)
    return set() if left else members


def _circle(graph: _Graph, start: int, members: set[int]) -> list[Wait]:
    """From `start` along those who keep each other, the shortest way back; or the first circle that is met."""
    came: dict[int, Wait] = {}
    left = deque([start])
    while left:
        at = left.popleft()
        for n, needs in (graph.calls(at) or {}).items():
            for need in needs:
                for other in dict.fromkeys(graph.kept(need, members) or ()):
                    if other == start:
                        return _back(came, Wait(at, n), start)
                    if other not in came:
                        came[other] = Wait(at, n)
                        left.append(other)
    return _first(graph, start, members)


def _back(came: dict[int, Wait], last: Wait, start: int) -> list[Wait]:
    way = [last]
    while way[-1].pid != start:
        way.append(came[way[-1].pid])
    return way[::-1]


def _first(graph: _Graph, start: int, members: set[int]) -> list[Wait]:
    way: list[Wait] = []
    at, seen = start, dict[int, int]()
    while at not in seen:
        seen[at] = len(way)
        n, needs = next(iter((graph.calls(at) or {}).items()))
        way.append(Wait(at, n))
        at = next(found[0] for need in needs if (found := graph.kept(need, members)))
    return way[seen[at] :]
