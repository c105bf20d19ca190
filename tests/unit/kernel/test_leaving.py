"""Who leaves is known until it is gone, and no longer: also who never came."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from prytany.abi.errors import Eagain
from prytany.abi.signals import Signal
from prytany.drivers.stores.memory import MemoryStore
from prytany.ports.runner import UTILITY
from tests.simulation.looped import looped
from tests.simulation.stepped import Life


def waits() -> Generator[Any, Any, None]:
    yield [("timer_wait", 1 << 60)]


async def started_and_killed(life: Life) -> int:
    """The pid of a process that was killed while its worker was being started."""
    life.runner.gate = asyncio.Event()
    pid = life.spawn("waits")
    await life.until(lambda: pid in life.runner.started)
    life.kernel.operator.signal(pid, Signal.KILL, uid=0)
    await life.ended(pid)
    assert pid in life.kernel.workers.leaving
    return pid


@pytest.mark.parametrize("comes", [True, False])
@looped
async def test_a_start_that_ends_after_a_kill_leaves_nothing_behind(comes: bool) -> None:
    life = Life(MemoryStore(), {"waits": waits}, 9)
    start = life.runner.start

    async def fail(pid: int, item: bytes, host: Any, qos: int = UTILITY) -> Any:
        worker = await start(pid, item, host)
        if comes:
            return worker
        raise Eagain("no worker can be had")

    life.runner.start = fail  # type: ignore[method-assign]
    await started_and_killed(life)
    assert life.runner.gate is not None
    life.runner.gate.set()
    await life.settled()
    assert not life.kernel.workers.leaving
    assert not life.kernel.workers.live
    assert not life.kernel.table.incidents
    await life.stop()


@looped
async def test_who_is_killed_while_its_record_is_read_is_not_started() -> None:
    life = Life(MemoryStore(), {"waits": waits}, 9)
    pid = life.spawn("waits")
    await life.until(lambda: 1 in life.kernel.table.require(pid).open)
    store = await life.stop()
    life = Life(store, {"waits": waits}, 9)
    await life.settled()
    async with life.kernel.workers._reading:
        life.kernel.reactions.come_back(pid)
        await life.settled()
        life.kernel.operator.signal(pid, Signal.KILL, uid=0)
        await life.ended(pid)
    await life.settled()
    assert not life.runner.started
    assert not life.kernel.workers.leaving
    await life.stop()
