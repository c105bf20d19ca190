"""Whatever happens to processes, rates and machines: no fleet's rate is overshot, and all that waits for it ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random  # noqa: TID251 seeded
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import KernelError
from prytany.abi.qos import Qos
from prytany.abi.signals import Signal
from prytany.kernel.draining import Draining
from prytany.kernel.freezing import freeze
from prytany.kernel.handlers.schedule import schedule
from prytany.process.process import State
from prytany.testing.virtual_time import VirtualLoop
from prytany.userland.process import Process
from tests.simulation.steered import UID, Steered
from tests.simulation.sweep import again
from tests.simulation.test_paced import SIZE, World, agent, declare, nobody, passes, start

RATE = 2_000
NAMES = ("a", "b", "c")
CALLS_MAX = 12
Begun = tuple[float, int]
"""When a call began, and of how many bytes it is."""


async def mixed(proc: Process, seed: int) -> int:
    """Reads and writes; how many."""
    rng = Random(seed)
    times = rng.randrange(1, CALLS_MAX)
    for _ in range(times):
        size = rng.choice([0, 10, 500, 1_000, 9_000])
        if rng.random() < 0.4:
            await proc.calls.file_read(f"r{SIZE}")
        else:
            await proc.calls.file_write(f"w{size}", b"x" * size)
    return times


class Rated:
    """One seed's."""

    def __init__(self, seed: int, loop: VirtualLoop) -> None:
        self.rng = Random(seed)
        self.world = World(loop)
        self.world.home.programs["mixed"] = mixed
        self.number = 0
        self.rate = 0
        self.spans: list[tuple[int, list[Begun]]] = []
        """Of a rate that stayed as it was, in a life of a kernel: what began."""

    def run(self) -> None:
        """Some lives; the last until all have ended."""
        for left in reversed(range(self.rng.randrange(1, 4))):
            self.world.run(self._ends if not left else self._lives)
            self._cut()

    def _cut(self) -> None:
        touched = self.world.disk.touched
        self.spans.append((self.rate, [(at, int(path[1:])) for path, at in touched]))
        touched.clear()

    def _declare(self, steered: Steered) -> None:
        self._cut()
        rng = self.rng
        self.rate = rng.choice([RATE, RATE, RATE // 4, 0])
        agents = [agent(name, rng.choice([0, 0, RATE // 2]), "mixed") for name in NAMES]
        self.number = declare(steered, *agents, number=self.number, rate=self.rate)

    async def _lives(self, steered: Steered) -> None:
        person = asyncio.ensure_future(self._steers(steered))
        await passes(self.rng.uniform(0.1, 20))
        person.cancel()
        await asyncio.gather(person, return_exceptions=True)
        if self.rng.random() < 0.4:
            with suppress(TimeoutError):
                await asyncio.wait_for(Draining(steered.kernel).until_quiet(), self.rng.uniform(0.1, 30))

    async def _ends(self, steered: Steered) -> None:
        kernel = steered.kernel
        freeze(kernel, UID, thaw=True)
        for process in list(kernel.table.processes.values()):
            if process.state is State.STOPPED:
                kernel.operator.signal(process.pid, Signal.CONT, uid=UID)
        for pid in [process.pid for process in kernel.table.processes.values()]:
            async with asyncio.timeout(100_000):
                await steered.ended(pid)
        assert nobody(steered)

    async def _steers(self, steered: Steered) -> None:
        rng, kernel = self.rng, steered.kernel
        while True:
            if not self.number or rng.random() < 0.1:
                self._declare(steered)
            if rng.random() < 0.5 and len(kernel.table.processes) < 12:
                start(steered, self.number, rng.choice(NAMES), rng.randrange(1 << 30), qos=rng.choice(list(Qos)))
            if alive := [process for process in kernel.table.processes.values() if process.alive]:
                with suppress(KernelError):
                    self._does(steered, rng.choice(alive))
            await passes(rng.uniform(0, 2))

    def _does(self, steered: Steered, process: Any) -> None:
        rng, kernel = self.rng, steered.kernel
        match rng.randrange(8):
            case 0:
                kernel.operator.signal(process.pid, Signal.KILL, uid=UID)
            case 1 | 2:
                kernel.operator.signal(process.pid, Signal.STOP, uid=UID)
            case 3 | 4:
                kernel.operator.signal(process.pid, Signal.CONT, uid=UID)
            case 5:
                freeze(kernel, UID, thaw=rng.random() < 0.5)
            case _:
                qos = rng.choice([qos.name.lower() for qos in Qos])
                event = schedule(process, qos, rng.choice([0, 1, 4]), -1, -1, kernel.now_ns())
                kernel.ledger.commit((event,), {})


def check(rated: Rated) -> int:
    """No span has more than its rate, a burst, what was owed or guessed wrongly at its start; how many waited."""
    for rate, begun in rated.spans:
        for first in range(len(begun) if rate else 0):
            flowed = 0
            for at, size in begun[first:]:
                flowed += size
                assert flowed <= rate * (at - begun[first][0] + 0.2) + 2 * max(rate, 9_000) + 9_000 + rate, rate
    waits = [e for entry in rated.world.home.entries() for e in entry.events if isinstance(e, ev.CallPaced)]
    return sum(e.waits for e in waits)


def one(seed: int) -> int:
    """Live it; how many calls waited."""
    loop = VirtualLoop()
    try:
        with again(one, seed):
            rated = Rated(seed, loop)
            rated.run()
            return check(rated)
    finally:
        loop.close()


def test_rates_hold_and_all_ends_whatever_happens() -> None:
    assert sum(one(seed) for seed in range(12)) > 50


def test_a_call_that_is_made_begins_no_other_that_nobody_records() -> None:
    """Another head of its class makes it another class's turn."""
    one(2416)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12, 400))
def test_rates_hold_and_all_ends_in_many_worlds(seed: int) -> None:
    one(seed)
