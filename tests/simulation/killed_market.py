"""A kernel with the market in it that kills itself: `python -m tests.simulation.killed_market`.

Arguments: home, output, the endpoint's address, a number (0: no kill), and at what: `before` or `after` the commit of
that entry, or `snapshot`: in the middle of keeping that snapshot. What is in doubt is settled: a retry where the number
is even, a skip where it is odd. It prints the end of the root as JSON, or dies by SIGKILL.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop

from prytany.abi import limits
from prytany.drivers.models.openai import OpenAINative
from prytany.ports.store import Snapshot
from prytany.system import opening as system_opening
from prytany.system.shard import Shard
from tests.simulation.killed_kernel import Deadly, unless_failed
from tests.simulation.news import News, settling

PROGRAMS = Path(__file__).parent / "programs"


class DeadlyTwice(Deadly):
    """Also ends this process when the transaction of a snapshot is about to be committed."""

    snapshots_left = 0

    def save_snapshot(self, snapshot: Snapshot) -> None:
        DeadlyTwice.snapshots_left -= 1
        if DeadlyTwice.snapshots_left == 0:
            self._connection.set_commit_hook(lambda: os.kill(os.getpid(), signal.SIGKILL))
        super().save_snapshot(snapshot)


async def live(home: Path, output: str, url: str, choice: str) -> dict[str, Any]:
    model = OpenAINative("m", base_url=url)
    shop = PROGRAMS / "shop.py"
    news = News()
    shard = await Shard.open(home, {"": model, "m": model}, tools=[shop], watch=news)
    try:
        roots = [p.pid for p in shard.kernel.table.processes.values() if p.pid == p.run]
        pid = roots[0] if roots else shard.kernel.operator.spawn(
            f"{PROGRAMS}/market.py:market", [output, f"{home}.tally"], {}, uid=os.getuid(), unveil={output: "rw"},
            tools=[str(shop)],
        )  # fmt: skip
        end = shard.kernel.operator.wait_ended(pid)
        return await unless_failed(shard, settling(shard.kernel, news, end, choice))
    finally:
        await shard.close()


def main() -> None:
    home, output, url, number, when = sys.argv[1:]
    limits.SNAPSHOT_ENTRIES = 10
    if when == "snapshot":
        DeadlyTwice.snapshots_left = int(number)
    else:
        DeadlyTwice.stop_at, DeadlyTwice.after = int(number), when == "after"
    vars(system_opening)["SqliteStore"] = DeadlyTwice
    print(json.dumps(uvloop.run(live(Path(home), output, url, "skip" if int(number) % 2 else "retry"))))


if __name__ == "__main__":
    main()
