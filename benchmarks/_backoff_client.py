"""What most agents use today: a client that asks at once, and backs off exponentially when it is sent away.

In virtual time, against the same provider as ours. As OpenAI's Python client it waits as long as Retry-After says, up
to a minute, and else half a second, doubled up to eight, less up to a quarter by chance; unlike it, it never gives up.

Source: openai-python, `_base_client.py` (`_calculate_retry_timeout`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from prytany.testing.model_traffic import SECOND_NS, Ask, Provider

FIRST_NS = SECOND_NS // 2
MOST_NS = 8 * SECOND_NS
BELIEVED_NS = 60 * SECOND_NS


def backoff_time_s(provider: Provider, asks: list[list[Ask]], seed: int, most_s: float) -> float:
    """How long agents take that each make their calls one after the other; `most_s` where they take longer."""
    chance = random.Random(seed)
    events: list[tuple[int, int, Callable[[int], None]]] = []
    order = count()
    last_ns = 0

    def at(when_ns: int, act: Callable[[int], None]) -> None:
        heappush(events, (when_ns, next(order), act))

    def make(agent: int, number: int, tries: int, now_ns: int) -> None:
        if number == len(asks[agent]):
            return
        ask = asks[agent][number]
        takes_ns = provider.arrives(ask, now_ns)
        if takes_ns is not None:
            at(now_ns + takes_ns, lambda then: ended(agent, number, then))
            return
        told_ns = provider.retry_after_ns
        wait_ns = min(MOST_NS, FIRST_NS << min(tries, 4)) * (1 - chance.random() / 4)
        if told_ns is not None and told_ns <= BELIEVED_NS:
            wait_ns = told_ns
        at(now_ns + max(1, int(wait_ns)), lambda then: make(agent, number, tries + 1, then))

    def ended(agent: int, number: int, now_ns: int) -> None:
        nonlocal last_ns
        last_ns = now_ns
        provider.ends(asks[agent][number])
        make(agent, number + 1, 0, now_ns)

    for agent in range(len(asks)):
        make(agent, 0, 0, 0)
    while events:
        now_ns, _, act = heappop(events)
        if now_ns > most_s * SECOND_NS:
            return most_s
        act(now_ns)
    return last_ns / SECOND_NS
