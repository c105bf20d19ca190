"""Deadlocks of real workers, over locks, replies and children, also of those who wait without one over a restart."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.kernel.deadlocks import Deadlocks
from prytany.process.process import Process
from prytany.system.shard import Shard
from tests.surfaces.shards import end_of, spawn, with_shard

PROGRAM = """
import asyncio
from prytany import agent
from prytany.abi.errors import Edeadlk

@agent(pledge="ipc proc")
async def both(proc, mine, other):
    lock = proc.lock(mine)
    await lock.acquire()
    await proc.shared.write(f"ready/{mine}", 1)
    await proc.shared.wait("go")

    async def take(name):  # of two that are waited for at once, one comes: the program does nothing of that
        try:
            async with proc.lock(name):
                return name
        except Edeadlk as error:
            await lock.release()
            return error.detail["pids"]

    got = await asyncio.gather(take("free"), take(other))
    return got[1]

@agent(pledge="ipc proc")
async def main(proc):
    first = proc.lock("free")
    await first.acquire()
    pids = [await proc.spawn(both, *way) for way in ("xy", "yx")]
    for name in "xy":
        await proc.shared.wait(f"ready/{name}")
    await proc.shared.write("go", 1)
    await proc.sleep(0.1)
    await first.release()
    return pids, [(await proc.wait(pid)).result for pid in pids]

@agent(pledge="ipc proc")
async def mixed(proc):
    said = []
    server = await proc.spawn(asked)
    async with proc.lock("z"):
        try:
            await proc.call(server, "please")
        except Edeadlk:
            said.append("caller gave way")
    said.append((await proc.wait(server)).result)
    child = await proc.spawn(wants)
    async with proc.lock("w"):
        try:
            return [*said, (await proc.wait(child)).result]
        except Edeadlk:
            pass
    return [*said, "parent gave way", (await proc.wait(child)).result]

@agent(pledge="ipc")
async def asked(proc):
    message = await proc.receive()
    try:
        async with proc.lock("z"):
            await message.done("had it")
            return "asked had it"
    except Edeadlk:
        await message.done("no")
        return "asked gave way"

@agent(pledge="ipc")
async def wants(proc):
    try:
        async with proc.lock("w"):
            return "child had it"
    except Edeadlk:
        return "child gave way"
"""


def program(tmp_path: Path) -> Path:
    path = tmp_path / "dead.py"
    path.write_text(PROGRAM)
    return path


def found_in(home: Path) -> list[ev.DeadlockFound]:
    with closing(SqliteReader(home / "journal.db")) as reader:
        events = [event for row in reader.rows(1) for event in ev.decode_entry(row.record).events]
    return [event for event in events if isinstance(event, ev.DeadlockFound)]


def one_lock(process: Process) -> bool:
    """Whether it waits for a lock, and has got the other one that it waited for."""
    calls = [call.call for call in process.open.values()]
    return calls == ["lock_acquire"] and process.usage.calls >= 6


def gave_way(result: Any) -> bool:
    """Whether one of the two heard of both."""
    pids, said = result
    heard = [one for one in said if isinstance(one, list)]
    return len(heard) == 1 and sorted(heard[0]) == sorted(pids)


def test_who_waits_for_two_at_once_is_deadlocked_when_the_one_that_came_is_not_enough(tmp_path: Path) -> None:
    path = program(tmp_path)

    async def body(shard: Shard) -> Any:
        return await end_of(shard, f"{path}:main")

    result = with_shard(tmp_path / "home", body)["result"]
    assert gave_way(result), result
    (found,) = found_in(tmp_path / "home")
    assert sorted(found.pids) == sorted(result[0])


def test_replies_and_children_are_waits_as_locks_are_and_one_of_each_circle_gives_way(tmp_path: Path) -> None:
    path = program(tmp_path)

    async def body(shard: Shard) -> Any:
        return await end_of(shard, f"{path}:mixed")

    said = with_shard(tmp_path / "home", body)["result"]
    assert said in [
        [*first, *then]
        for first in (["caller gave way", "asked had it"], ["asked gave way"])
        for then in (["parent gave way", "child had it"], ["child gave way"])
    ]
    assert len(found_in(tmp_path / "home")) == 2


@pytest.mark.parametrize("workers_max", [256, 1])
def test_a_deadlock_that_a_kernel_left_behind_is_broken_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers_max: int
) -> None:
    path, home = program(tmp_path), tmp_path / "home"

    async def until_all_wait(shard: Shard) -> None:
        ledger = shard.kernel.ledger
        spawn(shard, f"{path}:main")
        while sum(one_lock(process) for process in ledger.table.processes.values()) < 2:
            await ledger.wait_entry(ledger.journal.durable)
        await ledger.journal.wait_durable(ledger.journal.head.seq)

    with monkeypatch.context() as patched:
        patched.setattr(Deadlocks, "_break", lambda self, pid: None)
        with_shard(home, until_all_wait, workers_max=workers_max)
    assert found_in(home) == []

    async def body(shard: Shard) -> Any:
        return await shard.kernel.operator.wait_ended(1)

    result = with_shard(home, body, workers_max=workers_max)["result"]
    assert gave_way(result), result
