"""A kernel with real confined workers, in the test's own process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from prytany.abi import events as ev
from prytany.drivers.models.scripted import ScriptedModel
from prytany.process.process import Process
from prytany.runtime.confined import ConfinedRunner
from prytany.runtime.inline import InlineRunner
from prytany.runtime.messages import ENTRY
from prytany.system.shard import Shard

DEADLINE_S = 60
T = TypeVar("T")


def with_shard(
    home: Path, body: Callable[[Shard], Awaitable[T]], *, entry: str = ENTRY, workers_max: int = 256,
    inline: dict[str, Any] | None = None,
) -> T:  # fmt: skip
    """Run `body` with a shard in that home, under a deadline, and close it."""

    async def run() -> T:
        shard = await Shard.open(
            home, {"": ScriptedModel()}, workers_max=workers_max,
            runners=lambda logs: {
                "python": ConfinedRunner(sys.executable, logs.append, entry=entry),
                "inline": InlineRunner(inline or {}, logs.append),
            },
        )  # fmt: skip
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await body(shard)
        finally:
            await shard.close()

    return asyncio.run(run())


def spawn(shard: Shard, target: str, *args: Any, python: str = "", kind: str = "python") -> int:
    """Start a root process."""
    return shard.kernel.operator.spawn(target, list(args), {}, uid=0, python=python, kind=kind)


async def end_of(shard: Shard, target: str, *args: Any, python: str = "", kind: str = "python") -> dict[str, Any]:
    """Run a program to its end."""
    return await shard.kernel.operator.wait_ended(spawn(shard, target, *args, python=python, kind=kind))


def events_of(shard: Shard) -> list[ev.Event]:
    """All that is in the journal."""
    return [e for row in shard.kernel.reader.rows(1) for e in ev.decode_entry(row.record).events]


def process(shard: Shard, pid: int) -> Process:
    """A row of the table."""
    return shard.kernel.table.require(pid)


async def turns_until(condition: Callable[[], object]) -> None:
    """Let the kernel, which runs in this loop, go on until that is so: for what no entry of the journal tells."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, no time
