"""One event to a thousand agents, durably: `python -m benchmarks.fanout --json`.

`fanout_ms`: from publishing it until the last of 1,000 live inline agents has it in hand, the median of the rounds.
`queued_ms`: an operator publishes it to 1,000 agents that wait and were put away, until it is durable in the mailboxes
of all, which is when whoever publishes is answered; and `woken_s`: until the last of them was back by replay and is
away again, through 16 workers, which here are none of the operating system.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from prytany import agent
from prytany.abi.control import PublishEvent
from prytany.kernel.topic_desk import publish_event
from prytany.ports.runner import UTILITY, Host, Runner, Worker
from prytany.runtime.inline import InlineRunner
from prytany.system.logs import Logs
from prytany.system.shard import Shard
from prytany.userland.process import Process

RECEIVERS = 1_000
ROUNDS = 15
GIVE_UP_S = 30.0
WORKERS = 16
BODY = {"bid": 1.0842, "ask": 1.0844, "venue": "x" * 100}


class Round:
    """What is measured of one event."""

    def __init__(self) -> None:
        self.began = self.answered = self.last = 0.0
        self.got = 0


class Bench:
    """One kernel's receivers and their publisher."""

    def __init__(self, receivers: int, rounds: int, pause_s: float) -> None:
        self.receivers, self.rounds, self.pause_s = receivers, rounds, pause_s
        self.measured = [Round() for _ in range(rounds)]
        self.waiting = 0

    async def receiver(self, proc: Process) -> None:
        """Takes each event."""
        await proc.subscribe("prices.*")
        self.waiting += 1
        while True:
            message = await proc.receive()
            found = self.measured[message.body["round"]]
            found.got += 1
            found.last = time.perf_counter()
            await message.done()

    async def publisher(self, proc: Process) -> None:
        """Publishes one, waits until all have it, and publishes the next."""
        for _ in range(self.receivers):
            await proc.spawn(f"{__file__}:receiver", pledge="ipc")
        while self.waiting < self.receivers:
            await proc.sleep(0.05)
        for number, found in enumerate(self.measured):
            await proc.sleep(self.pause_s)
            found.began = time.perf_counter()
            await proc.publish("prices.eurusd", round=number, **BODY)
            found.answered = time.perf_counter()
            while found.got < self.receivers:
                await proc.sleep(0.02)


@agent(pledge="ipc")
async def receiver(proc: Process) -> None:
    """Stands for the inline program."""


@agent(pledge="ipc proc")
async def publisher(proc: Process) -> None:
    """Stands for the inline program."""


async def measure(home: Path, bench: Bench, workers_max: int) -> list[Round]:
    """The rounds of one kernel."""

    def runners(logs: Logs) -> dict[str, Runner]:
        programs = {f"{__file__}:receiver": bench.receiver, f"{__file__}:publisher": bench.publisher}
        return {"inline": InlineRunner(programs)}

    running = bench.receivers + 1
    shard = await Shard.open(home, {}, running_max=running, workers_max=workers_max, runners=runners)
    try:
        pid = shard.kernel.operator.spawn(f"{__file__}:publisher", [], {}, uid=0, kind="inline")
        ended = await shard.kernel.operator.wait_ended(pid)
        assert ended["status"] == 0, ended
        assert all(found.got == bench.receivers for found in bench.measured)
        return bench.measured
    finally:
        await shard.close()


class Stepping:
    """A worker in place of a confined one, so that a thousand take no minutes to start: it takes one item, makes one
    call, and can be put away and come back by replay as those are."""

    identity = (1 << 30, 1)
    """Of no process that there can be."""

    def __init__(self, pid: int, host: Host, name: str) -> None:
        self._pid, self._host, self._name = pid, host, name
        self._delivered = 0
        self._killed = False

    def send(self, n: int, time_ns: int, errno: str, value: bytes) -> None:
        """Take one item, in a turn of its own."""
        asyncio.get_running_loop().call_soon(self._take, n, value)

    def _take(self, n: int, value: bytes) -> None:
        if self._killed:
            return
        self._delivered += 1
        found = msgspec.msgpack.decode(value)
        name, args = self._publisher(n) if self._name == "main" else self._receiver(n, found)
        call = (n + 1, name, msgspec.Raw(msgspec.msgpack.encode(args)))
        self._host.on_frame(self._pid, self._delivered, (call,))

    def _publisher(self, n: int) -> tuple[str, tuple[Any, ...]]:
        if n < RECEIVERS:
            return "process_spawn", (":receiver", [], {}, "receiver", ["ipc"])
        return "timer_wait", (1 << 62,)

    def _receiver(self, n: int, found: Any) -> tuple[str, tuple[Any, ...]]:
        if n == 0:
            return "topic_subscribe", ("prices.*",)
        return ("message_receive", ()) if n % 2 else ("message_done", (found["message"],))

    def kill(self) -> None:
        """See `Worker`."""
        self._killed = True
        asyncio.get_running_loop().call_soon(self._host.on_left, self._pid, 0)

    def at_frontier(self) -> None:
        """See `Worker`."""

    def hear(self) -> None:
        """See `Worker`."""

    def log(self, text: str) -> None:
        """See `Worker`."""

    def weigh(self, qos: int) -> bool:
        """See `Worker`."""
        return True

    def take_cpu_us(self) -> int:
        """See `Worker`."""
        return 0


class SteppingRunner:
    """Starts such workers."""

    async def start(self, pid: int, item: bytes, host: Host, qos: int = UTILITY) -> Worker:
        """See `Runner`."""
        return Stepping(pid, host, msgspec.msgpack.decode(item)["name"])

    async def close(self) -> None:
        """See `Runner`."""


AWAY = """
from prytany import agent

@agent(pledge="ipc proc")
async def main(proc): ...

@agent(pledge="ipc")
async def receiver(proc): ...
"""


async def measure_away(home: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds until it is queued, and until all have had it."""
    program = home.parent / "away.py"
    program.write_text(AWAY)
    shard = await Shard.open(
        home, {}, running_max=64, workers_max=WORKERS, runners=lambda logs: {"python": SteppingRunner()}
    )
    kernel = shard.kernel
    queued: list[float] = []
    woken: list[float] = []

    def away() -> bool:
        there = [p for p in kernel.table.processes.values() if p.idle and not kernel.post.box(p.pid).in_hand]
        return sum(p.pid not in kernel.workers.live for p in there) >= RECEIVERS - WORKERS

    try:
        kernel.operator.spawn(f"{program}:main", [], {}, uid=0, name="main")
        await _until(lambda: len(kernel.state.topics.subscribers) == RECEIVERS and away())
        for _ in range(rounds):
            next_seq = kernel.ledger.journal.head.seq + 1
            began = time.perf_counter()
            publish_event(kernel, PublishEvent("prices.eurusd", BODY), 0)
            await kernel.wait_durable(next_seq)
            queued.append(time.perf_counter() - began)
            await _until(away)
            woken.append(time.perf_counter() - began)
        return queued, woken
    finally:
        await shard.close()


async def _until(reached: Callable[[], bool]) -> None:
    give_up = time.perf_counter() + GIVE_UP_S
    while not reached():
        if time.perf_counter() > give_up:
            raise TimeoutError("what is waited for does not come")
        await asyncio.sleep(0.05)


def _ms(values: list[float]) -> float:
    return round(statistics.median(values) * 1e3, 1)


def main() -> None:
    """Measure, and print one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        live = Bench(RECEIVERS, asked.rounds, 0.05)
        rounds = uvloop.run(measure(Path(name) / "live", live, RECEIVERS + 1))
        queued, woken = uvloop.run(measure_away(Path(name) / "away", asked.rounds))
    figures = {
        "fanout_ms": _ms([found.last - found.began for found in rounds]),
        "queued_ms": _ms(queued),
        "woken_s": round(statistics.median(woken), 1),
        "receivers": RECEIVERS,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
