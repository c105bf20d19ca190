"""Whose turn it is among those who wait for the same bytes a second: the classes in their order, and fair shares inside
each.

An agent's calls of one class are a line, first come, first served. Inside a class the line is next that was served
least: bytes over weight, counted from where the others stood when it came, so that nobody saves up turns by waiting for
nothing. While higher classes wait as well, a class that waits has one byte for each `PASSED` of theirs, however large
its calls are: so a person is hardly held up by background work, and background work is not starved.

Bound: what two lines that always wait were served differs by at most the largest call of each over its weight (Goyal,
theorem 1). O(log n) of the lines.

Source: Goyal, Vin and Cheng, "Start-time Fair Queueing", SIGCOMM 1996; the reserved share is as in `policies.classes`,
and counted in bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from prytany.abi.qos import Qos
from prytany.scheduling.meter import Meter
from prytany.scheduling.ranked import Ranked

PASSED = 9
UNIT = 720_720
"""Of a counter, a byte; all weights up to 16 divide it."""
MEMORY = 8
"""What is expected falls by one part in so many of the difference, and rises at once."""
Call = tuple[int, int]
"""Process and number."""


class Wanted(NamedTuple):
    """What a call takes, and whether it brings something."""

    size: int
    """Bytes."""
    brings: bool
    weight: int = 1
    """Its share beside the others of its class."""


class Agent:
    """Whose calls they are: its own rate, what a call of it is expected to bring, and its lines, by class."""

    __slots__ = ("expected", "lines", "meter")

    def __init__(self, rate: int, expected: int) -> None:
        self.meter = Meter(rate)
        self.expected = expected
        self.lines: dict[int, Line] = {}

    def learn(self, brought: int) -> None:
        """A call brought so many bytes."""
        less = self.expected - brought
        self.expected = brought if less < 0 else self.expected - less // MEMORY


class Line:
    """The calls of one agent and one class that wait, oldest first."""

    __slots__ = ("agent", "calls", "counter", "number", "qos")

    def __init__(self, number: int, agent: Agent, qos: int) -> None:
        self.number = number
        self.agent = agent
        self.qos = qos
        self.calls: OrderedDict[Call, Wanted] = OrderedDict()
        self.counter = 0
        """What it was served, in units over weight."""

    @property
    def head(self) -> Call:
        """The call that is next of it."""
        return next(iter(self.calls))

    @property
    def size(self) -> int:
        """Bytes that its head is counted as when it begins."""
        wanted = self.calls[self.head]
        return wanted.size + (self.agent.expected if wanted.brings else 0)


class Sharing:
    """The lines that are ready but for what they share."""

    def __init__(self) -> None:
        self._lines: dict[int, Line] = {}
        self._ready: tuple[Ranked[int], ...] = tuple(Ranked() for _ in Qos)
        self._floor = [0] * len(self._ready)
        """The highest counter at which a line of the class began a call."""
        self._passed = [0] * len(self._ready)
        """Bytes of higher classes that began while the class waited."""

    def __len__(self) -> int:
        return len(self._lines)

    def put(self, line: Line) -> None:
        """A line waits for its turn."""
        self._lines[line.number] = line
        line.counter = max(line.counter, self._floor[line.qos])
        self._ready[line.qos].put(line.number, line.counter)

    def drop(self, line: Line) -> None:
        """It waits no longer, if it did."""
        if self._lines.pop(line.number, None) is not None:
            self._ready[line.qos].drop(line.number)
            if not self._ready[line.qos]:
                self._passed[line.qos] = 0

    def first(self) -> Line | None:
        """Whose turn it is."""
        found: Line | None = None
        for qos, ready in enumerate(self._ready):
            if (number := ready.first()) is not None:
                line = self._lines[number]
                if found is None or self._passed[qos] >= PASSED * line.size:
                    found = line
        return found

    def begin(self, line: Line, size: int, weight: int) -> None:
        """A call of it begins, of so many bytes."""
        floor = self._floor[line.qos] = max(self._floor[line.qos], line.counter)
        line.counter = floor + size * UNIT // weight
        for qos in range(line.qos + 1, len(self._ready)):
            if self._ready[qos]:
                self._passed[qos] += size
        self._passed[line.qos] = max(0, self._passed[line.qos] - PASSED * size)

    def settle(self, line: Line, more: int, weight: int) -> None:
        """A call of it was so many bytes more than it was counted as."""
        line.counter += more * UNIT // weight
        if line.number in self._lines:
            self._ready[line.qos].put(line.number, line.counter)
