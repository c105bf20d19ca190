"""Fair share by virtual token counters, with weights.

Each agent has a counter of what it was served: `PROMPT_WEIGHT` a token asked and `COMPLETION_WEIGHT` a token answered,
over its weight. Whoever has the lowest is next. An agent that comes back is lifted to the lowest of those that wait (or
to whoever left last, where nobody does), so that nobody saves up turns by asking nothing. A call is charged what it is
expected to take when it begins, and the difference when it has ended: the paper's variant with length prediction. Of an
answer no more is expected than `ANSWERS` mean ones: what a caller allows is no prediction, and whoever comes meanwhile
is lifted to what was charged, so that a call which may take a million tokens and takes a hundred would put them all
behind its agent by the rest.

Bound (Theorem 4.4): between two agents that always have calls waiting, what they were served differs by at most
`2 * max(wp * Linput, wq * M)`, with Linput the longest prompt and M the most tokens that can be under way at once.
`published_bound` computes it.

Ageing: for each `PATIENCE` mean service times that the oldest call of all has waited, its agent may be one call ahead
of the least served, and still goes first; never by more than half of what is under way. A call is one of the dearest of
late: what was dearest once is forgotten, or it would be a licence for ever. That is a lead, and not a rate:
who asks more than its share stays ahead by as much, and is then served as the others. It stays within the bound, since
calls are charged as they begin: without it, counters differ by a call, and not by all that is under way.

Source: Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024: Algorithm 2, and weighted VTC.
"""

from __future__ import annotations

from prytany.scheduling.call import Call
from prytany.scheduling.policies.lines import Lines
from prytany.scheduling.policies.policy import Moment
from prytany.scheduling.ranked import Ranked
from prytany.scheduling.words import span

PROMPT_WEIGHT = 1
COMPLETION_WEIGHT = 2
"""As the paper's, after the prices of providers."""
UNIT = 720_720
"""Of a counter, a weighted token; all weights up to 16 divide it."""
PATIENCE = 2
"""Mean service times."""
ANSWERS = 2
FIRST_ANSWER = 256
"""Tokens of a mean answer, before there was any."""
MEMORY = 32
"""How many calls it looks back on, about."""


def published_bound(prompt_max: int, under_way_max: int) -> int:
    """The most by which two backlogged agents' weighted tokens can differ.

    Args:
        prompt_max: tokens of the longest prompt, Linput.
        under_way_max: tokens that can be generated at once, M: slots times the longest answer.
    """
    return 2 * max(PROMPT_WEIGHT * prompt_max, COMPLETION_WEIGHT * under_way_max)


class FairShare:
    """See the module."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._counters: dict[int, int] = {}
        """Of all agents that wait, have calls under way, or are ahead of whoever left last."""
        self._waiting: Ranked[int] = Ranked()
        self._resting: Ranked[int] = Ranked()
        """Agents with neither, by counter."""
        self._under_way: dict[int, int] = {}
        self._left = 0
        """The counter of whoever left last."""
        self._step = 0
        """The most that one call was charged of late."""
        self._answers = FIRST_ANSWER * MEMORY
        """Tokens of the mean answer, times `MEMORY`."""

    def __len__(self) -> int:
        return len(self._lines)

    def offer(self, call: Call, at: Moment) -> None:
        """See `Policy`."""
        agent = call.agent
        if not self._lines.add(call):
            return
        least = self._waiting.first()
        floor = self._left if least is None else self._counters[least]
        self._resting.drop(agent)
        counter = self._counters[agent] = max(self._counters.get(agent, 0), floor)
        self._waiting.put(agent, counter)

    def withdraw(self, call: Call) -> None:
        """See `Policy`."""
        if self._lines.remove(call):
            self._leave(call.agent)

    def first(self, at: Moment) -> Call | None:
        """See `Policy`."""
        agent = self._waiting.first()
        if agent is None:
            return None
        oldest = self._lines.oldest()
        assert oldest is not None
        if oldest.agent != agent:
            ahead = self._counters[oldest.agent] - self._counters[agent]
            aged = (at.now_ns - oldest.offered_ns) // (PATIENCE * at.service_ns)
            if aged and ahead <= min(aged, at.under_way // 2) * self._step:
                return oldest
        return self._lines.first(agent)

    def because(self, call: Call, at: Moment) -> str:
        """See `Policy`."""
        least, served = self._waiting.first(), f"{self.counter(call.agent)} weighted tokens"
        if least is not None and least != call.agent:
            return (
                f"it has waited longest, {span(at.now_ns - call.offered_ns)}, and its process, served {served}, may be"
                f" so far ahead of process {least}, which was served least, {self.counter(least)}"
            )
        if len(self._waiting) < 2:
            return "no other process waits"
        return f"of {len(self._waiting)} processes that wait, its own was served least: {served} a share of weight"

    def begin(self, call: Call, at: Moment) -> None:
        """See `Policy`."""
        agent, charge = call.agent, self._expect(call)
        self._counters[agent] += charge
        self._under_way[agent] = self._under_way.get(agent, 0) + 1
        if self._lines.remove(call):
            self._leave(agent)
        else:
            self._waiting.put(agent, self._counters[agent])

    def admit(self, call: Call) -> None:
        """See `Policy`."""
        agent, charge = call.agent, self._expect(call)
        self._resting.drop(agent)
        self._left = self._counters[agent] = max(self._counters.get(agent, 0), self._left) + charge
        self._under_way[agent] = self._under_way.get(agent, 0) + 1
        self._rest(agent)

    def settle(self, call: Call, prompt: int, completion: int) -> None:
        """See `Policy`."""
        agent = call.agent
        if agent not in self._under_way:
            return
        if prompt >= 0:
            self._counters[agent] += _charge(call, prompt, completion) - call.charged
            if completion:
                self._answers += completion - self._answers // MEMORY
        self._under_way[agent] -= 1
        if not self._under_way[agent]:
            del self._under_way[agent]
        if agent in self._waiting:
            self._waiting.put(agent, self._counters[agent])
        else:
            self._rest(agent)

    def oldest(self) -> Call | None:
        """Who has waited longest."""
        return self._lines.oldest()

    def counter(self, agent: int) -> int:
        """What an agent was served, in weighted tokens over its weight; 0 where nothing is held of it."""
        return self._counters.get(agent, 0) // UNIT

    @property
    def known(self) -> int:
        """Of how many agents it holds a counter."""
        return len(self._counters)

    def _expect(self, call: Call) -> int:
        """What it is charged as it begins."""
        charge = call.charged = _charge(call, call.prompt, min(call.completion, ANSWERS * self._answers // MEMORY))
        self._step = max(charge, self._step - self._step // MEMORY)
        return charge

    def _leave(self, agent: int) -> None:
        self._waiting.drop(agent)
        self._left = max(self._left, self._counters[agent]) if not self._waiting else self._left
        self._rest(agent)

    def _rest(self, agent: int) -> None:
        # Whoever would be lifted anyway when it comes back need not be known any more.
        least = self._waiting.first()
        floor = self._left if least is None else self._counters[least]
        if agent not in self._under_way:
            if self._counters[agent] > floor:
                self._resting.put(agent, self._counters[agent])
            else:
                self._resting.drop(agent)
                del self._counters[agent]
        while self._resting and (behind := self._resting.first()) is not None and self._counters[behind] <= floor:
            self._resting.drop(behind)
            del self._counters[behind]


def cost_of(prompt: int, completion: int) -> int:
    """What tokens weigh."""
    return PROMPT_WEIGHT * prompt + COMPLETION_WEIGHT * completion


def _charge(call: Call, prompt: int, completion: int) -> int:
    return cost_of(prompt, completion) * UNIT // call.weight
