"""Programs that fail in every way a program can, through a real kernel: each is an exit status and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prytany.system.shard import Shard
from tests.surfaces.shards import process, spawn, turns_until, with_shard

FILES = {
    "missing.py": "import not_installed_anywhere\nasync def main(proc): ...",
    "raises.py": "1 / 0\nasync def main(proc): ...",
    "circle.py": "import ring\nasync def main(proc): return ring.x",
    "ring.py": "import circle\nfrom circle import nothing",
    "broken_helper.py": "import broken\nasync def main(proc): ...",
    "broken.py": "def (",
    "exits_early.py": "import sys\nsys.exit(6)\nasync def main(proc): ...",
    "main.py": """
import asyncio, ctypes, os, sys, threading
from prytany import agent

async def loops(proc):
    while True:
        pass

async def refuses_to_die(proc):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

async def forks(proc):
    said = []
    for do in (os.fork, lambda: os.posix_spawn("/bin/true", ["true"], {}), threading.Thread(target=print).start):
        try:
            do()
        except Exception as error:
            said.append(getattr(error, "errno", None))
    libc = ctypes.CDLL(None, use_errno=True)
    return [*said, libc.fork(), ctypes.get_errno()]

async def memory(proc):
    hoard = []
    while True:
        hoard.append(bytearray(64 << 20))

async def recursion(proc):
    def again():
        return again()
    return again()

async def segfault(proc):
    ctypes.string_at(0)

async def leaves(proc):
    os._exit(7)

async def kills_itself(proc):
    ctypes.CDLL(None)["raise"](15)

async def says_bytes(proc):
    sys.stdout.buffer.write(bytes(range(256)))
    return object()

async def takes_time(proc):
    for n in range(200_000):
        pass
    await asyncio.sleep(0.001)
    return "done"
""",
}
ENDS: dict[str, tuple[int, str]] = {
    "missing.py:main": (1, "raised ModuleNotFoundError"),
    "raises.py:main": (1, "raised ZeroDivisionError"),
    "circle.py:main": (1, "raised ImportError"),
    "broken_helper.py:main": (1, "raised SyntaxError"),
    "exits_early.py:main": (6, "returned"),
    "main.py:memory": (1, "raised MemoryError"),
    "main.py:recursion": (1, "raised RecursionError"),
    "main.py:segfault": (139, "its worker was ended by signal 11"),
    "main.py:leaves": (7, "its worker ended with status 7 without saying so"),
    "main.py:kills_itself": (143, "its worker was ended by signal 15"),
    "main.py:says_bytes": (1, "raised Einval"),
    "main.py:loops": (137, "killed"),
    "main.py:refuses_to_die": (137, "killed"),
    "main.py:forks": (0, "returned"),
    "main.py:takes_time": (0, "returned"),
}
Ends = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Ends:
    folder = tmp_path_factory.mktemp("bad")
    for name, text in FILES.items():
        (folder / name).write_text(text)

    async def body(shard: Shard) -> Ends:
        operator = shard.kernel.operator
        pids = {target: spawn(shard, f"{folder}/{target}") for target in ENDS}
        stubborn = [pids["main.py:loops"], pids["main.py:refuses_to_die"]]
        others = [pid for pid in pids.values() if pid not in stubborn]
        await asyncio.gather(*(operator.wait_ended(pid) for pid in others))
        for pid in stubborn:
            operator.signal(pid, 15, uid=0)
            operator.signal(pid, 9, uid=0)
        found = {target: await operator.wait_ended(pid) for target, pid in pids.items()}
        await turns_until(lambda: not shard.kernel.workers.leaving)
        usage = process(shard, pids["main.py:takes_time"]).usage
        found["usage"] = {"cpu_us": usage.cpu_us, "run_us": usage.run_us, "wait_us": usage.wait_us}
        return found

    return with_shard(folder / "home", body)


@pytest.mark.parametrize("target", ENDS)
def test_a_program_that_fails_is_an_exit_status_with_a_reason(ends: Ends, target: str) -> None:
    assert (ends[target]["status"], ends[target]["reason"]) == ENDS[target], ends[target]


def test_no_way_to_another_process_works(ends: Ends) -> None:
    assert ends["main.py:forks"]["result"] == ["EPERM", "EPERM", "EPERM", -1, 1]


def test_what_a_program_took_is_known_when_its_worker_is_gone(ends: Ends) -> None:
    assert all(took > 0 for took in ends["usage"].values()), ends["usage"]


@pytest.mark.parametrize("target", ["raises.py:main", "missing.py:main", "circle.py:main", "main.py:recursion"])
def test_a_traceback_begins_with_the_program(ends: Ends, target: str) -> None:
    told = ends[target]["error"]["traceback"]
    first = next(line for line in told.splitlines() if line.startswith("  File "))
    assert target.partition(":")[0] in first
    assert "prytany/runtime/worker.py" not in told
