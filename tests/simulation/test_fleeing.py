"""Who waits for an endpoint that fails goes to who stands in for it, also when that was ill for a while."""

from __future__ import annotations

from typing import Any

from prytany.abi.budgets import Budget
from prytany.abi.signals import Signal
from prytany.kernel.kernel import Kernel
from prytany.ports.model import ModelFailure, ModelFeatures, ModelLimits
from prytany.process.process import State
from prytany.testing.virtual_shard import NumbersModel, VirtualShard, passes
from prytany.userland.process import Process
from tests.simulation.model_world import check
from tests.simulation.shards import SHARDS

FREE = Budget()
CALLS = 30


class Ill(NumbersModel):
    """Nobody reaches it while it is set."""

    ill = False

    def fails(self, question: str) -> None:
        """See `NumbersModel`."""
        if self.ill:
            raise ModelFailure("unreachable", "ill", retryable=True)


async def asks(proc: Process, name: str) -> str:
    return await proc.llm(f"10 100 {name}", max_tokens=200)


def shard_of() -> tuple[VirtualShard, Ill, Ill]:
    first = Ill("m", ModelFeatures(limits=ModelLimits(2), fallback=("b",)))
    second = Ill("b", ModelFeatures(limits=ModelLimits(2), fallback=("m",)))
    SHARDS.append(VirtualShard({"asks": asks}, {"m": first, "b": second}, running_max=100))
    return SHARDS[-1], first, second


async def ends(kernel: Kernel, pids: list[int]) -> list[Any]:
    return [(await kernel.operator.wait_ended(pid))["result"] for pid in pids]


def test_who_fled_back_to_an_endpoint_that_stays_ill_goes_on_where_it_can() -> None:
    shard, first, second = shard_of()

    async def live(kernel: Kernel) -> None:
        first.ill = True
        pids = [shard.spawn(kernel, "asks", f"call {n}", budget=FREE) for n in range(CALLS)]
        await passes(6)
        second.ill = True  # while the first is to be tried again: all flee back to it
        await passes(15)
        second.ill = False
        gave_up = [result for result in await ends(kernel, pids) if result is None]
        assert len(gave_up) <= 4  # those that were tried in vain at both

    shard.run(live)
    assert shard.loop.time() < 300
    check(shard)


def test_who_was_queued_by_an_earlier_kernel_flees_too() -> None:
    shard, first, second = shard_of()

    async def live(kernel: Kernel) -> None:
        for n in range(CALLS):
            shard.spawn(kernel, "asks", f"call {n}", budget=FREE)
        await passes(0.5)

    async def goes_on(kernel: Kernel) -> None:
        first.ill = True
        assert all(await ends(kernel, list(range(1, CALLS + 1))))

    shard.run(live)
    shard.run(goes_on)
    assert sum(second.answered.values()) == CALLS
    assert shard.loop.time() < 300
    check(shard)


def test_who_was_stopped_meanwhile_flees_when_it_goes_on() -> None:
    shard, first, _ = shard_of()

    async def live(kernel: Kernel) -> None:
        pids = [shard.spawn(kernel, "asks", f"call {n}", budget=FREE) for n in range(CALLS)]
        await passes(0.5)
        for pid in pids[10:]:
            kernel.operator.signal(pid, Signal.STOP, uid=0)
        await passes(0.5)
        assert all(kernel.table.require(pid).state is State.STOPPED for pid in pids[10:])
        for pid in pids[10:]:
            kernel.operator.signal(pid, Signal.CONT, uid=0)
        first.ill = True
        assert all(await ends(kernel, pids))

    shard.run(live)
    assert shard.loop.time() < 300
    check(shard)
