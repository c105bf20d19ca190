"""Who runs next, in virtual time: `python -m benchmarks.scheduling --json`.

Against a provider in numbers (`prytany.testing.model_traffic`). `contention`, `interactive`, `fairness` and `budget` go
through a whole kernel: inline agents, a journal in memory, what calls take as the kernel learns it. `starvation` drives
the run queues alone, since the kernel would add an hour for every policy and nothing else. Lengths are drawn evenly
from 100 to 400 tokens, 20 ms a token, so a mean call takes 5 s.

`contention`: 200 agents of 5 calls, at a provider that allows a fifth of what they ask, in requests and in tokens at
once, and 48 calls at a time; agents say nothing of `max_tokens`, so that the kernel allows 1,024. For each of its
limiters: `utilisation` of the tighter one until the last call began, `http_429`, and the time of a client with
exponential backoff over ours: `ratio_naive` where refused requests count as requests, as OpenAI has it (3 at most: some
clients never end), and `ratio_forgiving` where they cost nothing, so that asking at once is no loss.
`utilisation_wrong`: the true limits are a fifth below what is configured, of twenty calls an agent.

`interactive`: 8 slots, a background flood of ten times the capacity: p99 of interactive calls from asking to the end of
the answer, over the same alone (`p99_ratio`), at several loads of interactive ones.

`fairness`: 50 agents that always wait, one asks ten times more, for an hour, and all allow `ALLOWED` times the tokens
that an answer has at most, as agents do: Jain's index of tokens served (`jain`), the worst difference of weighted
tokens since all of them wait (`worst`), over the published bound (`bound_ratio`), of which `constants` are the terms.

`starvation`: an hour of open arrivals at 90 % of 16 slots, in four classes, of 200 agents of which one makes a third of
the calls, for each policy: calls that had not begun within ten mean service times (`late`), and the worst wait in
these.

`budget`: 100 children at once, one tree's budget, calls of all sizes: spent over budget.

`wire`: in real time and over HTTP, against `benchmarks.provider` with seconds for minutes: calls that were lost, 429s,
and answers that were paid twice.
"""

from __future__ import annotations

import argparse
import json
import random

from benchmarks import _in_kernel
from benchmarks._backoff_client import backoff_time_s
from benchmarks._on_the_wire import wire
from prytany.ports.model import ModelLimits
from prytany.scheduling.call import Qos
from prytany.scheduling.policies import POLICIES
from prytany.scheduling.policies.fair_share import COMPLETION_WEIGHT, PROMPT_WEIGHT, published_bound
from prytany.scheduling.rates import Limits
from prytany.scheduling.run_queue import RunQueue
from prytany.testing.limiters import LIMITERS, MINUTE_NS
from prytany.testing.model_traffic import SECOND_NS, Agent, Ask, Provider, Traffic

TOKEN_NS = 20_000_000
SHORTEST, LONGEST, PROMPT_MAX = 100, 400, 1_000
MEAN = (SHORTEST + LONGEST) // 2
SERVICE_NS = MEAN * TOKEN_NS
HOUR_S = 3_600
ALLOWED = 10
FAIR_SLOTS = 8
AGENTS, CALLS = 200, 5
REQUESTS = 480
"""A minute: a fifth of what that many agents ask, each with one call of 5 s after the other."""
CONCURRENCY = 48
"""Of that provider: somewhat more than it takes to answer as many."""
NAIVE_MOST = 3


def script(asks: list[Ask]) -> Agent:
    """An agent that makes these calls, one after the other."""
    turn = iter(asks)
    while (ask := next(turn, None)) is not None:
        yield ask


def drawn(chance: random.Random, qos: Qos = Qos.UTILITY, prompt: int = 0) -> Ask:
    """A call of a length by chance."""
    asked = chance.randint(prompt // 10, prompt) if prompt else 1
    return Ask(asked, chance.randint(SHORTEST, LONGEST), qos)


def provider(kind: str, requests: int, tokens: int, *, counts_refused: bool = True) -> Provider:
    """One that limits both in one way."""
    limits = [
        ("requests", LIMITERS[kind](requests, MINUTE_NS, 1)),
        ("tokens", LIMITERS[kind](tokens, MINUTE_NS, PROMPT_MAX + LONGEST)),
    ]
    return Provider(limits, CONCURRENCY, token_ns=TOKEN_NS, counts_refused=counts_refused)


def contention(
    kind: str, *, calls: int = CALLS, true: float = 1.0, naive: bool = True, seed: int = 1
) -> dict[str, float]:
    """One limiter, of which `true` is what is allowed over what was configured; in a whole kernel."""
    chance = random.Random(seed)
    asks = [[drawn(chance, prompt=PROMPT_MAX) for _ in range(calls)] for _ in range(AGENTS)]
    total = sum(ask.prompt + ask.completion for agent in asks for ask in agent)
    tokens = REQUESTS * (PROMPT_MAX * 11 // 20 + MEAN)
    ours = provider(kind, int(REQUESTS * true), int(tokens * true))
    served, took_s = _in_kernel.contention(ours, ModelLimits(CONCURRENCY, REQUESTS, tokens), asks, None, seed)
    asked_ns = min(asked for asked, _, _ in served.times)
    minutes = (max(begun for _, begun, _ in served.times) - asked_ns) / MINUTE_NS
    used = max(AGENTS * calls / (REQUESTS * true), total / (tokens * true)) / minutes
    found = {"utilisation": used, "http_429": ours.refused, "lost": AGENTS * calls - ours.answered}
    if naive and true == 1.0:
        for name, counts in (("ratio_naive", True), ("ratio_forgiving", False)):
            asked = provider(kind, REQUESTS, tokens, counts_refused=counts)
            found[name] = backoff_time_s(asked, asks, seed, NAIVE_MOST * took_s) / took_s
    return found


def interactive(
    load: float, *, slots: int = 8, flood: float = 10, seconds: int = HOUR_S // 3, seed: int = 3
) -> dict[str, float]:
    """Interactive calls at `load` of the slots, alone and within a flood; in a whole kernel."""

    def p99(flooded: float) -> tuple[float, float]:
        arriving: list[tuple[int, Qos, Ask]] = []
        for qos, part in ((Qos.INTERACTIVE, load), (Qos.BACKGROUND, flooded)):
            chance, at_ns = random.Random(seed + qos), 0
            while part and at_ns < seconds * SECOND_NS:
                at_ns += int(chance.expovariate(part * slots / SERVICE_NS))
                arriving.append((at_ns, qos, drawn(chance, qos)))
        arriving.sort(key=lambda arrival: arrival[0])
        served = _in_kernel.arrivals(slots, TOKEN_NS, arriving, seconds, LONGEST, seed)
        both = zip(served.times, served.qos, strict=True)
        took = sorted(ended - asked for (asked, _, ended), qos in both if qos == Qos.INTERACTIVE)
        busy_ns = sum(ended - begun for _, begun, ended in served.times)
        span_ns = max(ended for _, _, ended in served.times) - min(asked for asked, _, _ in served.times)
        return took[len(took) * 99 // 100] / SECOND_NS, busy_ns / (slots * max(span_ns, seconds * SECOND_NS))

    alone, _ = p99(0)
    within, utilisation = p99(flood)
    return {"p99_alone_s": alone, "p99_ratio": within / alone, "utilisation": utilisation}


def fairness(
    policy: str, *, slots: int = FAIR_SLOTS, agents: int = 50, seconds: int = HOUR_S, seed: int = 1
) -> dict[str, float]:
    """All agents always wait, the first with ten times as many calls; in a whole kernel."""
    chance = random.Random(seed)
    tokens, weighted, base = [0] * agents, [0] * agents, list[int]()
    worst = 0
    many = [20 if agent == 0 else 2 for agent in range(agents)]
    answers = _in_kernel.backlogged(
        slots, policy, TOKEN_NS, many, lambda: drawn(chance, prompt=PROMPT_MAX), seconds, ALLOWED * LONGEST
    )
    for at_ns, agent, ask in answers:
        tokens[agent] += ask.prompt + ask.completion
        weighted[agent] += PROMPT_WEIGHT * ask.prompt + COMPLETION_WEIGHT * ask.completion
        if at_ns < 60 * SECOND_NS:
            base = list(weighted)  # whoever came first found all slots free
        apart = [now - before for now, before in zip(weighted, base, strict=True)]
        worst = max(worst, max(apart) - min(apart))
    jain = sum(tokens) ** 2 / (agents * sum(taken * taken for taken in tokens))
    return {"jain": jain, "worst": worst, "bound_ratio": worst / published_bound(PROMPT_MAX, under_way_max(slots))}


def under_way_max(slots: int) -> int:
    """M of the published bound: the most tokens that are under way at once."""
    return slots * (PROMPT_MAX + LONGEST)


def starvation(
    policy: str, *, slots: int = 16, load: float = 0.9, seconds: int = HOUR_S, seed: int = 7
) -> dict[str, float]:
    """An hour below capacity."""
    chance, at_ns = random.Random(seed), 0
    traffic = Traffic(RunQueue(Limits(slots), policy), Provider(token_ns=TOKEN_NS))
    while at_ns < seconds * SECOND_NS:
        at_ns += int(chance.expovariate(load * slots / SERVICE_NS))
        agent = 1 if chance.random() < 1 / 3 else chance.randrange(2, AGENTS)
        traffic.add(agent, script([drawn(chance, chance.choice(list(Qos)))]), at_ns)
    traffic.run()
    waits = [(served.begun_ns - served.made_ns) / SERVICE_NS for served in traffic.served]
    return {"late": sum(wait > 10 for wait in waits), "worst_wait": max(waits), "calls": len(waits)}


def budget(*, children: int = 100, tokens: int = 100_000, seed: int = 5) -> dict[str, float]:
    """Children that spend one tree's budget at once, in a whole kernel: calls without max_tokens, texts of one token a
    byte, and answers as long as they may be, among them."""
    return _in_kernel.budget(children, tokens, seed)


def measure() -> dict[str, object]:
    """All of them."""
    limiters = {kind: contention(kind) for kind in ("fixed", "sliding", "bucket")}
    wrong = {kind: contention(kind, calls=4 * CALLS, true=0.8) for kind in ("fixed", "sliding", "bucket")}
    return {
        "contention": {
            **limiters,
            "utilisation": min(found["utilisation"] for found in limiters.values()),
            "http_429": sum(found["http_429"] for found in limiters.values()),
            "ratio_naive": min(found["ratio_naive"] for found in limiters.values()),
            "ratio_forgiving": min(found["ratio_forgiving"] for found in limiters.values()),
            "utilisation_wrong": min(found["utilisation"] for found in wrong.values()),
            "http_429_wrong": sum(found["http_429"] for found in wrong.values()),
            "lost_wrong": sum(found["lost"] for found in wrong.values()),
            "small_bucket": contention("small bucket"),
        },
        "interactive": {f"load_{load}": interactive(load) for load in (0.1, 0.3, 0.5, 0.7)},
        "fairness": {policy: fairness(policy) for policy in ("classes", "fair_share", "round_robin", "first_come")},
        "starvation": {policy: starvation(policy) for policy in POLICIES},
        "budget": budget(),
        "wire": {f"{kind}_{true}": wire(kind, true) for kind in ("fixed", "sliding", "bucket") for true in (1.0, 0.8)},
        "constants": {
            "prompt_weight": PROMPT_WEIGHT,
            "completion_weight": COMPLETION_WEIGHT,
            "prompt_max": PROMPT_MAX,
            "under_way_max": under_way_max(FAIR_SLOTS),
            "published_bound": published_bound(PROMPT_MAX, under_way_max(FAIR_SLOTS)),
        },
    }


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description="Who runs next, in virtual time.")
    parser.add_argument("--json", action="store_true", help="on one line")
    indent = None if parser.parse_args().json else 2
    print(json.dumps(measure(), indent=indent, default=str))


if __name__ == "__main__":
    main()
