"""Flow: bytes a second of a fleet and of its agents. What would flow faster waits for its turn, and is never refused.

A call begins when its agent's meter lets it and, of those for which that is so, when it is its turn at the fleet's
meter: `sharing` says whose that is, and nobody passes who has it. Either rate may be none. What a call takes is known
when it begins. What it brings is not: so much is counted as such calls of its agent brought of late, at first a
second's worth, and it is put right when it is there. So many calls at once are not all begun before the first has shown
what it costs.

    made ─▶ its agent's line ─▶ the agent's meter ─▶ sharing ─▶ the fleet's meter ─▶ it begins, and counts in both
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

from prytany.scheduling.meter import Meter
from prytany.scheduling.ranked import Ranked
from prytany.scheduling.sharing import Agent, Call, Line, Sharing, Wanted


class Flying(NamedTuple):
    """A call under way whose result is to be counted."""

    line: Line
    expected: int
    weight: int


class Flow:
    """One fleet's."""

    def __init__(self, number: int, rate: int) -> None:
        self.number = number
        self.meter = Meter(rate)
        self._agents: dict[Hashable, Agent] = {}
        self._lines: dict[int, Line] = {}
        self._waiting: dict[Call, Line] = {}
        self._flying: dict[Call, Flying] = {}
        self._later: Ranked[int] = Ranked()
        """Lines, by when their agents' meters let them."""
        self._sharing = Sharing()

    def __len__(self) -> int:
        return len(self._waiting)

    def agent(self, name: Hashable, rate: int, now_ns: int) -> Agent:
        """An agent of it, at its rate as it is now."""
        agent = self._agents.get(name)
        if agent is None:
            agent = self._agents[name] = Agent(rate, rate or self.meter.rate)
        elif agent.meter.rate != rate:
            agent.meter.change(rate, now_ns)
        return agent

    def add(self, agent: Agent, qos: int, call: Call, wanted: Wanted) -> None:
        """A call waits."""
        line = agent.lines.get(qos)
        if line is None:
            line = agent.lines[qos] = self._lines[len(self._lines)] = Line(len(self._lines), agent, qos)
        line.calls[call] = wanted
        self._waiting[call] = line
        if len(line.calls) == 1:
            self._place(line)

    def next(self, now_ns: int, only: Call | None = None) -> Call | None:
        """The call that begins now, and does; where that is `only`, if that is said."""
        line = self._first(now_ns)
        if line is None or self.meter.ready_ns(line.size) > now_ns or only not in (None, line.head):
            return None
        call, size = line.head, line.size
        self._sharing.drop(line)
        wanted = line.calls.pop(call)
        del self._waiting[call]
        line.agent.meter.begin(size, now_ns)
        self.meter.begin(size, now_ns)
        self._sharing.begin(line, size, wanted.weight)
        if wanted.brings:
            self._flying[call] = Flying(line, line.agent.expected, wanted.weight)
        if line.calls:
            self._place(line)
        return call

    def is_flying(self, call: Call) -> bool:
        """Whether it is under way, and its result is to be counted."""
        return call in self._flying

    def settle(self, call: Call, brought: int, now_ns: int) -> bool:
        """A call under way has brought so many bytes; whether that is less than it was counted as."""
        if (flying := self._flying.pop(call, None)) is None:
            return False
        line, expected, agent = flying.line, flying.expected, flying.line.agent
        agent.meter.settle(expected, brought, now_ns)
        self.meter.settle(expected, brought, now_ns)
        agent.learn(brought)
        self._sharing.settle(line, brought - expected, flying.weight)
        for own in agent.lines.values():
            if own.number in self._later:
                self._place(own)
        return brought < expected

    def leave(self, call: Call) -> None:
        """A call waits no longer, or brings nothing more; what it was expected to bring stays counted."""
        self._flying.pop(call, None)
        if (line := self._waiting.pop(call, None)) is not None:
            was_head = call == line.head
            del line.calls[call]
            if was_head:
                self._sharing.drop(line)
                self._later.drop(line.number)
                if line.calls:
                    self._place(line)

    def change(self, rate: int, rate_of: Callable[[Hashable], int], now_ns: int) -> None:
        """Other rates from now on: the fleet's, and its agents', by their names. Looks at all of them."""
        self.meter.change(rate, now_ns)
        for name, agent in self._agents.items():
            agent.meter.change(rate_of(name), now_ns)
            for line in agent.lines.values():
                if line.calls:
                    self._sharing.drop(line)
                    self._place(line)

    def when(self, now_ns: int) -> int | None:
        """When to ask for the `next`: nobody begins before, as things are. None where nobody waits."""
        first, later = self._first(now_ns), self._later.first()
        own_ns = None if later is None else self._later.rank(later)
        if first is None:
            return own_ns
        shared_ns = self.meter.ready_ns(first.size)
        return shared_ns if own_ns is None else min(shared_ns, own_ns)

    def is_new(self, now_ns: int) -> bool:
        """Whether it is as good as new: nobody waits or is under way, and nothing is owed."""
        if self._waiting or self._flying or self.meter.paid_ns > now_ns:
            return False
        return all(agent.meter.paid_ns <= now_ns for agent in self._agents.values())

    def standing(self, call: Call, now_ns: int) -> tuple[Call, int, int, bool] | None:
        """Of a call that waits: which call begins before it, or itself where it is next; from when on; the rate that
        holds that one, and whether it is its agent's. None where it does not wait."""
        if (line := self._waiting.get(call)) is None:
            return None
        own_ns, rate = line.agent.meter.ready_ns(line.size), line.agent.meter.rate
        if own_ns > max(now_ns, self.meter.ready_ns(line.size)):
            return line.head, own_ns, rate, True
        first = self._first(now_ns) or line
        return first.head, self.meter.ready_ns(first.size), self.meter.rate, False

    def _place(self, line: Line) -> None:
        self._later.put(line.number, line.agent.meter.ready_ns(line.size))

    def _first(self, now_ns: int) -> Line | None:
        """Whose turn it is, of those whose agents' meters let them."""
        while True:
            while (number := self._later.first()) is not None and self._later.rank(number) <= now_ns:
                self._later.drop(number)
                self._sharing.put(self._lines[number])
            line = self._sharing.first()
            if line is None or line.agent.meter.ready_ns(line.size) <= now_ns:
                return line
            self._sharing.drop(line)  # another class of its agent was served meanwhile
            self._place(line)
