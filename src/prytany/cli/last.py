"""The last that a kernel does before it ends: people are told of what there is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from prytany.cli.attached import command
from prytany.cli.text import note
from prytany.kernel.notice_views import undelivered
from prytany.system.shard import Shard


async def last_notices(
    shard: Shard, home: Path, as_json: bool, enough: asyncio.Future[None] | None = None
) -> None:  # fmt: skip
    """Have people told, where they are told at all, and say how much they were not told of; until the journal fails, or
    `enough` is done."""
    told = any(fleet.channels for fleet in shard.kernel.fleets.fleets.values())
    if not told or shard.failed.done():
        return
    task = asyncio.ensure_future(shard.kernel.notices.drain())
    first: list[asyncio.Future[Any]] = [task, shard.failed, *([enough] if enough is not None else [])]
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return
    waiting, given_up = undelivered(shard.kernel.fleets)
    if waiting:
        many = "1 notice is" if waiting == 1 else f"{waiting} notices are"
        note(f"{many} not delivered yet, and will be tried by the next kernel: {command('notify', home)}", as_json)
    if given_up:
        many = "1 notice" if given_up == 1 else f"{given_up} notices"
        note(f"{many} could not be delivered: {command('notify', home)}", as_json)
