"""`proc.sleep`, `now`, `random` and `log`, in a worker and inline: recorded, and each line logged once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from prytany.system.shard import Shard
from tests.surfaces.shards import end_of, with_shard

PROGRAM = """
from prytany import agent

@agent()
async def main(proc):
    before = proc.now()
    proc.log("begins", pid=proc.pid)
    await proc.sleep(0.002)
    after = proc.now()
    proc.log("two\\nlines", drawn=proc.random() < 1)
    await proc.sleep(-1)
    await proc.sleep(0)
    refused = 0
    for seconds in (float("nan"), float("inf"), 1e300):
        try:
            await proc.sleep(seconds)
        except Exception as error:
            refused += type(error).__name__ == "Einval"
    return [before.isoformat(), after.isoformat(), proc.random(), proc.random(), refused]

@agent(pledge="proc")
async def twice(proc):
    proc.log("one")
    first = proc.random()
    pid = await proc.spawn(main)
    ended = await proc.wait(pid)
    proc.log("two")
    return [first, proc.random()]
"""


def load(path: Path) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(PROGRAM, str(path), "exec"), names)
    return {f"{path}:{name}": names[name] for name in ("main", "twice")}


@pytest.mark.parametrize("kind", ["python", "inline"])
def test_time_goes_on_chance_differs_and_lines_are_lines(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "comfort.py"
    path.write_text(PROGRAM)

    async def body(shard: Shard) -> tuple[dict[str, Any], str]:
        ended = await end_of(shard, f"{path}:main", kind=kind)
        return ended, shard.logs.path(1).read_text()

    ended, log = with_shard(tmp_path / "home", body, inline=load(path))
    before, after, one, two, refused = ended["result"]
    assert (datetime.fromisoformat(after) - datetime.fromisoformat(before)).total_seconds() >= 0.002
    assert datetime.fromisoformat(before).utcoffset() is not None
    assert 0 <= one < 1
    assert one != two
    assert refused == 3
    assert [line.partition(" ")[2] for line in log.splitlines()] == ["begins pid=1", "two\\nlines drawn=True"]


def test_a_process_that_comes_back_draws_the_same_and_logs_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "comfort.py"
    path.write_text(PROGRAM)

    async def body(shard: Shard) -> tuple[dict[str, Any], str]:
        ended = await end_of(shard, f"{path}:twice")
        return ended, shard.logs.path(1).read_text()

    ended, log = with_shard(tmp_path / "home", body, workers_max=1)
    assert ended["status"] == 0, ended
    assert ended["result"][0] != ended["result"][1]
    assert [line.partition(" ")[2] for line in log.splitlines()] == ["one", "two"]
