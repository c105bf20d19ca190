"""A home in which no kernel runs: looked at in its journal, and steered by recording what is commanded."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec

from prytany import __version__
from prytany.abi import control
from prytany.abi.errors import Ebusy
from prytany.client.link import Locked
from prytany.drivers.clocks.system import SystemClock
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.home import check_format
from prytany.kernel.folding import fold
from prytany.kernel.pages import Pages
from prytany.system.desk import Facts, Look, look
from prytany.system.opening import store_errors


async def answer(home: Path, command: control.Command) -> bytes:
    """Carry `command` out on the home; its packed answer, once what it says is durable.

    Raises:
        Locked: a kernel runs in it, or somebody else is steering it just now.
        KernelError: as the command says.
    """
    if isinstance(command, Look):
        return msgspec.msgpack.encode(_look(home, command))
    async with opened(home) as carry_out:
        return await carry_out(command)


@asynccontextmanager
async def opened(home: Path) -> AsyncGenerator[Callable[[control.Command], Awaitable[bytes]]]:
    """What carries commands out on the home, one after another, while nobody else does; raises Locked."""
    from prytany.system.shard import Shard  # all of a kernel, which a look does without

    try:
        shard = await Shard.open(home, {}, create=False, idle=True, runners=lambda logs: {})
    except Ebusy as error:
        raise Locked(error) from None
    try:
        yield lambda command: shard.desk.answer(command, os.getuid())
    finally:
        await _whole(shard.close())


async def _whole(work: Coroutine[None, None, None]) -> None:
    """Await it to its end, also where this is cancelled meanwhile: a home that is half closed stays locked."""
    closing = asyncio.ensure_future(work)
    try:
        await asyncio.shield(closing)
    except asyncio.CancelledError:
        await closing
        raise


def _look(home: Path, command: Look) -> object:
    """Without the home's lock: whoever looks is in nobody's way."""
    check_format(home)
    with store_errors(), closing(SqliteReader(home / "journal.db")) as reader:
        state, head = fold(reader)
    now_ns = max(SystemClock().now_ns(), state.table.time_ns)
    facts = Facts(__version__, 0, str(home), True, 0)
    return look(command, state, Pages(state.table), head.seq, now_ns, facts)
