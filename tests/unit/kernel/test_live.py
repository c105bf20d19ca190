"""A worker that does not take what it is sent holds its streams up."""

from __future__ import annotations

import asyncio

from prytany.kernel.live import Live
from prytany.kernel.record import Record
from prytany.kernel.replay import Cursor
from prytany.process.process import Process


def live_with(sent: int) -> Live:
    process = Process(1, 0, 1, "p", "python", "p", b"", b"", [], {}, b"", 0, 0, 1)
    live = Live(process, Cursor(Record(0, [], {})))
    for n in range(sent):
        live.send(n, 0, "+", b"")
    return live


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=0)


def test_a_sender_waits_until_the_worker_has_taken_enough() -> None:
    async def main() -> None:
        live = live_with(10)
        waiting = asyncio.ensure_future(live.wait_taken(4))
        for delivered in (1, 5):
            await turns()
            assert not waiting.done()
            live.delivered = delivered
            live.on_taken()
        live.delivered = 6
        live.on_taken()
        await waiting

    asyncio.run(main())


def test_a_sender_is_let_go_when_the_worker_is_ended() -> None:
    async def main() -> None:
        live = live_with(10)
        waiting = asyncio.ensure_future(live.wait_taken(4))
        await turns()
        live.kill()
        await waiting

    asyncio.run(main())


def test_a_cancelled_sender_leaves_the_others_waiting() -> None:
    async def main() -> None:
        live = live_with(10)
        first, second = (asyncio.ensure_future(live.wait_taken(4)) for _ in range(2))
        await turns()
        first.cancel()
        await turns()
        assert not second.done()
        live.delivered = 10
        live.on_taken()
        await second

    asyncio.run(main())
