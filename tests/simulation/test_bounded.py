"""A thousand small runs in virtual time leave nothing behind: no container of the state or the kernel grows with them.

Each run does a little of all that a process can hold something by: children that fail and begin again, a server,
messages that nobody takes, a conversation, tools, refusals, timers, calls that are cancelled, a stop, an exec.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import suppress
from random import Random  # noqa: TID251 seeded
from typing import Any

import pytest

from prytany.abi import limits
from prytany.abi.errors import KernelError
from prytany.drivers.stores.memory import MemoryStore
from prytany.journal.digests import Keyring
from prytany.journal.writer import START
from prytany.kernel.effects import Outside
from prytany.kernel.folding import fold_from_start
from prytany.kernel.kernel import Kernel
from prytany.kernel.ledger import TENANT, Ledger
from prytany.kernel.outcome import Program
from prytany.kernel.state import ShardState
from prytany.ports.store import Body, Row
from prytany.runtime.inline import InlineRunner
from prytany.testing.virtual_time import SteppedJournal, VirtualClock, VirtualLoop
from prytany.userland.process import Process
from prytany.userland.server import Server
from tests.simulation.fleet import CountingModel, small_entropy
from tests.simulation.looped import looped
from tests.simulation.reachable import sizes_of
from tests.simulation.stepped import HeldClock, Life, Stepped
from tests.simulation.tools import CountingTools

RUNS, AT_ONCE, KEPT = 1_000, 10, 20
WARM = 200
"""Runs after which everything that is bounded has come to its bound."""
OUTSIDE = (
    MemoryStore,
    CountingModel,
    CountingTools,
    asyncio.AbstractEventLoop,
    asyncio.Future,
    VirtualClock,
)


class Echo(Server):
    state: int = 0

    async def on_say(self, what: str) -> str:
        self.state += 1
        return what


async def kid(proc: Process, turn: int) -> str:
    await proc.tools.shop.look(order=str(turn))
    if turn % 2:
        raise ValueError("again and again")
    return "grown"


async def sleeper(proc: Process) -> None:
    await proc.sleep(1_000)


async def run(proc: Process, turn: int) -> Any:
    if proc.state is not None:
        return turn
    child = await proc.spawn("kid", turn, restarts=1, tools=["shop.look"])
    talk = proc.conversation(system="be brief")
    await talk.llm(f"{turn}")
    for _ in range(3):
        with suppress(KernelError):
            await proc.files.read("/etc/passwd")
    server = await proc.spawn("Echo")
    await proc.call(server, "say", what="x")
    other = await proc.spawn("sleeper")
    await proc.kill(other, 19)
    await proc.kill(other, 9)
    await proc.send(proc.pid, "note", to="nobody")
    await proc.tools.shop.pay(order=str(turn))
    timer = asyncio.ensure_future(proc.sleep(1_000))
    await proc.wait(child)
    timer.cancel()
    if turn % 3 == 0:
        await proc.exec("again")
    if turn % 3 == 1:
        raise ValueError("a run that fails")
    return turn


def find_program(target: str, beside: str) -> Program:
    return Program(target, target, b"# " + target.encode(), ("ipc", "model", "proc", "tools"), target == "Echo")


class Indexed(MemoryStore):
    """Looks up what it has: the reference copies all of it for each look."""

    def row(self, seq: int) -> Row | None:
        return self._rows.get(seq)

    def body(self, tenant: int, digest: bytes) -> Body | None:
        return self._bodies.get((tenant, digest))


class World:
    """A kernel in virtual time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.store = Indexed()
        tools = CountingTools()
        keyring = Keyring(small_entropy)
        keyring.admit(TENANT)
        clock = VirtualClock(loop)
        ledger = Ledger(ShardState(), keyring, clock, lambda entry: self.kernel.react(entry))
        reader: Any = self.store
        files: Any = None
        models: Any = {"": CountingModel()}
        programs: dict[str, Any] = {"run": run, "kid": kid, "sleeper": sleeper, "Echo": Echo.serve}
        draw = Random(1)
        self.tools = [tools.path]
        self.kernel = Kernel(
            ledger, Outside(clock, models, files, {tools.path: tools}), {"inline": InlineRunner(programs)}, reader,
            find_program, draw.randbytes, running_max=8,
        )  # fmt: skip
        failed: asyncio.Future[Any] = loop.create_future()
        journal = SteppedJournal(
            self.store, loop, START, ledger.on_durable, failed.set_result, delay=lambda: draw.uniform(0.0005, 0.002)
        )
        ledger.attach(journal)
        self.kernel.begin("bounded", 1)

    async def runs(self, first: int, count: int) -> None:
        """So many, a few at once; what is left of each is killed, as `prytany run` does it."""
        operator, table = self.kernel.operator, self.kernel.table
        for turn in range(first, first + count, AT_ONCE):
            pids = [
                operator.spawn("run", [turn + n], {}, uid=0, kind="inline", tools=self.tools) for n in range(AT_ONCE)
            ]
            ends = await asyncio.gather(*(operator.wait_ended(pid) for pid in pids))
            assert [end["status"] for end in ends] == [int((turn + n) % 3 == 1) for n in range(AT_ONCE)], ends
            for left in [p.pid for p in table.processes.values() if p.alive]:
                operator.signal(left, 9, uid=0)
        journal = self.kernel.ledger.journal
        await journal.wait_durable(journal.head.seq)
        for _ in range(5):
            await asyncio.sleep(0.01)  # noqa: TID251 virtual

    def sizes(self) -> dict[str, int]:
        found = sizes_of(self.kernel.ledger.state, lambda held: isinstance(held, OUTSIDE))
        return found | sizes_of(self.kernel, lambda held: isinstance(held, (*OUTSIDE, ShardState)))


def test_a_thousand_runs_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ENDED_RUNS_MAX", KEPT)
    monkeypatch.setattr(limits, "CONTEXT_CACHE_BYTES", 20_000)
    loop = VirtualLoop()
    try:
        world = World(loop)
        loop.run_until_complete(world.runs(0, WARM))
        warm = world.sizes()
        loop.run_until_complete(world.runs(WARM, RUNS - WARM))
        sizes = world.sizes()
        table = world.kernel.table
        assert {
            way: (warm.get(way), size)
            for way, size in sizes.items()
            if size > max(60, warm.get(way, 0)) and not way.endswith("._slots")
        } == {}
        assert KEPT <= len(table.processes) == RUNS - table.runs_let_go <= KEPT + AT_ONCE
        digest = world.kernel.ledger.state.digest()
        loop.run_until_complete(world.kernel.close())
        assert fold_from_start(world.store.reader()).state.digest() == digest
    finally:
        loop.close()


def boss(until_ns: int) -> Generator[Any, Any, None]:
    _, pid = yield [("process_spawn", "waiter", [until_ns], {}, "", None)]
    yield [("process_wait", pid)]
    yield [("process_exit", 0, None, None)]


def waiter(until_ns: int) -> Generator[Any, Any, None]:
    yield [("nop", b"x")]
    yield [("timer_wait", until_ns)]
    yield [("process_exit", 0, None, None)]


@looped
async def test_workers_that_come_and_go_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ENDED_RUNS_MAX", KEPT)
    store = Indexed()
    life = Life(store, {"boss": boss, "waiter": waiter}, 9)
    reader: Any = store
    life.kernel.reader = reader
    life.kernel.workers.most = 2
    sizes: list[dict[str, int]] = []
    for turn in range(12):
        until_ns = life.clock.time_ns + 1_000_000_000
        bosses = [life.spawn("boss", until_ns) for _ in range(AT_ONCE)]
        await life.settled()
        assert len(life.kernel.workers.live) <= 2, "the others were put away"
        if turn % 3 == 0:
            life.kernel.operator.signal(bosses[0] + AT_ONCE, 9, uid=0)
            life.kernel.operator.signal(bosses[-1], 9, uid=0)
        life.clock.pass_to(until_ns)
        await asyncio.gather(*(life.ended(pid) for pid in bosses))
        for left in [p.pid for p in life.kernel.table.processes.values() if p.alive]:
            life.kernel.operator.signal(left, 9, uid=0)
        await life.settled()
        sizes.append(sizes_of(life.kernel, lambda held: isinstance(held, (*OUTSIDE, HeldClock, Stepped))))
    assert {way: size for way, size in sizes[-1].items() if size > sizes[5].get(way, 0)} == {}
    await life.stop()
