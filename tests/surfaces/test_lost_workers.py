"""A zygote that dies takes its workers along: their processes go on where they stood, and nothing is done twice."""

from __future__ import annotations

import os
import signal
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.process.process import Process, State
from prytany.runtime import landlock
from prytany.runtime.confined import ConfinedRunner
from prytany.runtime.launcher import Launcher
from prytany.system.shard import Shard
from tests.surfaces.shards import events_of, process, spawn, turns_until, with_shard

pytestmark = pytest.mark.skipif(landlock.abi_version() == 0, reason="no Landlock on this machine")

PROGRAM = """
import asyncio
from prytany import agent

@agent(pledge="model proc")
async def main(proc, name):
    for turn in range(3):
        await proc.llm(f"{name} {turn}")
    print(f"{name} waits")
    child = await proc.spawn(sleeper)
    end = await proc.wait(child)
    await proc.llm(f"{name} again")
    return f"{name} {end.status}"

@agent()
async def sleeper(proc):
    await asyncio.sleep(3600)

@agent(pledge="model")
async def busy(proc):
    await proc.llm("busy")
    print("begins")
    while True:
        pass
"""
NAMES = "abc"


def launcher_of(shard: Shard) -> Launcher:
    """That of the one zygote."""
    runner: Any = shard.kernel.workers._runners["python"]
    assert isinstance(runner, ConfinedRunner)
    (launcher,) = runner._launchers.values()
    assert isinstance(launcher, Launcher)
    return launcher


def zygote_of(shard: Shard) -> int:
    """The os pid of the one zygote."""
    found = launcher_of(shard).zygote_pid
    assert found is not None
    return found


def test_running_and_waiting_processes_finish_after_their_zygote_was_killed(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(PROGRAM)

    async def body(shard: Shard) -> tuple[list[dict[str, Any]], list[ev.Event]]:
        workers, table, operator = shard.kernel.workers, shard.kernel.table, shard.kernel.operator
        roots = [spawn(shard, f"{tmp_path}/main.py:main", name) for name in NAMES]
        await turns_until(lambda: len(table.processes) > 3)  # one has come as far as its child, others are on their way
        first = zygote_of(shard)
        os.kill(first, signal.SIGKILL)

        def asleep() -> list[Process]:
            return [p for p in table.processes.values() if p.idle and p.open]

        def all_wait() -> bool:  # parents too: one that still ran, or came back, would have a worker again
            return len(asleep()) == 6 and all(live.cursor is None for live in workers.live.values())

        await turns_until(all_wait)
        second = zygote_of(shard)
        os.kill(second, signal.SIGKILL)
        await turns_until(lambda: not workers.live)  # all wait: they come back when something reaches them
        for child in [p for p in asleep() if p.parent]:
            operator.signal(child.pid, signal.SIGTERM, uid=0)
        ends = [await operator.wait_ended(pid) for pid in roots]
        assert len({first, second, zygote_of(shard)}) == 3
        return ends, events_of(shard)

    ends, events = with_shard(tmp_path / "home", body)
    assert [(end["status"], end["result"]) for end in ends] == [(0, f"{name} 143") for name in NAMES], ends
    asked = Counter(e.call for e in events if isinstance(e, ev.CallOpened | ev.CallDone))
    assert asked["model_chat"] == len(NAMES) * 4
    assert asked["process_spawn"] == len(NAMES)
    assert not [e for e in events if isinstance(e, ev.ProcessFailed | ev.ProcessPaused | ev.IncidentOpened)]


def test_a_process_that_is_lost_again_and_again_where_it_stands_is_ended_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(PROGRAM)

    async def body(shard: Shard) -> tuple[dict[str, Any], bool]:
        pid = spawn(shard, f"{tmp_path}/main.py:busy")
        live = shard.kernel.workers.live
        await turns_until(lambda: pid in live)
        for _ in range(limits.WORKER_LOSSES_MAX):
            await turns_until(lambda: pid in live and live[pid].sent > 1)
            assert process(shard, pid).state is State.RUNNING
            lost = live[pid]
            os.kill(zygote_of(shard), signal.SIGKILL)
            await turns_until(partial(getattr, lost, "leaving"))
        return await shard.kernel.operator.wait_ended(pid), bool(shard.kernel.workers.losses)

    end, remembered = with_shard(tmp_path / "home", body)
    assert (end["status"], end["signal"]) == (1, 0)
    assert "lost 3 times" in end["reason"]
    assert "zygote" in end["reason"]
    assert not remembered


def test_a_worker_that_was_asked_of_a_zygote_that_dies_is_asked_of_the_next(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(PROGRAM)

    async def body(shard: Shard) -> dict[str, Any]:
        pid = spawn(shard, f"{tmp_path}/main.py:sleeper")
        await turns_until(lambda: process(shard, pid).idle)
        zygote = zygote_of(shard)
        os.kill(zygote, signal.SIGSTOP)
        second = spawn(shard, f"{tmp_path}/main.py:sleeper")
        await turns_until(lambda: launcher_of(shard).pending)
        os.kill(zygote, signal.SIGKILL)
        shard.kernel.operator.signal(second, signal.SIGTERM, uid=0)
        return await shard.kernel.operator.wait_ended(second)

    end = with_shard(tmp_path / "home", body)
    assert (end["status"], end["reason"]) == (143, "ended by SIGTERM"), end
