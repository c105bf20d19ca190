"""What the kernel adds to a model call: `python -m benchmarks.llm_path --json`.

An endpoint in a process of its own answers after 50 ms. `ratio_floor`: 100 inline agents of 5 calls each through the
whole kernel, over as many coroutines that write to raw sockets. `ratio_floor_1000`: 1,000 agents of 2 calls.
`ratio_workers`: the same 100 of 5 calls from 20 confined workers, 5 at once in each; their forks and their ends are
counted, the start of the zygote is not. All sides are measured in turn, nine times, and the medians are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

from prytany.drivers.models.openai import OpenAINative
from prytany.ports.runner import Runner
from prytany.runtime.inline import InlineRunner
from prytany.system.logs import Logs
from prytany.system.shard import Shard
from prytany.userland.agent import agent
from prytany.userland.process import Process

LATENCY_MS = 50
ROUNDS = 9
WORKERS = 20
PROGRAM = """
import asyncio
from prytany import agent

@agent(pledge="model")
async def asks(proc, agents, calls):
    async def one(number):
        for turn in range(calls):
            await proc.llm(f"question {proc.pid}.{number} {turn}", max_tokens=16)
    await asyncio.gather(*(one(number) for number in range(agents)))

@agent()
async def nothing(proc):
    pass
"""


@agent(pledge="model")
async def asks(proc: Process, calls: int) -> None:
    """One agent."""
    for turn in range(calls):
        await proc.llm(f"question {proc.pid} {turn}", max_tokens=16)


async def through_kernel(home: Path, url: str, agents: int, calls: int) -> float:
    """Seconds until all have ended."""

    def runners(logs: Logs) -> dict[str, Runner]:
        return {"inline": InlineRunner({f"{__file__}:asks": asks})}

    model = OpenAINative("m", base_url=url)
    shard = await Shard.open(home, {"": model, "m": model}, running_max=agents, runners=runners)
    try:
        began = time.perf_counter()
        pids = [
            shard.kernel.operator.spawn(f"{__file__}:asks", [calls], {}, uid=0, kind="inline") for _ in range(agents)
        ]
        ends = await asyncio.gather(*(shard.kernel.operator.wait_ended(pid) for pid in pids))
        took = time.perf_counter() - began
        assert all(end["status"] == 0 for end in ends), ends[0]
        return took
    finally:
        await shard.close()


async def from_workers(home: Path, url: str, agents: int, calls: int) -> float:
    """Seconds until all have ended, from `WORKERS` confined workers; the zygote is there before."""
    program = home.parent / "asks.py"
    program.write_text(PROGRAM)
    model = OpenAINative("m", base_url=url)
    shard = await Shard.open(home, {"": model, "m": model}, running_max=WORKERS)
    try:
        start, wait = shard.kernel.operator.spawn, shard.kernel.operator.wait_ended
        await wait(start(f"{program}:nothing", [], {}, uid=0))
        began = time.perf_counter()
        pids = [start(f"{program}:asks", [agents // WORKERS, calls], {}, uid=0) for _ in range(WORKERS)]
        ends = await asyncio.gather(*(wait(pid) for pid in pids))
        took = time.perf_counter() - began
        assert all(end["status"] == 0 for end in ends), ends[0]
        return took
    finally:
        await shard.close()


async def raw(url: str, agents: int, calls: int) -> float:
    """Seconds for the same requests on raw sockets, one connection an agent."""
    place = urlsplit(url)

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        for turn in range(calls):
            message = {"role": "user", "content": f"question {number} {turn}"}
            body = json.dumps({"model": "m", "messages": [message], "max_tokens": 16}).encode()
            head = f"POST {place.path}/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            json.loads(await reader.readexactly(int(length.split(b":")[1])))
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(agents)))
    return time.perf_counter() - began


def serve() -> None:
    """The endpoint's process: prints its address, and answers until its standard input ends."""
    from prytany.testing.model_endpoint import ModelEndpoint

    async def until_closed() -> None:
        async with ModelEndpoint(latency_ms=LATENCY_MS) as endpoint:
            print(endpoint.base_url, flush=True)
            await asyncio.to_thread(sys.stdin.read)

    uvloop.run(until_closed())


Side = Callable[[Path, str, int, int], Coroutine[Any, Any, float]]


def medians(folder: Path, url: str, agents: int, calls: int, sides: dict[str, Side]) -> dict[str, float]:
    """Each side's median, in seconds; the floor's too."""
    taken: dict[str, list[float]] = {name: [] for name in ("floor", *sides)}
    for turn in range(ROUNDS):
        taken["floor"].append(uvloop.run(raw(url, agents, calls)))
        for name, side in sides.items():
            taken[name].append(uvloop.run(side(folder / f"{name}-{agents}-{turn}", url, agents, calls)))
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> None:
    """Measure, and print one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help="be the endpoint")
    if parser.parse_args().serve:
        serve()
        return
    command = [sys.executable, "-m", "benchmarks.llm_path", "--serve"]
    with (
        tempfile.TemporaryDirectory() as name,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as endpoint,
    ):
        assert endpoint.stdout is not None
        assert endpoint.stdin is not None
        url = endpoint.stdout.readline().strip()
        few = medians(Path(name), url, 100, 5, {"inline": through_kernel, "workers": from_workers})
        many = medians(Path(name), url, 1000, 2, {"inline": through_kernel})
        endpoint.stdin.close()
    figures = {
        "inline_s": round(few["inline"], 3),
        "workers_s": round(few["workers"], 3),
        "floor_s": round(few["floor"], 3),
        "ratio_floor": round(few["inline"] / few["floor"], 2),
        "ratio_workers": round(few["workers"] / few["floor"], 2),
        "inline_1000_s": round(many["inline"], 3),
        "floor_1000_s": round(many["floor"], 3),
        "ratio_floor_1000": round(many["inline"] / many["floor"], 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
