"""Model calls in virtual time: run queues against a provider that exists in numbers only, thousands of agents in
seconds.

A simulation has events in order of time and a provider with its limits. Each agent is a generator that yields what it
does next: `Ask`, or a time to wait. Nothing here sleeps, and a seed decides everything.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from heapq import heappop, heappush
from itertools import count

import msgspec

from prytany.scheduling.call import Call, Qos
from prytany.scheduling.run_queue import RunQueue, Used
from prytany.testing.limiters import Limiter

SECOND_NS = 1_000_000_000


class Ask(msgspec.Struct, frozen=True):
    """A call that an agent makes: what it will take, which the scheduler is not told, and what it is told."""

    prompt: int
    completion: int
    qos: Qos = Qos.UTILITY
    weight: int = 1
    guess: int = 0
    """Tokens of the answer as the scheduler guesses; what it will be where 0."""


class Served(msgspec.Struct, frozen=True):
    """One call that was answered."""

    agent: int
    ask: Ask
    made_ns: int
    begun_ns: int
    """The attempt that was answered."""
    ended_ns: int


class Provider:
    """What an endpoint does with a request that arrives.

    Args:
        limits: (quantity, limiter) with quantity `requests` or `tokens`.
        concurrency: requests at once; more are refused. 0 for any number.
        token_ns: how long a token of an answer takes.
        first_ns: how long the first takes.
        tell: refusals say how long to wait.
        counts_refused: a request that is refused counts as one of the requests all the same, as at OpenAI.
    """

    def __init__(
        self,
        limits: list[tuple[str, Limiter]] | None = None,
        concurrency: int = 0,
        token_ns: int = 20_000_000,
        first_ns: int = 0,
        *,
        tell: bool = True,
        counts_refused: bool = False,
    ) -> None:
        self._limits = limits or []
        self._concurrency = concurrency
        self._token_ns = token_ns
        self._first_ns = first_ns
        self._tell = tell
        self._counts_refused = counts_refused
        self.active = 0
        self.refused = 0
        self.answered = 0
        self.tokens = 0

    def arrives(self, ask: Ask, now_ns: int) -> int | None:
        """How long the answer takes, or None where it is refused; `retry_after_ns` then says for how long."""
        asked = {"requests": 1, "tokens": ask.prompt + ask.completion}
        waits = [limiter.wait_ns(asked[what], now_ns) for what, limiter in self._limits]
        crowded = self._concurrency and self.active >= self._concurrency
        if crowded or any(waits):
            self.refused += 1
            self.retry_after_ns = max(waits, default=0) or None if self._tell else None
            if self._counts_refused:
                for what, limiter in self._limits:
                    if what == "requests":
                        limiter.take(1, now_ns)
            return None
        for what, limiter in self._limits:
            limiter.take(asked[what], now_ns)
        self.active += 1
        return self._first_ns + ask.completion * self._token_ns

    def ends(self, ask: Ask) -> None:
        """An answer was given."""
        self.active -= 1
        self.answered += 1
        self.tokens += ask.prompt + ask.completion

    retry_after_ns: int | None = None


Agent = Generator[Ask | int, Served | None, None]
"""Yields a call, and is sent how it was served; or a time in nanoseconds, and is sent None when it has passed."""


class Traffic:
    """One run queue, one provider, many agents.

    Attributes:
        served: every call that was answered.
        now_ns: the virtual time.
    """

    def __init__(
        self, queue: RunQueue, provider: Provider, jitter: Callable[[], int] = lambda: 0, *, keep: bool = True
    ) -> None:  # fmt: skip
        self.queue = queue
        self.provider = provider
        self.served: list[Served] = []
        self.on_served: list[Callable[[Served], None]] = []
        self.now_ns = SECOND_NS
        self._jitter = jitter
        self._keep = keep
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._keys = count(1)
        self._timer_ns = 0
        self._asks: dict[int, tuple[Ask, Agent, int]] = {}

    def add(self, agent: int, behaves: Agent, at_ns: int = 0) -> None:
        """An agent begins at `at_ns`, from now."""
        self._at(at_ns, lambda: self._resume(agent, behaves, None))

    def run(self, until_ns: int | None = None) -> None:
        """Until nothing happens any more, or until a time."""
        while self._events and (until_ns is None or self._events[0][0] <= until_ns):
            self.now_ns, _, act = heappop(self._events)
            act()
            self._dispatch()

    def _at(self, in_ns: int, act: Callable[[], None]) -> None:
        heappush(self._events, (self.now_ns + in_ns, next(self._order), act))

    def _resume(self, agent: int, behaves: Agent, served: Served | None) -> None:
        try:
            wants = next(behaves) if served is None else behaves.send(served)
        except StopIteration:
            return
        if isinstance(wants, int):
            self._at(wants, lambda: self._resume(agent, behaves, None))
            return
        key = next(self._keys)
        call = Call(key, agent, wants.qos, wants.prompt, wants.guess or wants.completion, wants.weight)
        self._asks[key] = (wants, behaves, self.now_ns)
        self.queue.offer(call, self.now_ns)

    def _dispatch(self) -> None:
        while (call := self.queue.next(self.now_ns)) is not None:
            self.queue.begin(call, self.now_ns)
            self._send(call)
        when_ns = self.queue.when(self.now_ns)
        if when_ns is not None and (self._timer_ns <= self.now_ns or when_ns < self._timer_ns):
            self._timer_ns = when_ns
            self._at(max(0, when_ns - self.now_ns), lambda: None)

    def _send(self, call: Call) -> None:
        self._at(self._jitter(), lambda: self._arrives(call))

    def _arrives(self, call: Call) -> None:
        ask = self._asks[call.key][0]
        takes_ns = self.provider.arrives(ask, self.now_ns)
        if takes_ns is None:
            used = Used(cause="rate_limited", retry_after_ns=self.provider.retry_after_ns)
            again = self.queue.settle(call.key, used, self.now_ns)
            assert again is not None
            self.queue.offer(again, self.now_ns)
        else:
            self._at(takes_ns, lambda: self._ended(call))

    def _ended(self, call: Call) -> None:
        ask, behaves, made_ns = self._asks.pop(call.key)
        self.provider.ends(ask)
        begun_ns = call.begun_ns
        self.queue.settle(call.key, Used(ask.prompt, ask.completion), self.now_ns)
        served = Served(call.agent, ask, made_ns, begun_ns, self.now_ns)
        if self._keep:
            self.served.append(served)
        for told in self.on_served:
            told(served)
        self._resume(call.agent, behaves, served)
