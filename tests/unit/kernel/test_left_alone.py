"""Who is stopped and goes on in the same moment has a worker that is still heard; what that asks last is seen to."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from prytany.abi.signals import Signal
from prytany.drivers.stores.memory import MemoryStore
from tests.unit.kernel.puppets import Stage
from tests.unit.kernel.test_messages import staged

LAST_CALLS: tuple[tuple[Any, ...], ...] = (
    ("model_chat", [], "", {}), ("message_receive", 0), ("message_receive", 5), ("timer_wait", 1 << 60), ("nop", b"x"),
)  # fmt: skip


class HeldStore:
    """Holds the next commit until it is let go."""

    def __init__(self, store: MemoryStore) -> None:
        self._commit = store.commit
        self._entered, self._let_go = threading.Event(), threading.Event()
        store.commit = self.commit  # type: ignore[method-assign]

    def commit(self, *args: Any, **kwargs: Any) -> None:
        self._entered.set()
        assert self._let_go.wait(10)
        self._commit(*args, **kwargs)

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, 10)

    def let_go(self) -> None:
        self._let_go.set()


@staged
async def test_it_comes_back_after_the_last_call_of_that_worker(stage: Stage) -> None:
    for call in LAST_CALLS:
        first = await stage.root()
        held = HeldStore(stage.store)
        for signal in (Signal.STOP, Signal.CONT):
            stage.kernel.operator.signal(first.pid, signal, uid=0)
        await held.entered()
        first.call(*call)
        held.let_go()
        await stage.settled()
        assert first.killed, call
        assert stage.puppets[first.pid] is not first, call
