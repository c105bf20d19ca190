"""What comes too late is dropped, and what cannot follow is never written."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Eio, KernelPanic
from prytany.abi.signals import Signal
from prytany.drivers.stores.memory import MemoryStore
from prytany.kernel.folding import fold_from_snapshot, fold_from_start
from prytany.ports.tool import ToolFailure
from prytany.process.process import State
from tests.simulation.looped import looped
from tests.simulation.steered import Home
from tests.simulation.stepped import Life, SteppedWorker
from tests.simulation.tools import PATH, CountingTools

NEVER_NS = 1 << 60


class DyingTools(CountingTools):
    """Dies in the middle of a call when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.die = asyncio.Event()

    async def call(self, name: str, arguments: dict[str, Any], key: str) -> Any:
        self.begun[name] += 1
        await self.die.wait()
        raise ToolFailure("died", "in the middle", begun=True)


async def ship(proc: Any) -> Any:
    return await proc.calls.tool_call("shop.ship", {"order": "a"})


@looped
async def test_a_tool_that_dies_after_its_process_was_killed_is_asked_about_once() -> None:
    home = Home({"ship": ship}, pledge=("tools", "proc"))
    tools = home.tools[PATH] = DyingTools()
    async with home.life() as k:
        pid = k.spawn("ship")
        await k.until(lambda: bool(tools.begun))
        tools.die.set()  # its task goes on in this turn of the loop's, before the end below can be durable
        k.kernel.operator.signal(pid, Signal.KILL, uid=0)
        await k.ended(pid)
    recorded = [e for entry in home.entries() for e in entry.events]
    assert not any(isinstance(e, ev.CallDoubted) for e in recorded)
    assert [e.kind for e in recorded if isinstance(e, ev.IncidentOpened)] == ["abandoned"]
    assert fold_from_start(home.store.reader()).state.table.require(pid).state is State.TERMINATED


@looped
async def test_an_entry_that_cannot_follow_is_not_written_and_stops_the_kernel() -> None:
    life = Life(MemoryStore(), {}, 9)
    await life.settled()
    seq = life.kernel.ledger.journal.head.seq
    with pytest.raises(KernelPanic):
        life.kernel.note((ev.KernelStarted("half", 1), ev.CallDoubted(7, 1)))
    with pytest.raises(Eio):
        life.kernel.note((ev.KernelStarted("later", 1),))
    assert life.failed.done()
    store = await life.stop()
    folded = fold_from_snapshot(store.reader())
    assert folded.head.seq == seq
    assert folded.state.digest() == fold_from_start(store.reader()).state.digest()


def boss() -> Generator[Any, Any, None]:
    _, pid = yield [("process_spawn", "kid", [], {}, "", None)]
    yield [("process_wait", pid)]
    yield [("timer_wait", NEVER_NS)]


@pytest.mark.parametrize("alone", [True, False])
@looped
async def test_a_divergence_says_nothing_of_a_process_that_was_killed(
    alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SteppedWorker, "log", lambda worker, text: None)
    said = [b"x"]

    def kid() -> Generator[Any, Any, None]:
        yield [("nop", said[0])]
        yield [("model_chat", [{"role": "user", "content": "q"}], "", {})]

    programs: Any = {"kid": kid, "boss": boss}
    life = Life(MemoryStore(), programs, 9)
    pid = life.spawn("kid" if alone else "boss")
    pid = pid if alone else pid + 1
    store = await life.stop()
    said[0] = b"y"
    life = Life(store, programs, 9)
    workers = life.kernel.workers
    replayed = workers.replayed

    def kill_before(live: Any, n: int, name: str, argument: bytes) -> bool:
        if live.pid == pid and n == 1:
            life.kernel.operator.signal(pid, Signal.KILL, uid=0)
        return replayed(live, n, name, argument)

    monkeypatch.setattr(workers, "replayed", kill_before)
    await life.settled()
    assert not life.kernel.table.incidents
    ended = life.kernel.table.get(pid)
    assert ended is None or ended.state is State.TERMINATED
    store = await life.stop()
    fold_from_start(store.reader())


@pytest.mark.parametrize("event", [ev.ProcessPaused(1, "late"), ev.ProcessContinued(1)])
@looped
async def test_nothing_brings_a_process_back_that_has_ended(event: ev.Event) -> None:
    def done() -> Generator[Any, Any, None]:
        yield [("process_exit", 0, None, None)]

    life = Life(MemoryStore(), {"done": done}, 9)
    pid = life.spawn("done")
    await life.ended(pid)
    with pytest.raises(KernelPanic):
        life.kernel.note((event,))
    await life.stop()
