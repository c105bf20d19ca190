"""Confined workers that crash: their supervisor begins them again with pid, mailbox, contexts and state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.system.shard import Shard
from tests.surfaces.shards import end_of, events_of, with_shard

PROGRAM = """
import ctypes
import os

from prytany import Process, Server, agent


class Keeper(Server):
    pledge = "ipc model"
    state: list[str] = []

    async def on_keep(self, what: str, how: str = "") -> list[object]:
        self.state.append(what)
        if self.message.attempt == 1:
            if how == "exit":
                os._exit(7)
            elif how == "segfault":
                ctypes.string_at(0)
            elif how == "memory":
                kept = [bytearray(64 << 20) for _ in range(100)]
            elif how == "raise":
                raise ValueError("told to")
        return [self.state, self.proc.pid, self.message.attempt]


@agent(pledge="ipc model proc")
async def main(proc: Process, how: str) -> list[object]:
    await proc.supervise("one_for_all", intensity=3)
    first = await proc.spawn(Keeper, restart="permanent")
    second = await proc.spawn(Keeper, restart="permanent")
    await proc.call(first, "keep", what="a")
    await proc.call(second, "keep", what="x")
    said = await proc.call(first, "keep", what="b", how=how)
    other = await proc.call(second, "keep", what="y")
    return [said, other, first, second]
"""


@pytest.mark.parametrize("how", ["exit", "segfault", "memory", "raise"])
def test_a_worker_that_crashes_goes_on_with_its_state_and_its_sibling_with_its_own(tmp_path: Path, how: str) -> None:
    program = tmp_path / "crashes.py"
    program.write_text(PROGRAM)

    async def body(shard: Shard) -> tuple[dict[str, Any], list[ev.Event]]:
        return await end_of(shard, f"{program}:main", how), events_of(shard)

    ended, events = with_shard(tmp_path / "home", body)
    said, other, first, second = ended["result"]
    assert said == [["a", "b"], first, 2]
    assert other == [["x", "y"], second, 1]
    failed = [e for e in events if isinstance(e, ev.ProcessFailed)]
    assert [e.pid for e in failed] == [first]
    assert [e.pid for e in events if isinstance(e, ev.ProcessCycled)] == [second]
