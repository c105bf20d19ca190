"""Whether a call costs more where there are many processes: `python -m benchmarks.scaling --json`.

Two kernels, each in a process of its own on the same disk. One has 10 processes in its table, the other 10,000; in
both, 10 inline agents make durable no-ops of 64 bytes with 64 calls in flight each, and all the others wait for a time.
They take turns, so that what else the machine does falls on both. A turn is long enough for a snapshot of the larger
state.

`cost_ratio`: a call's cost with 10,000 over its cost with 10; of wall time or of processor time (loop and writer
together), whichever is worse; each is the median over the turns. Snapshots and the collector are part of it.
`snapshots`: how many the larger one kept meanwhile.
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
from typing import Any

from prytany.ports.runner import Runner
from prytany.runtime.inline import InlineRunner
from prytany.system.logs import Logs
from prytany.system.shard import Shard
from prytany.userland.process import Process

ARGUMENT = bytes(range(64))
CALLERS, FLYING = 10, 64
TARGET = 1.3
AN_HOUR_NS = 3_600_000_000_000


async def caller(proc: Process, calls: int) -> None:
    """Makes `calls` no-ops, some at once."""

    async def one() -> None:
        for _ in range(calls // FLYING):
            await proc.nop(ARGUMENT)

    await asyncio.gather(*(one() for _ in range(FLYING)))


async def waiter(proc: Process, until_ns: int) -> None:
    """Waits."""
    await proc.calls.timer_wait(until_ns)


async def serve(home: Path, processes: int, calls: int) -> None:
    """A kernel that makes a turn for each line that it reads, and says what it took."""

    def runners(logs: Logs) -> dict[str, Runner]:
        return {"inline": InlineRunner({f"{__file__}:caller": caller, f"{__file__}:waiter": waiter})}

    there, waits = asyncio.Event(), 0

    def watch(seq: int, time_ns: int, events: Any) -> None:
        nonlocal waits
        waits += sum(type(event).__name__ == "CallOpened" for event in events)
        if waits == processes - CALLERS:
            there.set()

    shard = await Shard.open(home, {}, runners=runners, watch=watch)
    kernel, wait = shard.kernel, shard.kernel.operator.wait_ended
    until_ns = time.time_ns() + AN_HOUR_NS
    for _ in range(processes - CALLERS):
        kernel.operator.spawn(f"{__file__}:waiter", [until_ns], {}, uid=0, kind="inline", pledge=[])
    if processes > CALLERS:
        await there.wait()
    print(json.dumps({"processes": len(kernel.table.processes) + CALLERS}), flush=True)
    loop = asyncio.get_running_loop()
    while (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        wall, cpu = time.perf_counter(), time.process_time()
        pids = [
            kernel.operator.spawn(f"{__file__}:caller", [calls // CALLERS], {}, uid=0, kind="inline", pledge=[])
            for _ in range(CALLERS)
        ]
        await asyncio.gather(*(wait(pid) for pid in pids))
        took: dict[str, Any] = {"wall_us": (time.perf_counter() - wall) / calls * 1e6}
        took["cpu_us"] = (time.process_time() - cpu) / calls * 1e6
        took["snapshots"] = len(list(kernel.reader.snapshots()))
        took["snapshot_seq"] = max((s.seq for s in kernel.reader.snapshots()), default=0)
        print(json.dumps(took), flush=True)
    await shard.close()


class Served:
    """A kernel with so many processes, in a process of its own."""

    def __init__(self, folder: Path, processes: int, calls: int) -> None:
        command = [sys.executable, "-m", "benchmarks.scaling", "serve", str(folder), str(processes), str(calls)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.processes = self._hear()["processes"]

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the kernel ended with status {self._process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def turn(self) -> dict[str, Any]:
        """One turn, and what it took."""
        assert self._process.stdin is not None
        self._process.stdin.write("turn\n")
        self._process.stdin.flush()
        return self._hear()

    def close(self) -> None:
        """Let it end."""
        self._process.communicate("\n")


def measure(folder: Path, processes: int, calls: int, turns: int) -> dict[str, Any]:
    """Both kernels, in turns."""
    few, many = Served(folder / "few", CALLERS, calls), Served(folder / "many", processes, calls)
    few.turn()
    began = many.turn()["snapshot_seq"]
    both: list[tuple[dict[str, Any], dict[str, Any]]] = []
    kept: set[int] = set()
    for number in range(turns):
        if number % 2:
            of_many, of_few = many.turn(), few.turn()
        else:
            of_few, of_many = few.turn(), many.turn()
        both.append((of_few, of_many))
        kept.add(of_many["snapshot_seq"])
    few.close()
    many.close()

    def median(which: int, name: str) -> float:
        return float(statistics.median(turn[which][name] for turn in both))

    ratios = {name: statistics.median(b[name] / a[name] for a, b in both) for name in ("wall_us", "cpu_us")}
    return {
        "cost_ratio": round(max(ratios.values()), 3),
        "wall_ratio": round(ratios["wall_us"], 3),
        "cpu_ratio": round(ratios["cpu_us"], 3),
        "wall_us_few": round(median(0, "wall_us"), 2),
        "wall_us_many": round(median(1, "wall_us"), 2),
        "cpu_us_few": round(median(0, "cpu_us"), 2),
        "cpu_us_many": round(median(1, "cpu_us"), 2),
        "processes": many.processes,
        "snapshots": len(kept - {began}),
        "turns": turns,
    }


def main() -> int:
    """Print the figures; the exit status says whether the target was reached."""
    if sys.argv[1:2] == ["serve"]:
        import uvloop

        uvloop.run(serve(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--processes", type=int, default=10_000)
    parser.add_argument("--calls", type=int, default=32_000, help="a turn")
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments.processes, arguments.calls, arguments.turns)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:14} {figure}")
    return int(figures["cost_ratio"] > TARGET or not figures["snapshots"])


if __name__ == "__main__":
    sys.exit(main())
