"""Worlds by seed in which processes lock, call each other, spawn and wait at random, several things at once: nobody
waits for ever, wherever the machine goes out, and nothing is held when all have ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random  # noqa: TID251 seeded
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Etimedout, KernelError
from prytany.kernel.kernel import Kernel
from prytany.testing.virtual_shard import VirtualShard, passes
from prytany.userland.process import Process

PEERS = 4


class Mixer:
    """One process's acts. Only without crashes does an inline program do several at once."""

    def __init__(self, proc: Process, seed: int, depth: int, several: bool) -> None:
        self.proc, self.depth, self.several = proc, depth, several
        self.draw = Random(seed)
        self.refused: list[str] = []

    async def act(self) -> None:
        kind = self.draw.random()
        try:
            if kind < 0.5:
                await self.lock()
            elif kind < 0.65:
                await self.proc.call(self.draw.randint(2, 1 + PEERS), "x")
            elif kind < 0.8 and self.depth < 2:
                await self.child()
            elif kind < 0.9:
                await self.serve()
            else:
                await self.proc.sleep(self.draw.random())
        except KernelError as error:
            self.refused.append(error.errno)
            await self.proc.sleep(self.draw.random() * 0.1)

    async def lock(self) -> None:
        names = self.draw.sample("abcd", self.draw.choice([1, 1, 2]))
        of = self.proc
        locks = of.locks(*names), of.lock(names[0], shared=True), of.semaphore("s", 2)
        async with self.draw.choice(locks):
            if self.draw.random() < 0.6:
                await self.proc.sleep(self.draw.random())
            if self.draw.random() < 0.6:
                await self.act()

    async def child(self) -> None:
        pid = await self.proc.spawn("mixer", self.draw.randrange(1 << 30), self.depth + 1, self.several)
        if self.draw.random() < 0.5:
            await self.act()
        await self.proc.wait(pid)

    async def serve(self) -> None:
        with suppress(Etimedout):
            message = await self.proc.receive(timeout_ms=200)
            if self.draw.random() < 0.7:
                await self.act()
            await message.done(1)


async def mixer(proc: Process, seed: int, depth: int, several: bool) -> list[str]:
    of = Mixer(proc, seed, depth, several)
    for _ in range(5):
        if several and of.draw.random() < 0.2:
            await asyncio.gather(of.act(), of.act())
        else:
            await of.act()
    return of.refused


async def root(proc: Process, seed: int, several: bool) -> None:
    draw = Random(seed)
    for pid in [await proc.spawn("mixer", draw.randrange(1 << 30), 0, several) for _ in range(PEERS)]:
        await proc.wait(pid)


def lived(seed: int, *, crashes: int) -> int:
    """One world, to its end; how many deadlocks there were."""
    world = VirtualShard({"mixer": mixer, "root": root}, {}, pledge=("proc", "ipc"), running_max=100)
    draw = Random(seed)

    async def live(kernel: Kernel) -> bool:
        if not kernel.table.processes:
            world.spawn(kernel, "root", seed, not crashes)
        for _ in range(2_000):
            if not any(process.alive for process in kernel.table.processes.values()):
                break
            await passes(5)
        alive = [(p.pid, p.reason, p.open) for p in kernel.table.processes.values() if p.alive]
        assert not alive, (seed, alive)
        locks, awaited = kernel.state.locks, kernel.state.awaited
        assert (locks.lines, locks.claims, locks.held, locks.waiting, locks.due) == ({}, {}, {}, {}, {}), seed
        assert (awaited.asked, awaited.by) == ({}, {}), seed
        await kernel.wait_durable(kernel.ledger.journal.head.seq)
        return True

    ended: Any = None
    for _ in range(crashes):
        ended = ended or world.run(live, len(world.entries()) + draw.randint(20, 200))
    assert ended or world.run(live)
    found = len(world.events(ev.DeadlockFound))
    world.loop.close()
    return found


@pytest.mark.parametrize("crashes", [0, 3])
def test_nobody_waits_for_ever(crashes: int) -> None:
    assert sum(lived(seed, crashes=crashes) for seed in range(5)) > 20, "they hardly met: this tries nothing"
