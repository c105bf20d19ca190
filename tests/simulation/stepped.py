"""Programs in steps, in place of confined workers: one frame for each item, whole, and a count of who is there.

A program is a generator: it is given an item and gives the calls that follow from it. So it replays as it is, and the
kernel sees of it what it sees of a confined worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from prytany.abi import limits
from prytany.abi.errors import KernelError
from prytany.drivers.stores.memory import MemoryStore
from prytany.journal.digests import Keyring
from prytany.journal.writer import Journal
from prytany.kernel.effects import Outside
from prytany.kernel.folding import fold_from_snapshot
from prytany.kernel.kernel import Kernel
from prytany.kernel.ledger import TENANT, Ledger
from prytany.kernel.outcome import Program
from prytany.ports.runner import UTILITY, Call, Host
from prytany.ports.store import StoreError
from tests.simulation.fleet import CountingModel, Following, StoppingStore, small_entropy

Calls = list[tuple[Any, ...]]
Steps = Callable[..., Generator[Calls, tuple[int, Any], None]]


class SteppedWorker:
    """One of them."""

    def __init__(self, runner: Stepped, pid: int, host: Host) -> None:
        self._runner, self._pid, self._host = runner, pid, host
        self._delivered = self._n = 0
        self._steps: Generator[Calls, tuple[int, Any], None] | None = None
        self._ended = False

    @property
    def identity(self) -> tuple[int, int]:
        return 1, 1

    def send(self, n: int, time_ns: int, errno: str, value: bytes) -> None:
        item = msgspec.msgpack.decode(value)
        if n == 0:
            self._steps = self._runner.programs[item["program"]](*item["args"])
            calls = next(self._steps)
        else:
            assert self._steps is not None, "an item before the start"
            try:
                calls = self._steps.send((n, errno or item))
            except StopIteration:
                calls = [("process_exit", 0, None, None)]
        self._delivered += 1
        frame: list[Call] = []
        for name, *arguments in calls:
            self._n += 1
            frame.append((self._n, name, msgspec.Raw(msgspec.msgpack.encode(arguments))))
        asyncio.get_running_loop().call_soon(self._frame, self._delivered, frame)

    def _frame(self, delivered: int, frame: list[Call]) -> None:
        if not self._ended:
            self._host.on_frame(self._pid, delivered, frame)

    def hear(self) -> None:
        return

    def at_frontier(self) -> None:
        return

    def weigh(self, qos: int) -> bool:
        self._runner.weighed.append((self._pid, qos))
        return qos >= self._runner.lowest

    def take_cpu_us(self) -> int:
        return self._runner.cpu_us.pop(self._pid, 0)

    def log(self, text: str) -> None:
        raise AssertionError(text)

    def kill(self) -> None:
        if not self._ended:
            self._ended = True
            self._runner.alive.discard(self._pid)
            asyncio.get_running_loop().call_soon(self._host.on_left, self._pid, self.take_cpu_us())


class Stepped:
    """Starts them, and counts."""

    def __init__(self, programs: dict[str, Steps]) -> None:
        self.programs = programs
        self.started: list[int] = []
        self.alive: set[int] = set()
        self.most = 0
        self.gate: asyncio.Event | None = None
        self.cpu_us: dict[int, int] = {}
        """What workers take until they are asked next."""
        self.weighed: list[tuple[int, int]] = []
        self.lowest = 0
        """The most urgent class that a worker can still be given."""
        self.classes: list[tuple[int, int]] = []
        """Of those that were started."""

    async def start(self, pid: int, item: bytes, host: Host, qos: int = UTILITY) -> SteppedWorker:
        self.started.append(pid)
        self.classes.append((pid, qos))
        if self.gate is not None:
            await self.gate.wait()
        self.alive.add(pid)
        self.most = max(self.most, len(self.alive))
        return SteppedWorker(self, pid, host)

    async def close(self) -> None:
        return


class HeldClock:
    """Time passes when the test says so."""

    def __init__(self, now_ns: int) -> None:
        self.time_ns = now_ns
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        self.time_ns += 1
        return self.time_ns

    async def sleep_until(self, deadline_ns: int) -> None:
        if deadline_ns > self.time_ns:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((deadline_ns, waiter))
            await waiter

    def pass_to(self, now_ns: int) -> None:
        self.time_ns = max(self.time_ns, now_ns)
        for deadline_ns, waiter in self._waiting:
            if deadline_ns <= now_ns and not waiter.done():
                waiter.set_result(None)


class HeldModel(CountingModel):
    """Answers when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def chat(self, request: Any) -> Any:
        await self.gate.wait()
        return await super().chat(request)


class Life:
    """One life of a kernel over `store`."""

    def __init__(self, store: MemoryStore, programs: dict[str, Steps], running_max: int) -> None:
        folded = fold_from_snapshot(store.reader())
        self.store = store
        self.runner = Stepped(programs)
        self.clock = HeldClock(folded.state.table.time_ns)
        self.model = HeldModel()
        self.failed: asyncio.Future[StoreError] = asyncio.get_running_loop().create_future()
        keyring = Keyring(small_entropy)
        keyring.admit(TENANT)
        ledger = Ledger(folded.state, keyring, self.clock, lambda entry: self.kernel.react(entry))
        nothing: Any = None
        models: Any = {"": self.model}
        reader: Any = Following(store)
        self.kernel = Kernel(
            ledger, Outside(self.clock, models, nothing), {"python": self.runner}, reader, find_program,
            small_entropy, running_max=running_max,
        )  # fmt: skip
        journal = Journal(store, asyncio.get_running_loop(), folded.head, ledger.on_durable, self.failed.set_result)
        ledger.attach(journal)
        ledger.snapshots.begin(folded)
        self.kernel.begin("test", 1)

    def spawn(self, program: str, *args: Any) -> int:
        return self.kernel.operator.spawn(program, list(args), {}, uid=0)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop turn until it holds."""
        async with asyncio.timeout(10):
            while not condition():
                await self.settled()

    async def settled(self) -> None:
        """Until everything that was appended is durable and was reacted to, and so is what followed from it."""
        journal, quiet = self.kernel.ledger.journal, 0
        while quiet < 20 and journal.failure is None:
            seq = journal.head.seq
            if seq > journal.durable:
                with suppress(KernelError):
                    await journal.wait_durable(seq)
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(turn.set_result, None)
            await turn
            quiet = quiet + 1 if journal.head.seq == seq else 0

    async def ended(self, pid: int) -> dict[str, Any]:
        async with asyncio.timeout(10):
            return await self.kernel.operator.wait_ended(pid)

    async def stop(self) -> MemoryStore:
        """The end of this kernel; what is durable is what the next one finds."""
        await self.settled()
        self.kernel.closing = True
        await self.kernel.close()
        return self.store


def find_program(target: str, beside: str) -> Program:
    return Program(target, target, b"# " + target.encode(), ("model", "proc"))


@contextmanager
def frames_of(calls_max: int) -> Iterator[None]:
    """Smaller frames."""
    before, limits.FRAME_CALLS_MAX = limits.FRAME_CALLS_MAX, calls_max
    try:
        yield
    finally:
        limits.FRAME_CALLS_MAX = before


def stopping(store: MemoryStore | None, at: int) -> StoppingStore:
    """A store that keeps entry `at` and nothing after it."""
    return StoppingStore(store, at, after_commit=True)
