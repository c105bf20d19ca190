"""What agents cost that wait, and how fast they wake: `python -m benchmarks.waiting --json`.

`rss_kb_waiting`: how much the kernel's resident memory grew by each of 10,000 confined agents that made 100 calls and
wait for a message, all but 64 of them put away without a worker. `wake_p50_ms`: from a message to one of those until
the reply to it is durable, its worker begun and its record replayed in between; the median of 200, one at a time, none
twice. `wake_server_p50_ms`: the same of `Server`s that answered 10,000 messages each; of 4, in turns, put away in
between. With `--count` fewer agents.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.system.shard import Shard

AGENTS = 10_000
CALLS = 100
MESSAGES = 10_000
SERVERS = 4
SAMPLES = 200
WORKERS = 64
AT_ONCE = 256
SEED = 5
PROGRAM = """
from prytany import Server, agent

@agent(pledge="ipc")
async def waits(proc, calls):
    for _ in range(calls):
        await proc.nop(bytes(64))
    while True:
        message = await proc.receive()
        await message.done(message.body["at"])

class Counter(Server):
    pledge = "ipc"
    state: int = 0

    async def on_count(self, at: int) -> int:
        self.state += 1
        return self.state
"""


class Watch:
    """Who waits for a message, and which messages are done."""

    def __init__(self) -> None:
        self.waiting: set[int] = set()
        self._done: dict[int, asyncio.Future[None]] = {}

    def __call__(self, seq: int, time_ns: int, events: Sequence[ev.Event]) -> None:
        """Take a durable entry."""
        for event in events:
            if isinstance(event, ev.MessageAwaited):
                self.waiting.add(event.receiver)
            elif isinstance(event, ev.MessageDone) and (done := self._done.pop(event.number, None)) is not None:
                done.set_result(None)

    def done(self, number: int) -> asyncio.Future[None]:
        """When the message is finished with."""
        self._done[number] = asyncio.get_running_loop().create_future()
        return self._done[number]


def resident_kb() -> int:
    """Of this process."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


async def wake_ms(shard: Shard, watch: Watch, pid: int, kind: str) -> float:
    """One message to an agent that has no worker, until its answer is durable."""
    assert pid not in shard.kernel.workers.live, "it was not put away"
    began = time.perf_counter()
    await watch.done(shard.kernel.operator.send(pid, kind, {"at": 1}, uid=0))
    return (time.perf_counter() - began) * 1e3


async def until_waiting(watch: Watch, pids: Sequence[int], what: str) -> None:
    """Return when all of them wait for a message."""
    while left := sum(pid not in watch.waiting for pid in pids):
        print(f"{what}: {left} to go", end="\r", file=sys.stderr, flush=True)
        await asyncio.sleep(1)


async def measure(home: Path, count: int, samples: int, messages: int) -> dict[str, float]:
    """All figures, in one kernel."""
    program = home.parent / "waiting_program.py"
    program.write_text(PROGRAM)
    watch = Watch()
    shard = await Shard.open(home, {}, running_max=WORKERS, workers_max=WORKERS, watch=watch)
    spawn = shard.kernel.operator.spawn
    try:
        first = spawn(f"{program}:waits", [CALLS], {}, uid=0)
        await until_waiting(watch, [first], "the first")
        before_kb = resident_kb()
        pids: list[int] = []
        while len(pids) < count:
            some = [spawn(f"{program}:waits", [CALLS], {}, uid=0) for _ in range(min(AT_ONCE, count - len(pids)))]
            await until_waiting(watch, some, f"agents from {len(pids)} of {count}")
            pids += some
        after_kb = resident_kb()
        asleep = [pid for pid in pids if pid not in shard.kernel.workers.live]
        chosen = random.Random(SEED).sample(asleep, min(samples, len(asleep)))
        wakes = [await wake_ms(shard, watch, pid, "note") for pid in chosen if pid not in shard.kernel.workers.live]
        servers = [spawn(f"{program}:Counter", [], {}, uid=0) for _ in range(SERVERS)]
        await asyncio.gather(*(answer(shard, watch, pid, messages) for pid in servers))
        others = (pid for pid in itertools.cycle(asleep) if pid not in shard.kernel.workers.live)
        of_servers: list[float] = []
        for turn in range(samples):
            pid = servers[turn % SERVERS]
            while pid in shard.kernel.workers.live:
                await wake_ms(shard, watch, next(others), "note")
            of_servers.append(await wake_ms(shard, watch, pid, "count"))
        return {
            "rss_kb_waiting": round((after_kb - before_kb) / count, 2),
            "wake_p50_ms": round(statistics.median(wakes), 2),
            "wake_p99_ms": round(statistics.quantiles(wakes, n=100)[98], 2),
            "wake_server_p50_ms": round(statistics.median(of_servers), 2),
        }
    finally:
        await shard.close()


async def answer(shard: Shard, watch: Watch, pid: int, number: int) -> None:
    """Send so many messages to a server, a mailbox's half at once."""
    left = number
    while left:
        some = min(left, limits.MAILBOX_MESSAGES_MAX // 2)
        done = [watch.done(shard.kernel.operator.send(pid, "count", {"at": 1}, uid=0)) for _ in range(some)]
        await asyncio.gather(*done)
        left -= some


def main() -> None:
    """Measure, and print one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--count", type=int, default=AGENTS)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = uvloop.run(measure(Path(name) / "home", given.count, given.samples, given.messages))
    print(json.dumps({"agents": given.count, **figures}))


if __name__ == "__main__":
    main()
