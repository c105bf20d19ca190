"""How fast confined workers start, and what one costs: `python -m benchmarks.spawn --json`.

`spawn_per_s`: workers started through the Launcher, each from the request of a fork until the first call of the
program that was loaded in it has come, four at once as a fleet would, with none ended in between. `spawn_one_ms_p50`:
the same, one at a time. `pss_kb`: the proportional set size of one, averaged over all, with that many alive and
waiting in that call. Each is confined, entered and handed its start item as a kernel does it; what is left out is the
kernel's own part, its journal. Must not count the start of the zygote (`zygote_ms` says what it takes).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from prytany.abi import wire
from prytany.runtime.confinement import Confinement
from prytany.runtime.launcher import Launcher, WorkerHandle
from prytany.runtime.messages import WorkerSpec
from prytany.system.programs import find_program

TARGETS = {"spawn_per_s": 200, "pss_kb": 3_000}
AT_ONCE = 4
READ_BYTES = 1 << 16
PROGRAM = """
import asyncio
from prytany import agent


@agent(pledge="")
async def main(proc):
    await asyncio.sleep(3600)
"""


def start_item(folder: Path) -> bytes:
    """What a kernel sends to a worker of the program first."""
    path = folder / "main.py"
    path.write_text(PROGRAM)
    found = find_program(f"{path}:main", "")
    item = {
        "program": found.program, "python": "", "source": found.source, "args": [], "kwargs": {}, "seed": bytes(32),
        "pid": 1, "parent": 0, "incarnation": 1, "name": found.name, "pledge": list(found.pledge), "epoch": 0,
        "base": 0, "state": None, "migrating": False,
    }  # fmt: skip
    return wire.encode_item(wire.START, time.time_ns(), wire.OK, item)


async def _spawn(launcher: Launcher, item: bytes) -> WorkerHandle:
    loop = asyncio.get_running_loop()
    handle = await launcher.fork(WorkerSpec(confinement=Confinement()))
    await loop.sock_sendall(handle.sock, item)
    reader = wire.FrameReader()
    while data := await loop.sock_recv(handle.sock, READ_BYTES):
        for body in reader.feed(data):
            if [call.name for call in wire.decode_frame(body).calls] == ["timer_wait"]:
                return handle
    raise RuntimeError(f"a worker did not start: {os.read(handle.output_fd, 4_096).decode(errors='replace')}")


def _pss_kb(os_pid: int) -> int:
    with open(f"/proc/{os_pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


async def measure(count: int, item: bytes) -> dict[str, float]:
    """Start `count` workers with that first item, and weigh them."""
    launcher = Launcher(sys.executable)
    began = time.perf_counter()
    await launcher.start()
    zygote_ms = (time.perf_counter() - began) * 1e3
    handles: list[WorkerHandle] = []
    left = iter(range(count))

    async def lane() -> None:
        for _ in left:
            handles.append(await _spawn(launcher, item))

    began = time.perf_counter()
    async with asyncio.TaskGroup() as lanes:
        for _ in range(AT_ONCE):
            lanes.create_task(lane())
    spawn_per_s = count / (time.perf_counter() - began)
    pss = [_pss_kb(handle.os_pid) for handle in handles]
    alone_ms: list[float] = []
    for _ in range(100):
        began = time.perf_counter()
        handle = await _spawn(launcher, item)
        alone_ms.append((time.perf_counter() - began) * 1e3)
        handle.sock.close()
        await handle.exited
        os.close(handle.output_fd)
    began = time.perf_counter()
    await launcher.close()
    close_ms = (time.perf_counter() - began) * 1e3
    for handle in handles:
        handle.sock.close()
        os.close(handle.output_fd)
    return {
        "spawn_per_s": round(spawn_per_s, 1),
        "pss_kb": round(statistics.mean(pss), 1),
        "alive": count,
        "spawn_one_ms_p50": round(statistics.median(alone_ms), 2),
        "zygote_ms": round(zygote_ms, 1),
        "close_ms": round(close_ms, 1),
    }


def main() -> int:
    """Print the figures; the exit status says whether the targets were reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--count", type=int, default=500)
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))  # a socket and a pipe for each alive
    with tempfile.TemporaryDirectory() as folder:
        item = start_item(Path(folder))
    figures = asyncio.run(measure(arguments.count, item))
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:18} {figure}")
    return int(figures["spawn_per_s"] < TARGETS["spawn_per_s"] or figures["pss_kb"] > TARGETS["pss_kb"])


if __name__ == "__main__":
    sys.exit(main())
