"""How fast confined workers start, and what one costs: `python -m benchmarks.spawn --json`.

`spawn_per_s`: workers started through the Launcher until the first byte of each has come, four at once as a fleet
would, with none ended in between. `spawn_one_ms_p50`: the same, one at a time. `pss_kb`: the proportional set size of
one, averaged over all, with that many alive and idle. Every worker is confined as in production; only the entry is
replaced, by one that sends a byte and waits. Must not count the start of the zygote (`zygote_ms` says what it takes).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import socket
import statistics
import sys
import time

from prytany.runtime.launcher import Launcher, WorkerHandle
from prytany.runtime.messages import WorkerSpec

ENTRY = f"{os.path.abspath(__file__)}:worker"
TARGETS = {"spawn_per_s": 200, "pss_kb": 3_000}
AT_ONCE = 4


def worker(sock: socket.socket) -> int:
    """The entry of every worker of this benchmark: one byte, then idle until the kernel hangs up."""
    sock.sendall(b"r")
    sock.recv(1)
    return 0


async def _spawn(launcher: Launcher) -> WorkerHandle:
    handle = await launcher.fork(WorkerSpec())
    if await asyncio.get_running_loop().sock_recv(handle.sock, 1) != b"r":
        raise RuntimeError(f"a worker did not start: {os.read(handle.output_fd, 4_096).decode(errors='replace')}")
    return handle


def _pss_kb(os_pid: int) -> int:
    with open(f"/proc/{os_pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


async def measure(count: int) -> dict[str, float]:
    """Start `count` workers and weigh them."""
    launcher = Launcher(sys.executable, entry=ENTRY)
    began = time.perf_counter()
    await launcher.start()
    zygote_ms = (time.perf_counter() - began) * 1e3
    handles: list[WorkerHandle] = []
    left = iter(range(count))

    async def lane() -> None:
        for _ in left:
            handles.append(await _spawn(launcher))

    began = time.perf_counter()
    async with asyncio.TaskGroup() as lanes:
        for _ in range(AT_ONCE):
            lanes.create_task(lane())
    spawn_per_s = count / (time.perf_counter() - began)
    pss = [_pss_kb(handle.os_pid) for handle in handles]
    alone_ms: list[float] = []
    for _ in range(100):
        began = time.perf_counter()
        handle = await _spawn(launcher)
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
    figures = asyncio.run(measure(arguments.count))
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:18} {figure}")
    return int(figures["spawn_per_s"] < TARGETS["spawn_per_s"] or figures["pss_kb"] > TARGETS["pss_kb"])


if __name__ == "__main__":
    sys.exit(main())
