"""A watcher that wakes whoever waits for the next durable entry, and a person who settles what is in doubt by it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from prytany.abi import events as ev
from prytany.kernel.kernel import Kernel

T = TypeVar("T")


class News:
    """Give it to a shard as `watch`. An entry that comes between two waits ends the second at once."""

    def __init__(self) -> None:
        self._came = asyncio.Event()

    def __call__(self, seq: int, time_ns: int, events: Sequence[ev.Event]) -> None:
        self._came.set()

    async def wait(self) -> None:
        await self._came.wait()
        self._came.clear()


async def settling(kernel: Kernel, news: News, awaited: Awaitable[T], choice: str, value: object = None) -> T:
    """What `awaited` gives, while every call that comes to be in doubt is settled by `choice`."""

    async def settle() -> None:
        while True:
            for key in list(kernel.table.incidents):
                pid, kind, n = key.split(":")
                assert kind == "doubt", key
                kernel.operator.settle(int(pid), int(n), choice, value, uid=0)
            await news.wait()

    person, work = asyncio.ensure_future(settle()), asyncio.ensure_future(awaited)
    try:
        await asyncio.wait([person, work], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            person.result()  # raises: it never ends otherwise
        return await work
    finally:
        person.cancel()
        work.cancel()
