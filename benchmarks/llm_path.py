"""What the kernel adds to a model call: `python -m benchmarks.llm_path --json`.

An endpoint in a process of its own answers after 50 ms. `ratio_floor`: 100 inline agents of 5 calls each through the
whole kernel, over as many coroutines that write to raw sockets. `ratio_floor_1000`: 1,000 agents of 2 calls. Both sides
are measured in turn, three times, and the medians are compared.
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
from pathlib import Path
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
ROUNDS = 3


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


def ratio(folder: Path, url: str, agents: int, calls: int) -> tuple[float, float, float]:
    """Ours and the floor's median, in seconds, and their ratio."""
    ours: list[float] = []
    floor: list[float] = []
    for turn in range(ROUNDS):
        floor.append(uvloop.run(raw(url, agents, calls)))
        ours.append(uvloop.run(through_kernel(folder / f"{agents}-{turn}", url, agents, calls)))
    return statistics.median(ours), statistics.median(floor), statistics.median(ours) / statistics.median(floor)


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
        few = ratio(Path(name), url, 100, 5)
        many = ratio(Path(name), url, 1000, 2)
        endpoint.stdin.close()
    figures = {
        "ours_s": round(few[0], 3),
        "floor_s": round(few[1], 3),
        "ratio_floor": round(few[2], 2),
        "ours_1000_s": round(many[0], 3),
        "floor_1000_s": round(many[1], 3),
        "ratio_floor_1000": round(many[2], 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
