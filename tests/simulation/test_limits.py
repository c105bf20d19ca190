"""Each bound of `abi/limits.py` that the kernel holds by itself: what is beyond it is an errno, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prytany.abi import limits
from prytany.abi.errors import Eagain, KernelError
from prytany.ports.model import ModelAnswer
from tests.simulation.fleet import PLEDGES, PROGRAMS, CountingModel, Fleet


async def spawner(proc: Any, depth: int = 0) -> list[str]:
    """Spawns six, one of them with too long a name, and waits for each."""
    said: list[str] = []
    pids: list[int] = []
    for number in range(6):
        try:
            pids.append(await proc.calls.process_spawn("idle", [], name="é" * 65 if number == 5 else ""))
            said.append("")
        except KernelError as error:
            said.append(error.errno)
    for pid in pids:
        await proc.wait(pid)
    return said


async def idle(proc: Any) -> None:
    await proc.nop()


async def deeper(proc: Any, depth: int = 1) -> int:
    """The generations that there could be."""
    try:
        return int((await proc.wait(await proc.spawn("deeper", depth + 1))).result)
    except Eagain:
        return depth


async def flying(proc: Any) -> list[str]:
    async def one() -> str:
        try:
            await proc.calls.timer_wait(10**18)
        except KernelError as error:
            return error.errno
        return ""

    return sorted(await asyncio.gather(*(one() for _ in range(6))))


async def asks(proc: Any) -> str:
    try:
        return str(len(await proc.llm("long")))
    except KernelError as error:
        return error.errno


NEW = {"spawner": spawner, "idle": idle, "deeper": deeper, "flying": flying, "asks": asks}
PROGRAMS.update(NEW)
PLEDGES.update(dict.fromkeys(NEW, ("model", "proc")))


def result_of(fleet: Fleet) -> Any:
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["status"] == 0, ended["error"]
    return ended["result"]


@pytest.mark.parametrize(("bound", "allowed"), [("PROCESSES_MAX", 3), ("CHILDREN_MAX", 4)])
def test_processes_and_children_are_bounded(monkeypatch: pytest.MonkeyPatch, bound: str, allowed: int) -> None:
    monkeypatch.setattr(limits, bound, 4)
    assert result_of(Fleet("spawner")) == [""] * allowed + ["EAGAIN"] * (6 - allowed)


def test_the_operator_is_held_to_the_table_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PROCESSES_MAX", 0)
    with pytest.raises(KernelError, match="table is full"):
        asyncio.run(Fleet("idle").live())


def test_a_name_is_bounded_in_bytes() -> None:
    assert result_of(Fleet("spawner")) == [""] * 5 + ["EINVAL"]


def test_generations_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DEPTH_MAX", 5)
    assert result_of(Fleet("deeper")) == 5


def test_calls_in_flight_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CALLS_IN_FLIGHT_MAX", 4)
    assert result_of(Fleet("flying")) == [""] * 4 + ["EAGAIN"] * 2


def test_a_result_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Long(CountingModel):
        async def chat(self, request: Any) -> ModelAnswer:
            return ModelAnswer("x" * 5_000, "stop")

    fleet = Fleet("asks")
    fleet.model = Long()
    monkeypatch.setattr(limits, "RESULT_BYTES_MAX", 4_000)
    assert result_of(fleet) == "EIO"
