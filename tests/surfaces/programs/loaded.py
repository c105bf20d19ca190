"""A kernel whose processes come and go, until it is killed: what was acknowledged stands in a file outside its home."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random

from prytany.kernel.quotas import DEFAULT_QUOTAS
from tests.surfaces import homes

home, acknowledged, rng = Path(sys.argv[1]), Path(sys.argv[2]), Random(int(sys.argv[3]))


first = ["up"]
"""Said with the first that is acknowledged."""


async def main() -> None:
    shard = await homes.open_home(home, quotas=DEFAULT_QUOTAS._replace(ended_run_ms=200))
    operator, journal = shard.kernel.operator, shard.kernel.ledger.journal

    async def come_and_go() -> None:
        while True:
            said = f"said {rng.random()} " * rng.choice((1, 300))
            homes.spawn(shard, home, "says", said, 2, "wait") if rng.random() < 0.02 else None
            pid = homes.spawn(shard, home, *rng.choice((("says", said, 3, "end"), ("family", said), ("steps", 9, 600))))
            await operator.wait_ended(pid)
            out.write(f"{pid} {journal.durable}\n")
            out.flush()
            while first:
                print(first.pop(), flush=True)
            await shard.kernel.outside.clock.sleep_until(shard.kernel.now_ns() + 20_000_000)

    await asyncio.gather(*(come_and_go() for _ in range(3)))


with acknowledged.open("a") as out:
    asyncio.run(main())
