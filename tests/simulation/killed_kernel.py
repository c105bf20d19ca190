"""A kernel in a process of its own that kills itself at an entry: `python -m tests.simulation.killed_kernel`.

Arguments: home, output, the endpoint's address, the entry (0: none), `before` or `after` its commit. It prints the end
of the root as JSON, or dies by SIGKILL.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from prytany.drivers.models.openai import OpenAINative
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.ports.store import Body, Row
from prytany.system import opening as system_opening
from prytany.system.shard import Shard

T = TypeVar("T")
PROGRAM = Path(__file__).parent / "programs" / "relay.py"
FUNCTION = "start"


class Deadly(SqliteStore):
    """Commits entry by entry, and ends this process before or after the one of that number."""

    stop_at = 0
    after = False

    def commit(self, rows: Sequence[Row], bodies: Sequence[Body], *, reserve: bool = False) -> None:
        for row in rows:
            if row.seq == self.stop_at and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            super().commit([row], bodies, reserve=reserve)
            bodies = ()
            if row.seq == self.stop_at:
                os.kill(os.getpid(), signal.SIGKILL)


async def unless_failed(shard: Shard, awaited: Awaitable[T]) -> T:
    """What `awaited` gives, if the kernel lives to see it."""
    ended = asyncio.ensure_future(awaited)
    first: list[asyncio.Future[Any]] = [ended, shard.failed]
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    return ended.result()


async def live(home: Path, output: str, url: str) -> dict[str, Any]:
    model = OpenAINative("m", base_url=url)
    shard = await Shard.open(home, {"": model, "m": model})
    try:
        roots = [p.pid for p in shard.kernel.table.processes.values() if p.pid == p.run]
        pid = roots[0] if roots else shard.kernel.operator.spawn(
            f"{PROGRAM}:{FUNCTION}", [output] if FUNCTION == "start" else [], {}, uid=os.getuid(), unveil={output: "rw"}
        )  # fmt: skip
        return await unless_failed(shard, shard.kernel.operator.wait_ended(pid))
    finally:
        await shard.close()


def main() -> None:
    home, output, url, stop_at, when = sys.argv[1:]
    Deadly.stop_at, Deadly.after = int(stop_at), when == "after"
    vars(system_opening)["SqliteStore"] = Deadly
    print(json.dumps(uvloop.run(live(Path(home), output, url))))


if __name__ == "__main__":
    main()
