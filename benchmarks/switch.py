"""The local model's context switch: `python -m benchmarks.switch --json`.

A generation with a prompt of some 1,000 tokens is put aside after its first token, others use every slot, and it goes
on. `compute_s`: from asking until its first token; `save_s`: from its first token until it is put aside, the token
that was under way with it; `restore_s`: from asking again until its next token. `switch_ratio`: saving and restoring
over computing, of each round; medians. All of it through the driver, as the kernel does it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from contextlib import aclosing
from pathlib import Path

from prytany.drivers.models.local import LocalModel
from prytany.drivers.models.weights import find_weights
from prytany.ports.model import ModelAnswer, ModelRequest
from prytany.ports.turns import Aside, Turn

REACH = 0.1
TOKENS = 1_000
SLOTS = 2
OVERHEAD_TOKENS = 9
WORDS = "the sea is wide and ships are small while wind goes on over it".split()  # noqa: SIM905 - a sentence
"""Each is one token of the embedded model."""


def asked(chance: random.Random, tokens: int) -> ModelRequest:
    """A call whose prompt is like no other from its beginning on."""
    text = " ".join(chance.choice(WORDS) for _ in range(tokens - OVERHEAD_TOKENS))
    return ModelRequest([{"role": "system", "content": text}], max_tokens=4, temperature=0.0, seed=1)


async def until_aside(model: LocalModel, request: ModelRequest) -> tuple[float, float, Aside]:
    """Seconds until the first piece, and from there until it is put aside."""
    began = time.perf_counter()
    first = 0.0
    async with aclosing(model.turn(request, Turn(is_up=lambda _: True))) as items:
        async for item in items:
            first = first or time.perf_counter()
            if isinstance(item, Aside):
                return first - began, time.perf_counter() - first, item
    raise RuntimeError("it ended before it was put aside")


async def until_piece(model: LocalModel, request: ModelRequest, aside: Aside) -> float:
    """Seconds until it goes on; then it goes on to its end."""
    began = time.perf_counter()
    first = 0.0
    async with aclosing(model.turn(request, Turn(aside))) as items:
        async for _ in items:
            first = first or time.perf_counter()
    return first - began


async def one_round(model: LocalModel, chance: random.Random, tokens: int) -> tuple[float, float, float, int]:
    """Computing, saving and restoring, in seconds; and the tokens of the prompt."""
    request = asked(chance, tokens)
    compute_s, save_s, aside = await until_aside(model, request)
    others = [ModelRequest([{"role": "user", "content": f"{n}?"}], max_tokens=1, tenant=1) for n in range(SLOTS)]
    answers = await asyncio.gather(*map(model.chat, others))
    assert all(isinstance(answer, ModelAnswer) for answer in answers)
    restored = model.counts.restored
    restore_s = await until_piece(model, request, aside)
    if model.counts.restored != restored + 1:
        raise RuntimeError("the slot was not restored")
    return compute_s, save_s, restore_s, aside.usage.prompt_tokens


async def measure(weights: Path, rounds: int, tokens: int) -> dict[str, float]:
    """The medians of all rounds but the first, which warms up."""
    model = LocalModel(weights, slots=SLOTS)
    chance = random.Random(1)
    try:
        await one_round(model, chance, 64)
        found = [await one_round(model, chance, tokens) for _ in range(rounds)]
    finally:
        await model.close()
    compute_s, save_s, restore_s, prefix = (statistics.median(column) for column in zip(*found, strict=True))
    ratio = statistics.median((save + restore) / compute for compute, save, restore, _ in found)
    return {
        "switch_ratio": round(ratio, 4),
        "compute_s": round(compute_s, 3),
        "save_s": round(save_s, 4),
        "restore_s": round(restore_s, 4),
        "prefix_tokens": prefix,
        "rounds": rounds,
    }


def main() -> int:
    """Print the figures; the exit status says whether the target was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of the prefix")
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
            print(f"{name:14} {figure}")
    return int(figures["switch_ratio"] > REACH)


if __name__ == "__main__":
    sys.exit(main())
