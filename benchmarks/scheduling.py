"""Who runs next, in virtual time: `python -m benchmarks.scheduling --json`.

The run queues alone, against a provider of numbers (`prytany.testing.model_traffic`); hours of it take seconds. Lengths
are drawn evenly from 100 to 400 tokens, 20 ms a token, so a mean call takes 5 s.

`contention`: 200 agents of 5 calls, at a provider that allows a fifth of what they ask, in requests and in tokens at
once, and 48 calls at a time; for each of its limiters: `utilisation` of the tighter one until the last call began,
`http_429`, and the time of a client with exponential backoff over ours (`ratio_naive`, 3 at most: where refused
requests count, some never end). `utilisation_wrong`: the true limits are a fifth below what is configured, of twenty
calls an agent.

`interactive`: 8 slots, a background flood of ten times the capacity: p99 of interactive calls from asking to the end of
the answer, over the same alone (`p99_ratio`), at several loads of interactive ones.

`fairness`: 50 agents that always wait, one asks ten times more, for an hour: Jain's index of tokens served (`jain`),
the worst difference of weighted tokens since all of them wait, over the published bound (`bound_ratio`).

`starvation`: an hour of open arrivals at 90 % of 16 slots, in four classes, of 200 agents of which one makes a third of
the calls, for each policy: calls that had not begun within ten mean service times (`late`), and the worst wait in
these.

`budget`: 100 children at once, one tree's budget, calls of all sizes: spent over budget.
"""

from __future__ import annotations

import argparse
import json
import random

from benchmarks._backoff_client import backoff_time_s
from prytany.scheduling.budgets import Amount, Bounds, Budgets
from prytany.scheduling.call import Call, Qos
from prytany.scheduling.policies import POLICIES
from prytany.scheduling.policies.fair_share import COMPLETION_WEIGHT, PROMPT_WEIGHT, published_bound
from prytany.scheduling.rates import Limits
from prytany.scheduling.run_queue import RunQueue, Used
from prytany.scheduling.scheduler import Scheduler, Wanted
from prytany.testing.limiters import LIMITERS, MINUTE_NS
from prytany.testing.model_traffic import SECOND_NS, Agent, Ask, Provider, Served, Traffic

TOKEN_NS = 20_000_000
SHORTEST, LONGEST, PROMPT_MAX = 100, 400, 1_000
MEAN = (SHORTEST + LONGEST) // 2
SERVICE_NS = MEAN * TOKEN_NS
HOUR_S = 3_600
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


def provider(kind: str, requests: int, tokens: int) -> Provider:
    """One that limits both in one way."""
    limits = [
        ("requests", LIMITERS[kind](requests, MINUTE_NS, 1)),
        ("tokens", LIMITERS[kind](tokens, MINUTE_NS, PROMPT_MAX + LONGEST)),
    ]
    return Provider(limits, CONCURRENCY, token_ns=TOKEN_NS, counts_refused=True)


def contention(
    kind: str, *, calls: int = CALLS, true: float = 1.0, naive: bool = True, seed: int = 1
) -> dict[str, float]:
    """One limiter, of which `true` is what is allowed over what was configured."""
    chance = random.Random(seed)
    asks = [[drawn(chance, prompt=PROMPT_MAX) for _ in range(calls)] for _ in range(AGENTS)]
    total = sum(ask.prompt + ask.completion for agent in asks for ask in agent)
    tokens = REQUESTS * (PROMPT_MAX * 11 // 20 + MEAN)
    ours = provider(kind, int(REQUESTS * true), int(tokens * true))
    traffic = Traffic(
        RunQueue(Limits(CONCURRENCY, REQUESTS, tokens)), ours, lambda: chance.randint(10_000_000, 60_000_000)
    )
    for number, agent in enumerate(asks):
        traffic.add(number, script(agent))
    begun_ns = traffic.now_ns
    traffic.run()
    minutes = (max(served.begun_ns for served in traffic.served) - begun_ns) / MINUTE_NS
    took_s = (traffic.now_ns - begun_ns) / SECOND_NS
    used = max(AGENTS * calls / (REQUESTS * true), total / (tokens * true)) / minutes
    found = {"utilisation": used, "http_429": ours.refused, "lost": AGENTS * calls - ours.answered}
    if naive and true == 1.0:
        naive_s = backoff_time_s(provider(kind, REQUESTS, tokens), asks, seed, NAIVE_MOST * took_s)
        found["ratio_naive"] = naive_s / took_s
    return found


def interactive(
    load: float, *, slots: int = 8, flood: float = 10, seconds: int = HOUR_S, seed: int = 3
) -> dict[str, float]:
    """Interactive calls at `load` of the slots, alone and within a flood."""

    def p99(flooded: float) -> tuple[float, float]:
        traffic = Traffic(RunQueue(Limits(slots)), Provider(token_ns=TOKEN_NS))
        for qos, part in ((Qos.INTERACTIVE, load), (Qos.BACKGROUND, flooded)):
            chance, at_ns = random.Random(seed + qos), 0
            while part and at_ns < seconds * SECOND_NS:
                at_ns += int(chance.expovariate(part * slots / SERVICE_NS))
                traffic.add(chance.randrange(1_000 * qos, 1_000 * qos + 50), script([drawn(chance, qos)]), at_ns)
        traffic.run(seconds * SECOND_NS)
        took = sorted(s.ended_ns - s.made_ns for s in traffic.served if s.ask.qos is Qos.INTERACTIVE)
        busy_ns = sum(s.ended_ns - s.begun_ns for s in traffic.served)
        return took[len(took) * 99 // 100] / SECOND_NS, busy_ns / (slots * seconds * SECOND_NS)

    alone, _ = p99(0)
    within, utilisation = p99(flood)
    return {"p99_alone_s": alone, "p99_ratio": within / alone, "utilisation": utilisation}


def fairness(
    policy: str, *, slots: int = 8, agents: int = 50, seconds: int = HOUR_S, seed: int = 1
) -> dict[str, float]:
    """All agents always wait, the first with ten times as many calls."""
    chance = random.Random(seed)
    traffic = Traffic(RunQueue(Limits(slots), policy), Provider(token_ns=TOKEN_NS), keep=False)
    tokens, weighted, base = [0] * agents, [0] * agents, list[int]()
    worst = 0

    def asks() -> Agent:
        while True:
            yield drawn(chance, prompt=PROMPT_MAX)

    def served(call: Served) -> None:
        nonlocal base, worst
        tokens[call.agent] += call.ask.prompt + call.ask.completion
        weighted[call.agent] += PROMPT_WEIGHT * call.ask.prompt + COMPLETION_WEIGHT * call.ask.completion
        if call.ended_ns < 60 * SECOND_NS:
            base = list(weighted)  # whoever came first found all slots free
        apart = [now - before for now, before in zip(weighted, base, strict=True)]
        worst = max(worst, max(apart) - min(apart))

    traffic.on_served.append(served)
    for agent in range(agents):
        for _ in range(20 if agent == 0 else 2):
            traffic.add(agent, asks())
    traffic.run(seconds * SECOND_NS)
    jain = sum(tokens) ** 2 / (agents * sum(taken * taken for taken in tokens))
    return {"jain": jain, "bound_ratio": worst / published_bound(PROMPT_MAX, slots * (PROMPT_MAX + LONGEST))}


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
    """Children that spend one tree's budget at once; endpoints take up to all that was reserved."""
    chance, now_ns, budgets = random.Random(seed), SECOND_NS, Budgets()
    budgets.granted("tree:1", Bounds(tokens=tokens), Bounds(), now_ns)
    scheduler, stopped, begun = Scheduler(budgets), 0, list[Wanted]()
    scheduler.open("model")
    for key in range(children * 20):
        call = Call(key + 1, key % children)
        scheduler.offer(Wanted(call, "model", ("tree:1",), Amount(tokens=chance.randint(1, 5_000), calls=1)), now_ns)
    while True:
        while (decision := scheduler.next(now_ns)) is not None:
            wanted = decision.wanted
            if decision.begins:
                budgets.reserved(wanted.call.key, 1, wanted.accounts, wanted.amount, now_ns)
                scheduler.begun(wanted.call.key, now_ns)
                begun.append(wanted)
            else:
                stopped += 1
        if not begun:
            break
        wanted, now_ns = begun.pop(chance.randrange(len(begun))), now_ns + SECOND_NS
        used = chance.choice([wanted.amount.tokens, wanted.amount.tokens // 4])
        budgets.charged(wanted.call.key, 1, Amount(tokens=used, calls=1))
        scheduler.settled(wanted.call.key, Used(used // 2, used - used // 2), now_ns)
    return {"overspend_ratio": budgets.accounts["tree:1"].spent.tokens / tokens, "stopped": stopped}


def measure() -> dict[str, object]:
    """All of them."""
    limiters = {kind: contention(kind) for kind in ("fixed", "sliding", "bucket")}
    wrong = {kind: contention(kind, calls=4 * CALLS, true=0.8) for kind in ("fixed", "sliding", "bucket")}
    return {
        "contention": {
            **limiters,
            "utilisation": min(found["utilisation"] for found in limiters.values()),
            "http_429": sum(found["http_429"] for found in limiters.values()),
            "utilisation_wrong": min(found["utilisation"] for found in wrong.values()),
            "http_429_wrong": sum(found["http_429"] for found in wrong.values()),
            "lost_wrong": sum(found["lost"] for found in wrong.values()),
            "small_bucket": contention("small bucket"),
        },
        "interactive": {f"load_{load}": interactive(load) for load in (0.1, 0.3, 0.5, 0.7)},
        "fairness": {policy: fairness(policy) for policy in ("classes", "fair_share", "round_robin", "first_come")},
        "starvation": {policy: starvation(policy) for policy in POLICIES},
        "budget": budget(),
        "constants": {"prompt_weight": PROMPT_WEIGHT, "completion_weight": COMPLETION_WEIGHT},
    }


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description="Who runs next, in virtual time.")
    parser.add_argument("--json", action="store_true", help="on one line")
    indent = None if parser.parse_args().json else 2
    print(json.dumps(measure(), indent=indent, default=str))


if __name__ == "__main__":
    main()
