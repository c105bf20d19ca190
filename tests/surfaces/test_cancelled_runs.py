"""A `run` that is cancelled ends its child, whenever that happens: nobody else knows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prytany.abi import events as ev
from prytany.system.shard import Shard
from tests.surfaces.shards import end_of, events_of, with_shard

PROGRAM = """
import asyncio

from prytany import agent
from prytany.userland import process


@agent(pledge="proc")
async def sleeper(proc, deaf):
    try:
        await proc.sleep(3600)
    except asyncio.CancelledError:
        if deaf:
            await proc.sleep(3600)
        raise


@agent(pledge="proc")
async def middle(proc, deaf):
    await proc.run(sleeper, deaf)


@agent(pledge="proc")
async def late(proc, deaf):
    if deaf:
        process.TIDY_S = 0.01
    try:
        async with asyncio.timeout(0.05):
            await proc.run(sleeper if deaf else middle, deaf, restarts=2)
    except TimeoutError:
        return "late"


@agent(pledge="proc")
async def at_once(proc):
    task = asyncio.ensure_future(proc.run(sleeper, False))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    gathered = await asyncio.gather(task, return_exceptions=True)
    return type(gathered[0]).__name__
"""


def run(tmp_path: Path, name: str, *args: Any) -> tuple[Any, dict[int, str], set[int]]:
    """What the program returned, how each of its children ended before it did, and which it took off the table."""
    path = tmp_path / "cancelled.py"
    path.write_text(PROGRAM)

    async def body(shard: Shard) -> tuple[Any, dict[int, str], set[int]]:
        ended = await end_of(shard, f"{path}:{name}", *args)
        events = events_of(shard)
        reaped = {e.pid for e in events if isinstance(e, ev.ProcessReaped)}
        return ended["result"], {e.pid: e.reason for e in events if isinstance(e, ev.ProcessExited)}, reaped

    return with_shard(tmp_path / "home", body)


def test_a_time_limit_ends_the_child_and_what_it_runs_in_turn(tmp_path: Path) -> None:
    result, ends, reaped = run(tmp_path, "late", False)
    assert result == "late"
    assert ends == {3: "ended by SIGTERM", 2: "ended by SIGTERM", 1: "returned"}
    assert list(ends) == [3, 2, 1]
    assert reaped == {2, 3}


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    result, ends, reaped = run(tmp_path, "late", True)
    assert result == "late"
    assert ends == {2: "killed", 1: "returned"}
    assert reaped == {2}


def test_a_child_that_is_only_being_spawned_is_ended_too(tmp_path: Path) -> None:
    result, ends, reaped = run(tmp_path, "at_once")
    assert result == "CancelledError"
    assert set(ends) == {1, 2}
    assert ends[2] != "returned"
    assert reaped == {2}
