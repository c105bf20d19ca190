"""Tools that do not wait for each other, and locks that nobody else wants: `python -m benchmarks.locks --json`.

`parallel_s`: 20 confined agents, each of which calls a tool of its own that takes 100 ms and has a resource to itself,
all at once: from the write of the shared value that they wait for until the last has its answer, the median of five.
The tools are in one file, whose process is up since the home was opened, as every process of tools without secrets is;
the agents were put to wait before. `parallel_files_s`: the same of 20 files, with a process each.

`locks_per_s`: 100 inline agents that take and release a lock of their own 200 times each: pairs a second, each two
durable entries, the median of five. `ratio_nop`: that over pairs of durable no-ops, in turns with it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from prytany.abi import events as ev
from prytany.ports.runner import Runner
from prytany.runtime.inline import InlineRunner
from prytany.system.logs import Logs
from prytany.system.shard import Shard
from prytany.userland.process import Process

ROUNDS = 5
AGENTS = 100
PAIRS = 200
TOOLS = 20
TOOL = """
@tool(effect="unsafe", resources=("device/{number}",))
def use_{number}() -> int:
    '''Takes 100 ms.'''
    time.sleep(0.1)
    return {number}
"""
CALLER = """
from prytany import agent

@agent(pledge="ipc tools proc")
async def main(proc, names):
    pids = [await proc.spawn(caller, name) for name in names]
    for number in range(len(names)):
        while await ready(proc) < len(names):
            await proc.sleep(0.01)
    await proc.sleep(0.2)
    await proc.shared.write("go", True)
    for pid in pids:
        assert (await proc.wait(pid)).ok

async def ready(proc):
    return len(await proc.shared.list("ready/"))

@agent(pledge="ipc tools")
async def caller(proc, name):
    await proc.shared.write(f"ready/{name}", 1)
    await proc.shared.wait("go")
    await proc.tools[name]()
"""


def tool_files(folder: Path, *, one: bool) -> tuple[list[Path], list[str]]:
    """The tools, in one file or in as many as there are; and their names."""
    folder.mkdir()
    texts = [TOOL.replace("{number}", str(number)) for number in range(TOOLS)]
    head = "import time\nfrom prytany import tool\n"
    files = {"bench": "".join(texts)} if one else {f"bench_{number}": text for number, text in enumerate(texts)}
    for name, text in files.items():
        (folder / f"{name}.py").write_text(head + text)
    named = ["bench" if one else f"bench_{number}" for number in range(TOOLS)]
    return [folder / f"{name}.py" for name in files], [f"{name}.use_{number}" for number, name in enumerate(named)]


async def parallel(home: Path, *, one: bool) -> float:
    """Seconds until all tools have answered that were called at once."""
    paths, names = tool_files(home.parent / f"{home.name}-tools", one=one)
    program = home.parent / "caller.py"
    program.write_text(CALLER)
    times: dict[str, int] = {}

    def watch(seq: int, time_ns: int, events: Any) -> None:
        for event in events:
            match event:
                case ev.SegmentWritten(name="go"):
                    times["go"] = time_ns
                case ev.ToolCalled():
                    times.setdefault("called", time_ns)
                    called.add((event.pid, event.n))
                case ev.CallClosed() if (event.pid, event.n) in called:
                    assert not event.errno
                    times["done"] = time_ns
                case _:
                    pass

    called: set[tuple[int, int]] = set()
    shard = await Shard.open(home, {}, running_max=TOOLS + 1, watch=watch, tools=paths)
    try:
        operator = shard.kernel.operator
        pid = operator.spawn(f"{program}:main", [names], {}, uid=0, tools=[str(path) for path in paths])
        ended = await operator.wait_ended(pid)
        assert ended["status"] == 0, ended
        assert len(called) == TOOLS
        return (times["done"] - times["go"]) / 1e9
    finally:
        await shard.close()


async def stub(proc: Process) -> None:
    """Stands for the inline programs, which have no text of their own."""


async def pairs_per_s(home: Path, *, locks: bool) -> float:
    """Pairs a second: of a lock and its release, or of two no-ops."""

    async def busy(proc: Process, number: int) -> None:
        if locks:
            lock = proc.lock(f"own/{number}")
            for _ in range(PAIRS):
                async with lock:
                    pass
        else:
            for _ in range(2 * PAIRS):
                await proc.nop(b"own")

    def runners(logs: Logs) -> dict[str, Runner]:
        return {"inline": InlineRunner({f"{__file__}:stub": busy})}

    shard = await Shard.open(home, {}, running_max=AGENTS, runners=runners)
    operator = shard.kernel.operator
    try:
        pids = [
            operator.spawn(f"{__file__}:stub", [number], {}, uid=0, kind="inline", pledge=["ipc"])
            for number in range(AGENTS)
        ]
        began = time.perf_counter()
        ends = await asyncio.gather(*(operator.wait_ended(pid) for pid in pids))
        assert all(end["status"] == 0 for end in ends)
        return AGENTS * PAIRS / (time.perf_counter() - began)
    finally:
        await shard.close()


def main() -> None:
    """Measure, and print one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.parse_args()
    one: list[float] = []
    files: list[float] = []
    locks: list[float] = []
    nops: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for turn in range(ROUNDS):  # by turns, so that what else the machine does meets all
            one.append(uvloop.run(parallel(folder / f"a{turn}", one=True)))
            files.append(uvloop.run(parallel(folder / f"b{turn}", one=False)))
            locks.append(uvloop.run(pairs_per_s(folder / f"c{turn}", locks=True)))
            nops.append(uvloop.run(pairs_per_s(folder / f"d{turn}", locks=False)))
    figures = {
        "parallel_s": round(statistics.median(one), 3),
        "parallel_files_s": round(statistics.median(files), 3),
        "locks_per_s": round(statistics.median(locks)),
        "ratio_nop": round(statistics.median(locks) / statistics.median(nops), 3),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
