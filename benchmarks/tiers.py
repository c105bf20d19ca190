"""What contexts take in memory, and what a call's prompt costs from each tier: `python -m benchmarks.tiers --json`.

Inline agents hold conversations through the whole kernel, in a SQLite store: words of a text, as conversations are. A
thousand of them end their turns and wait for a message (`--agents`, `--turns`); what they hold in memory is measured
by tracemalloc, ready, then packed, then gone. Then the prompt of one context of 1,000 messages (`--long`) is put
together from each tier, interleaved, some times over; the figures are medians of the kernel's own thread, and ratios
to a context that is ready.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import tempfile
import time
import tracemalloc
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import uvloop

from prytany.kernel.ledger import TENANT
from prytany.ports.model import Embedded, ModelAnswer, ModelFeatures, ModelRequest, Usage
from prytany.ports.runner import Runner
from prytany.runtime.inline import InlineRunner
from prytany.system.logs import Logs
from prytany.system.shard import Shard
from prytany.userland.agent import agent
from prytany.userland.process import Process

SAID_CHARS = 400
HERE = f"{__file__}:waits"
TEXT = (Path(__file__).parent.parent / "ARCHITECTURE.md").read_text()
WORDS = TEXT.split()


def words(seed: str) -> str:
    """So much of words in an order of their own: it gets smaller as texts do."""
    draw = Random(seed)
    return " ".join(draw.choice(WORDS) for _ in range(SAID_CHARS // 6))[:SAID_CHARS]


class Answers:
    """A model that answers at once."""

    name = "answers"
    features = ModelFeatures(deterministic=True)
    asked = 0

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        self.asked += 1
        return ModelAnswer(words(f"answer {self.asked}"), "stop", usage=Usage(1, 1, 0))

    def stream(self, request: ModelRequest) -> Any:
        raise AssertionError("not streamed")

    async def embed(self, texts: list[str]) -> Embedded:
        raise AssertionError("not embedded")

    async def close(self) -> None:
        return


@agent(pledge="model ipc")
async def waits(proc: Process, number: int, turns: int) -> str:
    """One conversation, and then it waits for ever."""
    talk = proc.conversation()
    for turn in range(turns):
        await talk.llm(words(f"question {number} {turn}"))
    await proc.receive()
    return talk.node


async def all_wait(shard: Shard, pids: list[int]) -> None:
    """Until each of them has nothing to do."""
    table = shard.kernel.table
    while not all(table.require(pid).shown_state()[1] == "message" for pid in pids):  # noqa: ASYNC110
        await asyncio.sleep(0.05)


def held_bytes() -> int:
    """What Python holds."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def squeezed(shard: Shard) -> None:
    """All that waits is packed."""
    contexts = shard.kernel.effects.contexts
    contexts.squeeze()
    while contexts.tiers.packed < len(contexts.tiers):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def memory(home: Path, agents: int, turns: int) -> dict[str, Any]:
    """Bytes in memory of agents that wait, by tier."""
    shard = await Shard.open(home, {"": Answers()}, runners=runners)
    operator, contexts = shard.kernel.operator, shard.kernel.effects.contexts
    pids = [operator.spawn(HERE, [n, turns], {}, uid=0, kind="inline") for n in range(agents)]
    await all_wait(shard, pids)
    for pid in pids:
        contexts.let_go(pid)
    heads = [shard.kernel.contexts.owned[pid].heads[1] for pid in pids]
    await shard.kernel.ledger.journal.wait_durable(max(head.seq for head in heads))
    tracemalloc.start()
    gone = held_bytes()
    for pid, head in zip(pids, heads, strict=True):
        await contexts.read(TENANT, pid, head.seq, head.at)
    ready, counted = held_bytes() - gone, contexts.tiers.size
    await squeezed(shard)
    packed, packed_counted = held_bytes() - gone, contexts.tiers.size
    tracemalloc.stop()
    await shard.close()
    said = sum(head.size for head in heads)
    return {
        "agents": agents, "messages": 2 * turns, "said_bytes": said, "ready_bytes": ready, "packed_bytes": packed,
        "packed_ratio": round(ready / packed, 2), "counted_ready": counted, "counted_packed": packed_counted,
    }  # fmt: skip


async def prompts(home: Path, messages: int, times: int) -> dict[str, Any]:
    """The prompt of one long context, from each tier."""
    shard = await Shard.open(home, {"": Answers()}, runners=runners)
    operator, contexts = shard.kernel.operator, shard.kernel.effects.contexts
    pid = operator.spawn(HERE, [0, messages // 2], {}, uid=0, kind="inline")
    await all_wait(shard, [pid])
    head = shard.kernel.contexts.owned[pid].heads[1]
    took: dict[str, list[float]] = {"ready": [], "packed": [], "cold": []}

    async def timed(tier: str) -> None:
        began = time.thread_time_ns()
        strand, length = await contexts.read(TENANT, pid, head.seq, head.at)
        assert len(strand.messages[:length]) == messages
        took[tier].append((time.thread_time_ns() - began) / 1_000)

    packing: list[float] = []
    for _ in range(times):
        contexts.let_go(pid)
        await timed("cold")
        await timed("ready")
        began = time.thread_time_ns()
        await squeezed(shard)
        packing.append((time.thread_time_ns() - began) / 1_000)
        await timed("packed")
    await shard.close()
    us = {f"{tier}_us": round(median(times_us)) for tier, times_us in took.items()}
    return {
        "long_messages": messages, **us, "packing_us": round(median(packing)),
        "cold_over_packed": round(us["cold_us"] / us["packed_us"], 2),
    }  # fmt: skip


def runners(logs: Logs) -> dict[str, Runner]:
    """Programs that run in the kernel's own loop."""
    return {"inline": InlineRunner({HERE: waits})}


def main() -> None:
    """Measure, and print one object."""
    parser = argparse.ArgumentParser(description="Contexts in memory, by tier.")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--agents", type=int, default=1_000)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--long", type=int, default=1_000)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        report = uvloop.run(memory(Path(name) / "many", given.agents, given.turns))
        report |= uvloop.run(prompts(Path(name) / "long", given.long, given.times))
    print(json.dumps({"benchmark": "tiers", **report}))


if __name__ == "__main__":
    main()
