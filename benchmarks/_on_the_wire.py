"""The same over HTTP, in real time: `benchmarks.provider` in a process of its own, the driver and kernel as they are.

Its minute is a second, so that a run takes seconds. Half of the calls are streamed. What is counted is what the
provider says.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from prytany.abi.budgets import Budget
from prytany.drivers.models.openai import OpenAINative
from prytany.ports.model import ModelFeatures, ModelLimits
from prytany.system.shard import Shard
from prytany.userland.agent import agent
from prytany.userland.process import Process

AGENTS, CALLS = 60, 5
REQUESTS = 6_000
"""A minute: a hundred in each of its seconds."""
CONCURRENCY = 40
MINUTE_MS = 1_000


@agent(pledge="model")
async def asks(proc: Process) -> int:
    """One agent, which gets all of its answers."""
    said = 0
    for turn in range(CALLS):
        question = f"question {proc.pid} {turn}"
        if turn % 2:
            said += bool("".join([piece async for piece in proc.llm(question, max_tokens=16, stream=True)]))
        else:
            said += bool(await proc.llm(question, max_tokens=16))
    return said


async def _asked(home: Path, url: str) -> int:
    features = ModelFeatures(streaming=True, limits=ModelLimits(CONCURRENCY, REQUESTS))
    model = OpenAINative("m", base_url=url, features=features)
    shard = await Shard.open(home, {"": model}, running_max=AGENTS)
    try:
        operator = shard.kernel.operator
        pids = [
            operator.spawn(f"{__file__}:asks", [], {}, uid=0, kind="inline", budget=Budget()) for _ in range(AGENTS)
        ]
        ends = await asyncio.gather(*(operator.wait_ended(pid) for pid in pids))
        return sum(end["result"] or 0 for end in ends)
    finally:
        await shard.close()


def wire(kind: str, true: float = 1.0) -> dict[str, Any]:
    """One limiter, of which `true` is what is allowed over what the kernel is told: what came back, and was refused."""
    command = [
        sys.executable, "-m", "benchmarks.provider", "--limiter", kind, "--requests", str(int(REQUESTS * true)),
        "--concurrency", str(CONCURRENCY), "--minute-ms", str(MINUTE_MS), "--first-ms", "5", "--token-ms", "2",
        "--shortest", "4", "--longest", "16",
    ]  # fmt: skip
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as provider,
    ):
        assert provider.stdin is not None
        assert provider.stdout is not None
        url = json.loads(provider.stdout.readline())["base_url"]
        answered = asyncio.run(_asked(Path(folder) / "home", url))
        provider.stdin.close()
        counts = json.loads(provider.stdout.readline())
    allowed = REQUESTS * true / 60 * counts["span_s"] * 1_000 / MINUTE_MS
    return {
        "lost": AGENTS * CALLS - answered,
        "http_429": counts["refused"],
        "at_once": counts["active_max"],
        "twice": counts["twice"],
        "utilisation": counts["answered"] / max(1.0, allowed),
        "span_s": counts["span_s"],
    }
