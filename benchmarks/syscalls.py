"""Durable no-ops a second, through the full gate, fold and chain: `python -m benchmarks.syscalls --json`.

Each no-op has an argument of 64 bytes. `inline_per_s`: 512 inline agents, one call in flight each. `worker_per_s`: 8
confined workers with 64 calls in flight each; of both, the median of five, taken in turns. `ratio_single`: the median
of one worker alone, over two bare inserts that are synced, plus 0.7 ms, on the same disk in the same run. With
`--peers`, `ratio_peers`: `worker_per_s` over the best that LangGraph and DBOS do with SQLite (durable steps a second),
in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import apsw
import uvloop

from benchmarks import peers
from prytany.ports.runner import Runner
from prytany.runtime.inline import InlineRunner
from prytany.system.logs import Logs
from prytany.system.shard import Shard
from prytany.userland.process import Process

ARGUMENT = bytes(range(64))
ROUNDS = 5
WORKER = """
import asyncio
from prytany import agent

@agent()
async def busy(proc, calls, flying):
    async def one(count):
        for _ in range(count):
            await proc.nop(bytes(range(64)))
    await asyncio.gather(*(one(calls // flying) for _ in range(flying)))
"""


async def inline(home: Path, agents: int, calls: int) -> float:
    """Calls a second of `agents` inline agents."""

    async def busy(proc: Process) -> None:
        for _ in range(calls):
            await proc.nop(ARGUMENT)

    def runners(logs: Logs) -> dict[str, Runner]:
        return {"inline": InlineRunner({f"{__file__}:stub": busy})}

    shard = await Shard.open(home, {}, running_max=agents, runners=runners)
    try:
        pids = [shard.kernel.operator.spawn(f"{__file__}:stub", [], {}, uid=0, kind="inline") for _ in range(agents)]
        began = time.perf_counter()
        await asyncio.gather(*(shard.kernel.operator.wait_ended(pid) for pid in pids))
        return agents * calls / (time.perf_counter() - began)
    finally:
        await shard.close()


async def stub(proc: Process) -> None:
    """Stands for the inline program, which has no text of its own."""


async def workers(home: Path, count: int, flying: int, calls: int) -> tuple[float, float]:
    """Calls a second of `count` confined workers, their start not counted; and the median from call to call, ms."""
    program = home.parent / "busy.py"
    program.write_text(WORKER)
    starts: dict[int, int] = {}
    times_ns: list[int] = []
    ends: list[int] = []

    def watch(seq: int, time_ns: int, events: Any) -> None:
        for event in events:
            kind = type(event).__name__
            if kind == "CallDone":
                starts.setdefault(event.pid, time_ns)
                times_ns.append(time_ns)
            elif kind == "ProcessExited":
                ends.append(time_ns)

    shard = await Shard.open(home, {}, running_max=count, watch=watch)
    try:
        pids = [shard.kernel.operator.spawn(f"{program}:busy", [calls, flying], {}, uid=0) for _ in range(count)]
        done = await asyncio.gather(*(shard.kernel.operator.wait_ended(pid) for pid in pids))
        assert all(end["status"] == 0 for end in done), done
        gaps_ns = [later - earlier for earlier, later in itertools.pairwise(times_ns)]
        return count * calls / ((max(ends) - min(starts.values())) / 1e9), statistics.median(gaps_ns) / 1e6
    finally:
        await shard.close()


def bare_insert_ms(folder: Path, count: int = 200) -> float:
    """The median of one bare insert with its sync."""
    connection = apsw.Connection(str(folder / "bare.db"))
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)",
    ):
        connection.execute(statement).fetchall()
    times: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        connection.execute("INSERT INTO t(b) VALUES (?)", (bytes(256),))
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def main() -> None:
    """Measure, and print one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peers", action="store_true", help="measure LangGraph and DBOS as well (installs them)")
    with_peers = parser.parse_args().peers
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inlines: list[float] = []
        confined: list[float] = []
        for turn in range(ROUNDS):  # by turns, so that what else the machine does meets both
            inlines.append(uvloop.run(inline(folder / f"a{turn}", 512, 400)))
            confined.append(uvloop.run(workers(folder / f"b{turn}", 8, 64, 12_800))[0])
        inline_per_s, worker_per_s = statistics.median(inlines), statistics.median(confined)
        bare_ms = bare_insert_ms(folder)
        _, single_ms = uvloop.run(workers(folder / "c", 1, 1, 1_000))
    figures: dict[str, float] = {
        "inline_per_s": round(inline_per_s),
        "worker_per_s": round(worker_per_s),
        "single_p50_ms": round(single_ms, 3),
        "bare_insert_ms": round(bare_ms, 3),
        "ratio_single": round(single_ms / (2 * bare_ms + 0.7), 3),
    }
    if with_peers:
        best = peers.steps_per_s()
        figures |= {f"{peer}_per_s": round(value) for peer, value in best.items()}
        figures["ratio_peers"] = round(worker_per_s / max(best.values()), 1)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
