"""Records new histories with the code as it is: `python -m tests.histories.record` (as a user who may write to /srv).

It runs `market.py` of the simulations, copied to /srv/prytany so that no machine's paths are recorded: once to its end,
and once until the kernel is killed with an unsafe tool begun and a conversation, servers and a timer under way. The two
files are named by the version; to keep an older pair, raise the version first. A recorded history is never changed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from prytany import __version__
from prytany.abi import events as ev
from prytany.drivers.models.openai import OpenAINative
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.ports.store import Body, Row
from prytany.system import opening as system_opening
from prytany.system.shard import Shard
from prytany.testing.model_endpoint import ModelEndpoint
from tests.histories.history import write_down

PROGRAMS = Path(__file__).resolve().parents[1] / "simulation" / "programs"
PLACE = Path("/srv/prytany")
OUTPUT = PLACE / "out"


class Deadly(SqliteStore):
    """Ends this process when an unsafe effect was begun, and nothing is known of it."""

    unsafe: ClassVar[set[tuple[int, int]]] = set()
    begun = 0

    def commit(self, rows: Sequence[Row], bodies: Sequence[Body], *, reserve: bool = False) -> None:
        for row in rows:
            super().commit([row], bodies, reserve=reserve)
            bodies = ()
            for event in ev.decode_entry(row.record).events:
                if isinstance(event, ev.ToolCalled) and event.effect == "unsafe":
                    self.unsafe.add((event.pid, event.n))
                elif isinstance(event, ev.ToolStarted) and (event.pid, event.n) in self.unsafe:
                    self.begun += 1
            if self.begun == 1:
                os.kill(os.getpid(), signal.SIGKILL)


async def live(home: Path) -> None:
    """Run the fleet to its end."""
    async with ModelEndpoint(latency_ms=20) as endpoint:
        model = OpenAINative("m", base_url=endpoint.base_url)
        shard = await Shard.open(home, {"": model, "m": model}, tools=[PLACE / "shop.py"])
        pid = shard.kernel.operator.spawn(
            f"{PLACE}/market.py:market", [str(OUTPUT), ""], {}, uid=0, unveil={str(OUTPUT): "rw"},
            tools=[str(PLACE / "shop.py")],
        )  # fmt: skip
        print(await shard.kernel.operator.wait_ended(pid))
        await shard.close()


def record(name: str, note: str, *, killed: bool) -> None:
    """One history, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        if (child := os.fork()) == 0:
            if killed:
                vars(system_opening)["SqliteStore"] = Deadly
            asyncio.run(live(home))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) == killed, status
        file = Path(__file__).parent / f"market-{name}-{__version__}.jsonl"
        write_down(home, file, note)
        print(file.name, file.stat().st_size, "bytes", file=sys.stderr)


def main() -> None:
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    for file in ("market.py", "shop.py"):
        shutil.copy(PROGRAMS / file, PLACE / file)
    try:
        said = "servers, a conversation, a stream, tools, exec, signals, timers, files"
        record("finished", f"{said}, to the end", killed=False)
        record(
            "in-flight", f"{said}, killed when an unsafe tool was begun, and another waited for its turn", killed=True
        )
    finally:
        for file in ("market.py", "shop.py"):
            (PLACE / file).unlink()
        shutil.rmtree(OUTPUT)


if __name__ == "__main__":
    main()
