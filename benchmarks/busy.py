"""What a durable call costs beside workers that spin: `python -m benchmarks.busy --json`.

Four confined workers spin, two of class utility and two of background, each in a loop that never waits. Beside them an
interactive agent, in a confined worker of its own, makes durable no-ops of 64 bytes one after another, with a pause
between them in which it waits for the kernel's timer, as one does that talks with a person. What is counted is the time
from one no-op's entry to the next one's, which is a whole round: the worker, the kernel, the disk and back.

`busy_p99_ratio`: the p99 of these beside the four, over that without them; both in one kernel, in turns, pooled over
all turns. `load` is that of the machine when the run began: beside other work neither side is what it is alone.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop

from prytany.abi import events as ev
from prytany.abi.qos import Qos
from prytany.abi.signals import Signal
from prytany.system.shard import Shard

TARGET = 5
ROUNDS = 8
BURST = 20
BURSTS = 12
WARMING = 3
GONE_S = 0.2
"""In which killed workers are gone."""
PROGRAM = f"""
from prytany import agent

@agent()
async def asks(proc):
    for _ in range({BURSTS}):
        for _ in range({BURST}):
            await proc.nop(bytes(range(64)))
        await proc.sleep(0.005)

@agent()
async def spins(proc):
    await proc.nop(b"")
    while True:
        pass
"""
SPINNERS = (Qos.UTILITY, Qos.UTILITY, Qos.BACKGROUND, Qos.BACKGROUND)


class Bench:
    """A kernel, and what passes by."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "busy.py"
        self.program.write_text(PROGRAM)
        self.times_ns: dict[int, list[int]] = {}
        self.begun: dict[int, asyncio.Event] = {}
        self.shard: Shard

    def watch(self, seq: int, time_ns: int, events: Sequence[ev.Event]) -> None:
        """Note when no-ops were made."""
        for event in events:
            if type(event) is ev.CallDone and event.call == "nop":
                self.times_ns.setdefault(event.pid, []).append(time_ns)
                self.begun.setdefault(event.pid, asyncio.Event()).set()

    def spawn(self, name: str, qos: Qos) -> int:
        return self.shard.kernel.operator.spawn(f"{self.program}:{name}", [], {}, uid=0, qos=qos)

    async def asked_ms(self) -> list[float]:
        """The times of one interactive agent's calls; the first ones begin it."""
        pid = self.spawn("asks", Qos.INTERACTIVE)
        done = await self.shard.kernel.operator.wait_ended(pid)
        assert done["status"] == 0, done
        times = self.times_ns.pop(pid)
        bursts = [times[at : at + BURST] for at in range(0, len(times), BURST)]
        gaps = [(later - before) / 1e6 for burst in bursts for before, later in itertools.pairwise(burst)]
        return gaps[WARMING:]

    async def beside_ms(self) -> list[float]:
        """The same, beside those that spin."""
        kernel = self.shard.kernel
        pids = [self.spawn("spins", qos) for qos in SPINNERS]
        for pid in pids:
            await self.begun.setdefault(pid, asyncio.Event()).wait()
        found = await self.asked_ms()
        for pid in pids:
            kernel.operator.signal(pid, Signal.KILL, uid=0)
            await kernel.operator.wait_ended(pid)
        await asyncio.sleep(GONE_S)
        return found


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def measure(folder: Path) -> tuple[list[float], list[float]]:
    """Alone, and beside those that spin."""
    bench = Bench(folder)
    bench.shard = await Shard.open(folder / "home", {}, watch=bench.watch)
    alone: list[float] = []
    beside: list[float] = []
    try:
        await bench.asked_ms()  # the zygote starts
        for _ in range(ROUNDS):
            alone += await bench.asked_ms()
            beside += await bench.beside_ms()
    finally:
        await bench.shard.close()
    return alone, beside


def main() -> None:
    """Measure, and print one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        alone, beside = uvloop.run(measure(Path(name)))
    figures = {
        "calls": len(alone) + len(beside),
        "alone_p50_ms": round(statistics.median(alone), 3),
        "alone_p99_ms": round(percentile(alone, 0.99), 3),
        "beside_p50_ms": round(statistics.median(beside), 3),
        "beside_p99_ms": round(percentile(beside, 0.99), 3),
        "busy_p99_ratio": round(percentile(beside, 0.99) / percentile(alone, 0.99), 2),
        "load": round(load, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
