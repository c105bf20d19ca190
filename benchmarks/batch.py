"""What batching gives on the local model: `python -m benchmarks.batch --json`.

8 agents ask a local model of 8 slots, at once and one after the other, in turn, each time something else. `at_once` and
`in_turn`: tokens a second of all of their answers; `batch_ratio`: the one over the other, of each round; the median.
Prompts are short, and read within the time. All of it through the driver, as the kernel does it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path

from prytany.drivers.models.local import LocalModel
from prytany.drivers.models.weights import find_weights
from prytany.ports.model import ModelRequest

REACH = 1.4
AGENTS = 8
TOKENS = 64


def asked(agent: int, turn: int, tokens: int) -> ModelRequest:
    """An agent's call."""
    text = f"{turn}: tell a long story of a ship with {agent + 2} masts."
    return ModelRequest([{"role": "user", "content": text}], max_tokens=tokens, seed=agent)


async def at_once(model: LocalModel, requests: list[ModelRequest]) -> float:
    """Tokens a second."""
    began = time.perf_counter()
    answers = await asyncio.gather(*map(model.chat, requests))
    return sum(answer.usage.completion_tokens for answer in answers) / (time.perf_counter() - began)


async def in_turn(model: LocalModel, requests: list[ModelRequest]) -> float:
    """Tokens a second."""
    began = time.perf_counter()
    answers = [await model.chat(request) for request in requests]
    return sum(answer.usage.completion_tokens for answer in answers) / (time.perf_counter() - began)


async def measure(weights: Path, rounds: int, tokens: int) -> dict[str, float]:
    """The medians of all rounds, after one short one that warms up."""
    model = LocalModel(weights, slots=AGENTS, context=1_024)
    found: list[tuple[float, float]] = []
    try:
        await at_once(model, [asked(agent, -1, 2) for agent in range(AGENTS)])
        for turn in range(rounds):
            both = [[asked(agent, 2 * turn + side, tokens) for agent in range(AGENTS)] for side in range(2)]
            if turn % 2:  # what the machine does meanwhile is to meet both
                slow = await in_turn(model, both[0])
                found.append((await at_once(model, both[1]), slow))
            else:
                found.append((await at_once(model, both[0]), await in_turn(model, both[1])))
    finally:
        await model.close()
    return {
        "batch_ratio": round(statistics.median(fast / slow for fast, slow in found), 3),
        "at_once": round(statistics.median(fast for fast, _ in found), 1),
        "in_turn": round(statistics.median(slow for _, slow in found), 1),
        "agents": AGENTS,
        "rounds": rounds,
    }


def main() -> int:
    """Print the figures; the exit status says whether the target was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of an answer, at most")
    arguments = parser.parse_args()
    weights = find_weights()
    if weights is None:
        print("the local model is not here: prytany models fetch", file=sys.stderr)
        return 2
    figures = asyncio.run(measure(weights, arguments.rounds, arguments.tokens))
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:12} {figure}")
    return int(figures["batch_ratio"] < REACH)


if __name__ == "__main__":
    sys.exit(main())
