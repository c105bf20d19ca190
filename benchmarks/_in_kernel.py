"""Who runs next in a whole kernel, in virtual time: inline agents, a journal in memory, a provider in numbers.

Agents ask with texts of four bytes a token and say how much they want at most, which is more than they get, or leave it
to the kernel; what that expects is what it learns. All of its limits are those of the model that it is told of.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from prytany.abi import events as ev
from prytany.abi.budgets import Bounds, Budget, tree_account
from prytany.abi.qos import Qos
from prytany.kernel.kernel import Kernel
from prytany.ports.model import ModelAnswer, ModelFeatures, ModelLimits, ModelRequest
from prytany.process.process import State
from prytany.testing.model_traffic import SECOND_NS, Ask, Provider
from prytany.testing.virtual_shard import NumbersModel, VirtualShard, passes
from prytany.userland.process import Process

FREE = Budget()
RUNNING_MAX = 10_000
BYTES_A_TOKEN = 4


def question(ask: Ask, number: int) -> str:
    """A text of so many tokens, that says what comes of it."""
    said = f"{ask.prompt} {ask.completion} {number} "
    return said.ljust(BYTES_A_TOKEN * ask.prompt, "x")


class Served:
    """What was served, by process: when it was asked for, begun and ended, and its tokens."""

    def __init__(self, shard: VirtualShard) -> None:
        self.times: list[tuple[int, int, int]] = []
        opened: dict[tuple[int, int], int] = {}
        begun: dict[tuple[int, int], int] = {}
        self.qos: list[int] = []
        qos: dict[int, int] = {}
        for entry in shard.entries():
            for event in entry.events:
                match event:
                    case ev.ProcessSpawned():
                        qos[event.pid] = event.qos
                    case ev.CallOpened(call="model_chat"):
                        opened[event.pid, event.n] = entry.time_ns
                    case ev.ModelReserved():
                        begun[event.pid, event.n] = entry.time_ns
                    case ev.ModelUsed(cause=""):
                        which = event.pid, event.n
                        self.times.append((opened[which], begun[which], entry.time_ns))
                        self.qos.append(qos[event.pid])
                    case _:
                        pass


def shard_of(provider: Provider, limits: ModelLimits, programs: dict[str, Any], seed: int) -> VirtualShard:
    """A kernel with one model."""
    model = NumbersModel("m", ModelFeatures(limits=limits), provider)
    entropy = random.Random(seed).randbytes
    return VirtualShard(programs, {"m": model}, running_max=RUNNING_MAX, entropy=entropy)


def lived(shard: VirtualShard, does: Callable[[Kernel], Awaitable[None]]) -> None:
    """One life."""
    try:
        shard.run(does)
    finally:
        shard.loop.close()


def contention(
    provider: Provider, limits: ModelLimits, asks: Sequence[Sequence[Ask]], most: int | None, seed: int
) -> tuple[Served, float]:
    """Agents that each make their calls one after the other, at once; what was served, and how long it took."""

    async def agent(proc: Process, number: int) -> None:
        for turn, ask in enumerate(asks[number]):
            await proc.llm(question(ask, number * 1_000 + turn), max_tokens=most)

    async def all_of_them(kernel: Kernel) -> None:
        pids = [shard.spawn(kernel, "agent", number, budget=FREE) for number in range(len(asks))]
        await asyncio.gather(*(kernel.operator.wait_ended(pid) for pid in pids))

    shard = shard_of(provider, limits, {"agent": agent}, seed)
    lived(shard, all_of_them)
    served = Served(shard)
    begun = min(asked for asked, _, _ in served.times)
    return served, (max(ended for _, _, ended in served.times) - begun) / SECOND_NS


def arrivals(
    slots: int, token_ns: int, arriving: Sequence[tuple[int, Qos, Ask]], seconds: int, most: int, seed: int
) -> Served:
    """Agents of one call each, that come when they come."""

    async def agent(proc: Process, number: int) -> None:
        await proc.llm(question(arriving[number][2], number), max_tokens=most)

    async def as_they_come(kernel: Kernel) -> None:
        loop, begun = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        for number, (at_ns, qos, _) in enumerate(arriving):
            await passes(max(0.0, begun + at_ns / SECOND_NS - loop.time()))
            shard.spawn(kernel, "agent", number, qos=qos, budget=FREE)
        await passes(max(0.0, begun + seconds - loop.time()))

    shard = shard_of(Provider(token_ns=token_ns), ModelLimits(slots), {"agent": agent}, seed)
    lived(shard, as_they_come)
    return Served(shard)


def backlogged(
    slots: int, policy: str, token_ns: int, agents: Sequence[int], draw: Callable[[], Ask], seconds: int, most: int
) -> list[tuple[int, int, Ask]]:
    """Agents that always wait, each with so many calls at once: for each answer its time, whose it is, and what."""
    found: list[tuple[int, int, Ask]] = []

    async def agent(proc: Process, number: int, calls: int) -> None:
        async def one(which: int) -> None:
            turn = which
            while True:
                ask, turn = draw(), turn + 1_000
                await proc.llm(question(ask, number * 1_000_000 + turn), max_tokens=most)
                found.append((round(asyncio.get_running_loop().time() * SECOND_NS), number, ask))

        await asyncio.gather(*(one(which) for which in range(calls)))

    async def for_a_while(kernel: Kernel) -> None:
        for number, calls in enumerate(agents):
            shard.spawn(kernel, "agent", number, calls, budget=FREE)
        await passes(seconds)

    shard = shard_of(Provider(token_ns=token_ns), ModelLimits(slots, policy=policy), {"agent": agent}, 1)
    lived(shard, for_a_while)
    return found


class TokenAByte(NumbersModel):
    """Its texts have a token a byte, and it says as much as it may."""

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        """See `Model`."""
        answer = await super().chat(request)
        tokens = len(str(request.messages[-1]["content"]).encode())
        usage = type(answer.usage)(tokens, request.max_tokens)
        return ModelAnswer(answer.text, "length", usage=usage)


def budget(children: int, tokens: int, seed: int) -> dict[str, float]:
    """Children that spend one tree's budget at once, until none of them can go on."""
    chance = random.Random(seed)

    async def child(proc: Process, which: int) -> None:
        draw = random.Random(f"{seed} {which}")
        for turn in range(20):
            most = draw.choice([None, draw.randint(1, 2_000)])  # without max_tokens too
            await proc.llm(
                f"1 {draw.randint(1, 4_000)} {which} {turn} ".ljust(draw.randint(30, 3_000), "x"), max_tokens=most
            )

    async def parent(proc: Process) -> None:
        pids = [await proc.spawn("child", which) for which in range(children)]
        for pid in pids:
            await proc.wait(pid)

    async def until_nobody_goes_on(kernel: Kernel) -> None:
        root = shard.spawn(kernel, "parent", budget=FREE)
        kernel.exceeding.grant(tree_account(root), Budget(Bounds(tokens=tokens)), uid=0)
        while any(p.state is not State.STOPPED for p in kernel.table.processes.values() if p.pid != root) or (
            len(kernel.table.processes) <= children
        ):
            await passes(60)

    model = TokenAByte("m", ModelFeatures(), Provider())
    shard = VirtualShard(
        {"child": child, "parent": parent}, {"m": model}, running_max=RUNNING_MAX, entropy=chance.randbytes
    )
    lived(shard, until_nobody_goes_on)
    spent = sum(e.prompt_tokens + e.completion_tokens for e in shard.events(ev.ModelUsed))
    return {"overspend_ratio": spent / tokens, "stopped": len(shard.events(ev.BudgetExceeded))}
