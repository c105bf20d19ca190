"""A message that kills its reader, as the operating system kills: it is a dead letter, and its reader lives."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from prytany.kernel.mail_views import dead_rows
from prytany.system.shard import Shard

PROGRAM = """
import ctypes
import os
from prytany import Process, Server, agent
from prytany.abi.errors import Epipe


class Victim(Server):
    pledge = "ipc"
    state: list[str] = []

    async def on_eat(self, how: str) -> int:
        if how == "abort":
            os.abort()
        if how == "memory":
            bytearray(8 << 30)
        if how == "nothing":
            ctypes.string_at(0)
        self.state.append(how)
        return len(self.state)


@agent(pledge="ipc proc")
async def main(proc: Process) -> list[object]:
    victim = await proc.spawn(Victim, restarts=1)
    said: list[object] = []
    for how in ("well", "abort", "memory", "nothing", "well"):
        try:
            said.append(await proc.call(victim, "eat", how=how))
        except Epipe:
            said.append(how)
    await proc.kill(victim, 9)
    await proc.wait(victim)
    return said
"""


def test_a_message_that_kills_its_reader_ends_among_the_dead_letters(tmp_path: Path) -> None:
    (tmp_path / "poison.py").write_text(PROGRAM)

    async def run() -> tuple[Any, list[tuple[int, list[str]]]]:
        shard = await Shard.open(tmp_path / "home", {})
        try:
            pid = shard.kernel.operator.spawn(f"{tmp_path / 'poison.py'}:main", [], {}, uid=os.getuid())
            ended = await shard.kernel.operator.wait_ended(pid)
            rows = dead_rows(shard.kernel.state, 0, shard.kernel.now_ns())
            return ended["result"], [(row.attempts, [at.reason for at in row.tries]) for row in rows]
        finally:
            await shard.close()

    result, dead = asyncio.run(run())
    assert result == [1, "abort", "memory", "nothing", 2]
    assert [attempts for attempts, _ in dead] == [2, 2, 2]  # its only restart, which each of them gave back
    why = [reasons[-1] for _, reasons in dead]
    assert why[0] == "its worker was ended by signal 6"
    assert why[1:] == ["raised MemoryError", "its worker was ended by signal 11"]
