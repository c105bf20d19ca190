"""What a kernel tells people at its end: nobody waits longer for it than they want to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prytany.cli.last import last_notices


def shard_that_never_is_done(loop: asyncio.AbstractEventLoop, begun: asyncio.Event, ended: asyncio.Event) -> Any:
    async def drain() -> int:
        begun.set()
        try:
            await loop.create_future()
        finally:
            ended.set()
        raise AssertionError("it is never done")

    fleets = SimpleNamespace(fleets={1: SimpleNamespace(channels={0: None})})
    kernel = SimpleNamespace(fleets=fleets, notices=SimpleNamespace(drain=drain))
    return SimpleNamespace(kernel=kernel, failed=loop.create_future())


def test_who_tells_a_kernel_to_stop_at_once_waits_for_nobody_who_is_told() -> None:
    async def test() -> None:
        loop, begun, ended = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        shard = shard_that_never_is_done(loop, begun, ended)
        enough: asyncio.Future[None] = loop.create_future()
        telling = asyncio.ensure_future(last_notices(shard, Path("home"), False, enough))
        await begun.wait()
        assert not telling.done()
        enough.set_result(None)
        await telling
        assert ended.is_set()

    asyncio.run(asyncio.wait_for(test(), 10))
