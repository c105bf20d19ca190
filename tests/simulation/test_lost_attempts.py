"""An attempt at a model that was lost with its kernel is charged once, also where its call ends before the next one."""

from __future__ import annotations

import asyncio

import pytest

from prytany.abi import events as ev
from prytany.abi.signals import Signal
from prytany.ports.model import ModelAnswer, ModelRequest
from prytany.process.process import State
from prytany.userland.process import Process
from tests.simulation.looped import looped
from tests.simulation.steered import Home, LockedModel, Steered


class SilentModel(LockedModel):
    """Never answers, and says when it was asked."""

    def __init__(self) -> None:
        super().__init__("")
        self.reached = asyncio.Event()

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        self.asked += 1
        self.reached.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody answers")


async def asks(proc: Process) -> str:
    return await proc.llm("a question")


def causes(home: Home) -> list[str]:
    return [e.cause for entry in home.entries() for e in entry.events if isinstance(e, ev.ModelUsed)]


async def ended(k: Steered, pid: int) -> None:
    k.kernel.operator.signal(pid, Signal.KILL, uid=0)
    journal = k.kernel.ledger.journal
    await journal.wait_durable(journal.head.seq)


@pytest.mark.parametrize("lives", [1, 2])
@looped
async def test_it_is_charged_where_the_process_is_ended_while_no_kernel_runs(lives: int) -> None:
    home = Home({"asks": asks})
    home.model = model = SilentModel()
    for _ in range(lives):
        model.reached.clear()
        async with home.life() as k:
            pid = 1 if home.entries()[-1:] and k.kernel.table.get(1) else k.spawn("asks")
            await model.reached.wait()
    async with home.life(idle=True) as k:
        await ended(k, pid)
        assert k.process(pid).usage.completion_tokens > 0
        assert not k.process(pid).usage.reserved_completion_tokens
    assert causes(home) == ["lost"] * lives


@looped
async def test_it_is_charged_where_the_process_is_stopped_and_ended() -> None:
    home = Home({"asks": asks})
    home.model = model = SilentModel()
    async with home.life() as k:
        pid = k.spawn("asks")
        await model.reached.wait()
        k.kernel.operator.signal(pid, Signal.STOP, uid=0)
        await k.until(lambda: k.process(pid).state is State.STOPPED)
    async with home.life() as k:
        await ended(k, pid)
    assert (model.asked, causes(home)) == (1, ["lost"])


@looped
async def test_it_is_charged_once_where_the_call_was_begun_again_and_then_ended() -> None:
    home = Home({"asks": asks})
    home.model = model = SilentModel()
    async with home.life() as k:
        pid = k.spawn("asks")
        await model.reached.wait()
        model.reached.clear()
    async with home.life() as k:
        await model.reached.wait()
        await ended(k, pid)
    assert (model.asked, causes(home)) == (2, ["lost", "cancelled"])


@looped
async def test_it_is_charged_once_where_the_process_ends_before_the_new_reservation_is_durable() -> None:
    home = Home({"asks": asks})
    home.model = model = SilentModel()
    async with home.life() as k:
        pid = k.spawn("asks")
        await model.reached.wait()
    async with home.life() as k:
        k.kernel.reactions.begin_open(k.process(pid), k.kernel.ledger.journal.head.seq + 1)
        await ended(k, pid)
    assert (model.asked, causes(home)) == (1, ["lost"])
