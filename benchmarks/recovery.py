"""How fast a fleet is back after `kill -9` of its kernel: `python -m benchmarks.recovery --json`.

A kernel in a process of its own runs 1,000 confined `python` processes, 64 at a time, each of which makes 100 no-ops,
all of them recorded. 936 then wait for a time that is an hour off. The last 64 ask a model that does not answer, and so
hold a place each. Then the kernel is killed with SIGKILL, and its workers die with it.

`recover_s`: from the start of the next kernel's process (interpreter, imports, opening, fold, zygote, 64 workers
forked, confined and replayed) until it has made an entry of its own durable, its state's digest is that of the state
that the kernel before it had, and the 64 stand where they stood, so that they would take the model's answer at once.
It is checked afterwards that nobody else was started, that one of the others comes back on demand with what it knew,
and that the fold from the first entry gives the same digest.

The history is made in lives of 256 processes, since workers that wait are alive until their kernel ends; between lives
the kernel is killed too, so that no snapshot of a clean end helps. `fold_entries` were folded beyond the last snapshot.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from prytany.drivers.models.scripted import ScriptedModel
from prytany.ports.model import ModelAnswer, ModelRequest

PROGRAM = """
import asyncio
from prytany import agent

@agent(pledge="model")
async def working(proc, calls, waits):
    for _ in range(calls):
        await proc.nop(bytes(range(64)))
    if not waits:
        return await proc.llm("?")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await proc.nop(b"after the kill")
        return calls
"""
TARGET_S = 3.0
A_LIFE = 256
DEADLINE_S = 120
PLACES = 64


class SilentModel(ScriptedModel):
    """A model that never answers."""

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        """Never returns."""
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody ends it")


def say(**facts: Any) -> None:
    """One line for whoever started this kernel."""
    print(json.dumps(facts), flush=True)


async def opened(home: Path, watch: Any = None) -> tuple[Any, dict[str, Any]]:
    """A kernel over `home`, and what its fold found."""
    from prytany.system import opening
    from prytany.system.shard import Shard

    composition: Any = opening  # its names are looked up when it opens
    found: dict[str, Any] = {}
    real = composition.fold_from_snapshot

    def noted(reader: Any) -> Any:
        folded = real(reader)
        found["digest"] = folded.state.digest().hex()
        found["fold_entries"] = folded.head.seq - folded.snapshot_seq
        found["fold_s"] = round(time.perf_counter() - began, 3)
        return folded

    composition.fold_from_snapshot = noted
    models: Any = {"": SilentModel()}
    began = time.perf_counter()
    return await Shard.open(home, models, running_max=PLACES, watch=watch), found


async def make(home: Path, waiting: int, asking: int, calls: int) -> None:
    """One life: start these, and say so when all of them are where they wait."""
    done, there = asyncio.Event(), 0

    def watch(seq: int, time_ns: int, events: Any) -> None:
        nonlocal there
        there += sum(type(event).__name__ == "CallOpened" for event in events)
        if there == waiting + asking:
            done.set()

    shard, _ = await opened(home, watch)
    kernel = shard.kernel
    program = f"{home.parent / 'working.py'}:working"
    for number in range(waiting + asking):
        kernel.operator.spawn(program, [calls, number < waiting], {}, uid=0)
    await done.wait()
    await kernel.ledger.journal.wait_durable(kernel.ledger.journal.head.seq)
    say(digest=kernel.ledger.state.digest().hex(), entries=kernel.ledger.journal.head.seq)
    await asyncio.get_running_loop().create_future()


async def recover(home: Path, asking: int) -> None:
    """The life that is measured, and then asked for more."""
    entered = time.clock_gettime(time.CLOCK_MONOTONIC)
    shard, found = await opened(home)
    kernel = shard.kernel
    opened_at = time.clock_gettime(time.CLOCK_MONOTONIC)
    await kernel.ledger.journal.wait_durable(kernel.ledger.journal.head.seq)
    live = kernel.workers.live
    if sum(one.cursor is None for one in live.values()) < asking:
        await back(kernel, asking)
    say(back=len(live), **found, entered=entered, opened=opened_at)
    waiting = [pid for pid in kernel.table.running if pid not in live]
    began = time.perf_counter()
    kernel.operator.signal(live_one := next(iter(live)), signal.SIGKILL, uid=0)  # a place for one more
    ended = asyncio.ensure_future(kernel.operator.wait_ended(waiting[0])) if waiting else None
    if ended is not None:
        kernel.operator.signal(waiting[0], signal.SIGTERM, uid=0)
        end = await ended
        say(on_demand_s=round(time.perf_counter() - began, 3), end=end, killed=live_one)
    await asyncio.get_running_loop().create_future()


async def back(kernel: Any, count: int) -> None:
    """Until so many stand where they stood."""
    there, real = asyncio.Event(), kernel.settled

    def settled(pid: int) -> None:
        real(pid)
        if sum(live.cursor is None for live in kernel.workers.live.values()) == count:
            there.set()

    kernel.settled = settled
    await there.wait()


class Life:
    """A kernel in a process of its own, which ends by SIGKILL."""

    def __init__(self, *arguments: object) -> None:
        self.began = time.clock_gettime(time.CLOCK_MONOTONIC)
        command = [sys.executable, "-m", "benchmarks.recovery", *map(str, arguments)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def hear(self) -> dict[str, Any]:
        """The next line that it says."""
        assert self._process.stdout is not None
        there, _, _ = select.select([self._process.stdout], [], [], DEADLINE_S)
        if not there:
            self.kill()
            raise RuntimeError(f"the kernel said nothing for {DEADLINE_S} s")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the kernel ended with status {self._process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def kill(self) -> None:
        """As a machine would."""
        self._process.kill()
        self._process.communicate()


def measure(folder: Path, processes: int, calls: int, asking: int) -> dict[str, Any]:
    """Make the history, kill, and time the recovery."""
    (folder / "working.py").write_text(PROGRAM)
    home = folder / "home"
    began = time.perf_counter()
    waiting, before = processes - asking, dict[str, Any]()
    while waiting > 0 or asking > 0:
        now = min(waiting, A_LIFE)
        waiting -= now
        last = waiting == 0
        life = Life("make", home, now, asking if last else 0, calls)
        before = life.hear()
        life.kill()
        if last:
            break
    history_s = time.perf_counter() - began
    life = Life("recover", home, asking)
    after = life.hear()
    recover_s = time.clock_gettime(time.CLOCK_MONOTONIC) - life.began
    figures = {
        "recover_s": round(recover_s, 3),
        "processes": processes,
        "calls_each": calls,
        "back": after["back"],
        "same_digest": after["digest"] == before["digest"] == folded_from_start(home, before["entries"]),
        "entries": before["entries"],
        "fold_entries": after["fold_entries"],
        "start_s": round(after["entered"] - life.began, 3),
        "fold_s": after["fold_s"],
        "open_s": round(after["opened"] - after["entered"], 3),
        "workers_s": round(recover_s - (after["opened"] - life.began), 3),
        "history_s": round(history_s, 1),
    }
    if processes > asking:
        late = life.hear()
        figures["on_demand_s"] = late["on_demand_s"]
        figures["on_demand_right"] = late["end"]["status"] == 0 and late["end"]["result"] == calls
    life.kill()
    return figures


def folded_from_start(home: Path, entries: int) -> str:
    """The digest of the state at that entry, by the long way."""
    from prytany.drivers.stores.memory import MemoryReader
    from prytany.drivers.stores.sqlite_reader import SqliteReader
    from prytany.kernel.folding import fold_from_start

    rows = list(SqliteReader(home / "journal.db").rows(1, entries))
    return fold_from_start(MemoryReader(rows, [], [])).state.digest().hex()


def main() -> int:
    """Print the figures; the exit status says whether the target was reached."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))  # a socket and a pipe for each alive
    if sys.argv[1:2] in (["make"], ["recover"]):
        import uvloop

        home, numbers = Path(sys.argv[2]), [int(number) for number in sys.argv[3:]]
        uvloop.run(make(home, *numbers) if sys.argv[1] == "make" else recover(home, *numbers))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--processes", type=int, default=1_000)
    parser.add_argument("--calls", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments.processes, arguments.calls, min(PLACES, arguments.processes))
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:16} {figure}")
    wrong = not figures["same_digest"] or not figures.get("on_demand_right", True) or figures["back"] > PLACES
    return int(wrong or figures["recover_s"] > TARGET_S)


if __name__ == "__main__":
    sys.exit(main())
