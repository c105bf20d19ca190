"""How long a crashed worker is away: `python -m benchmarks.restart --json`.

A confined `Server` with a state is sent a message at which its worker ends at once (`os._exit`, or a segmentation
fault); its supervisor begins it again, and the same message, which comes back with its attempts counted, is answered
with the state. `restart_p50_ms`: from sending it until that answer is durable, so that the first delivery, the
detection of the end, the entries of the restart, a new confined worker and its program are all in it; also p95, and
`warm_p50_ms`, the same message answered without a crash. Each is the first restart lately, which is at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prytany.abi import events as ev
from prytany.abi.supervision import INTENSITY_MAX
from prytany.drivers.models.scripted import ScriptedModel
from prytany.runtime.confined import ConfinedRunner
from prytany.system.shard import Shard

REACH_MS = 50
PROGRAM = """
import ctypes
import os

from prytany import Process, Server, agent


class Count(Server):
    pledge = "ipc"
    state: dict[str, int] = {"n": 0}

    async def on_add(self, how: str = "") -> int:
        if how and self.message.attempt == 1:
            os._exit(1) if how == "exit" else ctypes.string_at(0)
        self.state["n"] += 1
        return self.state["n"]


@agent(pledge="ipc proc")
async def main(proc: Process) -> None:
    await proc.supervise("one_for_one", intensity=%d, period_s=0.001)
    await proc.spawn(Count, restart="permanent")
    await proc.sleep(86_400)
"""


class Answers:
    """Tells of the replies to an operator's messages, as they become durable."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[float]] = {}
        self.failed = 0

    def watch(self, seq: int, time_ns: int, events: Sequence[ev.Event]) -> None:
        """See `Watcher`."""
        for event in events:
            if isinstance(event, ev.ProcessFailed):
                self.failed += 1
            elif isinstance(event, ev.MessageReplied) and event.number in self._waiting:
                self._waiting.pop(event.number).set_result(time.perf_counter())

    async def to(self, shard: Shard, pid: int, body: dict[str, Any]) -> float:
        """Send it, and wait; milliseconds."""
        began = time.perf_counter()
        number = shard.kernel.operator.send(pid, "add", body, uid=0)
        answered: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        return (await answered - began) * 1e3


async def measure(folder: Path, samples: int) -> dict[str, float]:
    """Crash it so often, by turns in both ways."""
    program, answers = folder / "crash.py", Answers()
    program.write_text(PROGRAM % INTENSITY_MAX)
    shard = await Shard.open(
        folder / "home", {"": ScriptedModel()}, watch=answers.watch,
        runners=lambda logs: {"python": ConfinedRunner(sys.executable, logs.append)},
    )  # fmt: skip
    try:
        root = shard.kernel.operator.spawn(f"{program}:main", [], {}, uid=0)
        while not shard.kernel.table.require(root).children:
            await shard.kernel.ledger.wait_entry(shard.kernel.ledger.journal.durable)
        server = next(iter(shard.kernel.table.require(root).children))
        await answers.to(shard, server, {})
        warm = [await answers.to(shard, server, {}) for _ in range(samples)]
        await answers.to(shard, server, {"how": "exit"})
        crashed = [await answers.to(shard, server, {"how": "fault" if n % 2 else "exit"}) for n in range(samples)]
        if answers.failed != samples + 1:
            raise RuntimeError(f"it failed {answers.failed} times, and was sent {samples + 1} crashes")
    finally:
        await shard.close()
    return {
        "restart_p50_ms": round(statistics.median(crashed), 2),
        "restart_p95_ms": round(statistics.quantiles(crashed, n=20)[-1], 2),
        "warm_p50_ms": round(statistics.median(warm), 2),
        "samples": samples,
    }


def main() -> int:
    """Print the figures; the exit status says whether the target was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--samples", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder), arguments.samples))
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:16} {figure}")
    return int(figures["restart_p50_ms"] > REACH_MS)


if __name__ == "__main__":
    sys.exit(main())
