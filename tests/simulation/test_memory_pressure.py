"""A machine that runs out of memory: who stands still is seen, loses nothing, and goes on; here and after a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prytany.abi import limits
from prytany.abi.signals import Signal
from prytany.kernel import pressure
from prytany.kernel.freezing import freeze
from prytany.ports.memory import PRESSURE, Sample
from prytany.ports.runner import Runner
from prytany.process.process import Process as Row
from prytany.process.process import State
from prytany.runtime.inline import InlineRunner
from prytany.scheduling.call import Qos
from prytany.scheduling.pressure import CALM_LOOKS, Level
from prytany.system.logs import Logs
from prytany.system.shard import Shard
from prytany.userland.agent import agent
from prytany.userland.process import Process
from tests.simulation.looped import looped

HERE = f"{__file__}:waits"
CALM = Sample(4 << 30, 8 << 30)
SCARCE = Sample(1 << 20, 8 << 30)


@agent(pledge="ipc")
async def waits(proc: Process) -> str:
    return str((await proc.receive()).body)


class Memory:
    """What the kernel's own looks find."""

    def sample(self) -> Sample | None:
        return CALM


def runners(logs: Logs) -> dict[str, Runner]:
    return {"inline": InlineRunner({HERE: waits})}


@pytest.fixture(autouse=True)
def _by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The class is the name, and the kernel looks once when it begins; the test does the rest."""
    monkeypatch.setattr(
        pressure, "qos_of", lambda p: {"b": Qos.BACKGROUND, "u": Qos.UTILITY}.get(p.name, Qos.INITIATED)
    )
    monkeypatch.setattr(limits, "MEMORY_LOOK_MS", 1_000_000_000)


async def opened(home: Path) -> Shard:
    shard = await Shard.open(home, {}, runners=runners, memory=Memory())
    await reached(shard)
    return shard


def spawn(shard: Shard, name: str) -> int:
    return shard.kernel.operator.spawn(HERE, [], {}, uid=0, kind="inline", name=name)


def look(shard: Shard, sample: Sample, times: int = 1) -> None:
    for _ in range(times):
        shard.kernel.reactions.pressure.look(sample)


async def reached(shard: Shard) -> None:
    """All that was committed is durable, and what followed from it."""
    ledger = shard.kernel.ledger
    while ledger.journal.durable < ledger.journal.head.seq or shard.kernel.table.ready:
        await ledger.wait_entry(ledger.journal.durable)
    for pid in list(shard.kernel.table.running):
        while (process := shard.kernel.table.get(pid)) is not None and process.alive and not process.open:
            await ledger.wait_entry(ledger.journal.durable)


def row(shard: Shard, pid: int) -> Row:
    return shard.kernel.table.require(pid)


def still(shard: Shard) -> dict[str, str]:
    found = [p for p in shard.kernel.table.processes.values() if p.state is State.STOPPED]
    return {p.name: p.shown_state()[1] for p in found}


async def ended(shard: Shard, pid: int, body: str) -> Any:
    shard.kernel.operator.send(pid, "go", body, uid=0)
    return (await shard.kernel.operator.wait_ended(pid))["result"]


@looped
async def test_background_stands_still_first_then_utility_and_all_go_on_with_what_came_meanwhile(
    tmp_path: Path,
) -> None:
    shard = await opened(tmp_path / "home")
    pids = {name: spawn(shard, name) for name in ("b", "u", "i")}
    await reached(shard)
    look(shard, SCARCE)
    assert still(shard) == {}
    look(shard, SCARCE)
    assert still(shard) == {"b": PRESSURE}
    look(shard, SCARCE)
    assert still(shard) == {"b": PRESSURE, "u": PRESSURE}
    await reached(shard)
    assert set(shard.kernel.workers.live) == {pids["i"]}
    shard.kernel.operator.send(pids["b"], "go", "meanwhile", uid=0)
    assert await ended(shard, pids["i"], "as ever") == "as ever"
    look(shard, CALM, 10 * CALM_LOOKS)
    await reached(shard)
    assert still(shard) == {}
    assert (await shard.kernel.operator.wait_ended(pids["b"]))["result"] == "meanwhile"
    assert await ended(shard, pids["u"], "after") == "after"
    await shard.close()


@looped
async def test_no_background_work_begins_and_it_is_said_why(tmp_path: Path) -> None:
    shard = await opened(tmp_path / "home")
    look(shard, SCARCE)
    late, other = spawn(shard, "b"), spawn(shard, "u")
    await reached(shard)
    assert row(shard, late).shown_state() == (State.STOPPED, PRESSURE)
    assert row(shard, late).untouched
    assert row(shard, other).state is State.RUNNING
    look(shard, CALM, 3 * CALM_LOOKS)
    assert shard.kernel.reactions.pressure.level is Level.CALM
    assert await ended(shard, late, "late") == "late"
    await shard.close()


@looped
async def test_whom_a_person_stopped_stays_so_and_whom_a_person_lets_go_on_goes_on(tmp_path: Path) -> None:
    shard = await opened(tmp_path / "home")
    operator = shard.kernel.operator
    mine, theirs, both = spawn(shard, "b"), spawn(shard, "b"), spawn(shard, "b")
    await reached(shard)
    operator.signal(mine, Signal.STOP, uid=0)
    look(shard, SCARCE, 2)
    operator.signal(both, Signal.STOP, uid=0)
    operator.signal(theirs, Signal.CONT, uid=0)
    assert row(shard, both).reason == "SIGSTOP"
    look(shard, SCARCE, 5)
    await reached(shard)
    assert row(shard, theirs).state is State.RUNNING
    look(shard, CALM, 10 * CALM_LOOKS)
    assert [row(shard, pid).reason for pid in (mine, both)] == ["SIGSTOP", "SIGSTOP"]
    assert await ended(shard, theirs, "on") == "on"
    await shard.close()


@looped
async def test_nothing_goes_on_while_everything_is_frozen(tmp_path: Path) -> None:
    shard = await opened(tmp_path / "home")
    pid = spawn(shard, "b")
    await reached(shard)
    look(shard, SCARCE, 2)
    freeze(shard.kernel, 0, thaw=False)
    look(shard, CALM, 10 * CALM_LOOKS)
    assert row(shard, pid).state is State.STOPPED
    freeze(shard.kernel, 0, thaw=True)
    assert await ended(shard, pid, "thawed") == "thawed"
    await shard.close()


@looped
async def test_one_that_ends_while_it_stands_still_is_gone(tmp_path: Path) -> None:
    shard = await opened(tmp_path / "home")
    pid = spawn(shard, "b")
    await reached(shard)
    look(shard, SCARCE, 2)
    shard.kernel.operator.signal(pid, Signal.KILL, uid=0)
    await shard.kernel.operator.wait_ended(pid)
    look(shard, CALM, 10 * CALM_LOOKS)
    assert row(shard, pid).state is State.TERMINATED
    await shard.close()


@looped
async def test_the_next_kernel_lets_go_on_what_this_one_made_stand_still_unless_it_is_as_bad(tmp_path: Path) -> None:
    shard = await opened(tmp_path / "home")
    begun, never = spawn(shard, "b"), 0
    await reached(shard)
    look(shard, SCARCE, 2)
    never = spawn(shard, "b")
    await reached(shard)
    await shard.close()
    shard = await opened(tmp_path / "home")
    assert len(still(shard)) <= 1
    look(shard, SCARCE, 2)
    assert all(row(shard, pid).reason == PRESSURE for pid in (begun, never))
    await shard.close()
    shard = await opened(tmp_path / "home")
    look(shard, CALM, 3)
    assert [await ended(shard, pid, "on") for pid in (begun, never)] == ["on", "on"]
    await shard.close()
