"""A kernel with inline programs that a test steers as an operator does, one life after another on one store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from prytany.abi import events as ev
from prytany.drivers.clocks.steady import SteadyClock
from prytany.drivers.stores.memory import MemoryStore
from prytany.journal.digests import Keyring
from prytany.journal.writer import START, Journal
from prytany.kernel.effects import Outside
from prytany.kernel.folding import fold
from prytany.kernel.kernel import Kernel
from prytany.kernel.ledger import TENANT, Durable, Ledger
from prytany.kernel.outcome import Program
from prytany.ports.clock import Clock
from prytany.ports.courier import Courier
from prytany.ports.model import ModelAnswer, ModelFailure, ModelFeatures, ModelRequest, Usage
from prytany.ports.tool import Tools
from prytany.process.process import Process as Folded
from prytany.runtime.inline import InlineRunner
from prytany.testing.virtual_time import SteppedJournal, VirtualClock, VirtualLoop
from tests.simulation.fleet import Following, LogicalClock, OnlyChats, small_entropy

UID = 1234


class LockedModel(OnlyChats):
    """Fails with `cause` until it is opened; counts."""

    name = "locked"
    features = ModelFeatures()

    def __init__(self, cause: str = "bad_key") -> None:
        self.cause = cause
        self.asked = 0

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        self.asked += 1
        if self.cause:
            raise ModelFailure(self.cause, "the door is shut", retryable=False)
        return ModelAnswer("opened", "stop", usage=Usage(1, 1))


class Steered:
    """One life of a kernel."""

    def __init__(self, kernel: Kernel, watched: asyncio.Condition, failed: asyncio.Future[Any]) -> None:
        self.kernel = kernel
        self._failed = failed
        self._watched = watched

    def spawn(self, program: str, *args: Any) -> int:
        tools = list(self.kernel.outside.tools)
        return self.kernel.operator.spawn(program, list(args), {}, uid=UID, kind="inline", tools=tools)

    def settle(self, pid: int, n: int, choice: str, value: object = None) -> None:
        self.kernel.operator.settle(pid, n, choice, value, uid=UID)

    def process(self, pid: int) -> Folded:
        return self.kernel.table.require(pid)

    async def ended(self, pid: int) -> dict[str, Any]:
        return await self.kernel.operator.wait_ended(pid)

    async def stopped(self) -> None:
        """Wait until the store stops, and raise what it says."""
        raise await self._failed

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something durable makes it hold."""
        async with self._watched:
            await self._watched.wait_for(holds)

    async def incident(self, pid: int, n: int) -> None:
        await self.until(lambda: n in self.process(pid).incidents)


class Home:
    """A store, its keys, and what the kernels on it use."""

    def __init__(self, programs: dict[str, Any], pledge: tuple[str, ...] = ("model", "proc"), places: int = 8) -> None:
        self.store = MemoryStore()
        self.model = LockedModel()
        self.programs = programs
        self.tools: dict[str, Tools] = {}
        self.couriers: dict[str, Courier] = {}
        self.files: Any = None
        self.virtual: VirtualLoop | None = None
        """The loop that its lives run in, where time is to pass as it does, at no cost."""
        self.wall_ns: Callable[[], int] | None = None
        """What the machine's clock says there, right or wrong."""
        self._pledge = pledge
        self._places = places
        self._keyring = Keyring(small_entropy)
        self._keyring.admit(TENANT)

    @asynccontextmanager
    async def life(self, *, idle: bool = False) -> AsyncIterator[Steered]:
        """Open a kernel, and stop it at the end as a crash would: nothing is tidied up in the journal."""
        state, head = fold(self.store.reader())
        loop = asyncio.get_running_loop()
        watched = asyncio.Condition()
        told: set[asyncio.Task[None]] = set()

        async def tell() -> None:
            async with watched:
                watched.notify_all()

        def watch(seq: int, time_ns: int, events: Sequence[ev.Event]) -> None:
            task = asyncio.ensure_future(tell())
            told.add(task)
            task.add_done_callback(told.discard)

        def react(entry: Durable) -> None:
            if not idle:
                kernel.react(entry)

        clock = self._clock(state.table.time_ns)
        ledger = Ledger(state, self._keyring, clock, react)
        reader: Any = Following(self.store)
        models: Any = {"": self.model}
        kernel = Kernel(
            ledger, Outside(clock, models, self.files, self.tools, self.couriers),
            {"inline": InlineRunner(dict(self.programs))}, reader,
            lambda target, beside: Program(target, target, b"# " + target.encode(), self._pledge), small_entropy,
            running_max=self._places, watch=watch,
        )  # fmt: skip
        kernel.idle = idle
        failed: asyncio.Future[Any] = loop.create_future()
        journal = Journal if self.virtual is None else partial(SteppedJournal, delay=lambda: 0.001)
        ledger.attach(journal(self.store, loop, head or START, ledger.on_durable, failed.set_result))
        try:
            if not idle:
                kernel.begin("test", 1)
            yield Steered(kernel, watched, failed)
        finally:
            await kernel.close()

    def _clock(self, floor_ns: int) -> Clock:
        if self.virtual is None:
            return LogicalClock(floor_ns)
        if self.wall_ns is None:
            return VirtualClock(self.virtual)
        loop = self.virtual
        return SteadyClock(floor_ns, self.wall_ns, lambda: loop.now_ns)

    def entries(self) -> list[ev.Entry]:
        """All that is in the journal."""
        return [ev.decode_entry(row.record) for row in self.store.reader().rows(1)]
