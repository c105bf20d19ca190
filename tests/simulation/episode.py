"""One episode of a whole kernel in virtual time, drawn from a seed: `python -m tests.simulation.episode SEED`.

Programs call, wait, spawn, stop and kill at random; the model is slow and fails at random; the machine stops at random
moments and a new kernel goes on. All of it is decided by the seed, so that the same seed is the same journal.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from random import Random  # noqa: TID251 seeded
from typing import Any

from prytany.abi.errors import Emodel, KernelError
from prytany.drivers.stores.memory import MemoryStore
from prytany.journal.digests import Keyring
from prytany.journal.writer import START
from prytany.kernel.effects import Outside
from prytany.kernel.kernel import Kernel
from prytany.kernel.ledger import TENANT, Ledger
from prytany.kernel.outcome import Program
from prytany.kernel.state import fold
from prytany.ports.model import Embedded, ModelAnswer, ModelFailure, ModelFeatures, ModelRequest, Usage
from prytany.process.table import Table
from prytany.runtime.inline import InlineRunner
from prytany.testing.virtual_time import SteppedJournal, VirtualClock, VirtualLoop
from prytany.userland.process import Process

PROCESSES_MAX = 40
LIVES_MAX = 12


class SlowModel:
    """Answers what it was asked, after a drawn while, and sometimes fails."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.asked: Counter[str] = Counter()
        self.name = "slow"
        self.features = ModelFeatures(deterministic=True)

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        question = str(request.messages[-1]["content"])
        self.asked[question] += 1
        await asyncio.sleep(self._rng.expovariate(1))  # noqa: TID251 virtual
        if self._rng.random() < 0.1:
            kind = self._rng.choice(["rate_limited", "timeout", "overloaded"])
            raise ModelFailure(kind, "told to fail", retryable=True)
        return ModelAnswer(question[::-1], "stop", usage=Usage(len(question), len(question)))

    def stream(self, request: ModelRequest) -> Any:
        raise AssertionError("not streamed")

    async def embed(self, texts: list[str]) -> Embedded:
        raise AssertionError("not embedded")

    async def close(self) -> None:
        return


async def wander(proc: Process, seed: int, depth: int, parallel: bool) -> list[str]:
    """A program that does what its own seed says; its acts do not depend on time, so that a replay repeats them."""
    rng = Random(seed)
    said: list[str] = []
    children: list[int] = []
    for step in range(rng.randrange(1, 15)):
        act = rng.randrange(9)
        try:
            if act <= 1:
                said.append(await proc.llm(f"{seed} {step}"))
            elif act == 2:
                await proc.nop(rng.randbytes(rng.choice([10, 300, 9_000])))
            elif act == 3 and depth < 2:
                children.append(await proc.spawn("wander", rng.randrange(1 << 30), depth + 1, parallel))
            elif act == 4 and children:
                said.append(str((await proc.wait(children.pop(0))).status))
            elif act == 5 and children:
                await proc.kill(rng.choice(children), rng.choice([9, 15, 10]))
            elif act == 6 and children and not parallel:
                stopped = rng.choice(children)
                await proc.kill(stopped, 19)
                said.append(await proc.llm(f"{seed} {step} while it stands"))
                await proc.kill(stopped, 18)
            elif act == 7 and parallel:
                said += await asyncio.gather(*(proc.llm(f"{seed} {step} {n}") for n in range(3)))
            elif act == 8:
                await proc.files.read("/etc/passwd")
        except Emodel:
            said.append("no answer")
        except KernelError as error:
            said.append(error.errno)
    if rng.random() < 0.1:
        raise ValueError("a program that fails")
    return said


def find_program(target: str, beside: str) -> Program:
    return Program(target, target, b"# " + target.encode(), ("model", "proc"))


class Episode:
    """One seed's world."""

    def __init__(self, seed: int, *, kills: bool) -> None:
        self.rng = Random(seed)
        self.kills = kills
        self.store = MemoryStore()
        self.model = SlowModel(self.rng)
        self.keyring = Keyring(self.rng.randbytes)
        self.keyring.admit(TENANT)
        self.lives = 0
        self.final: Table | None = None

    def run(self) -> bytes:
        """Live until every root has ended; the journal's head."""
        loop = VirtualLoop()
        try:
            while not loop.run_until_complete(self._live(loop)):
                self.lives += 1
        finally:
            loop.close()
        head = self.store.reader().head()
        assert head is not None
        return head.hash

    async def _live(self, loop: VirtualLoop) -> bool:
        """One life of a kernel; whether all has ended."""
        state, head = fold(self.store.reader())
        clock = VirtualClock(loop)
        ledger = Ledger(state, self.keyring, clock, lambda entry: kernel.react(entry))
        store = self.store

        class Newest:
            def __getattr__(self, name: str) -> Any:
                return getattr(store.reader(), name)

        reader: Any = Newest()
        files: Any = None
        models: Any = {"": self.model, "slow": self.model}
        failed: asyncio.Future[Any] = loop.create_future()
        kernel = Kernel(
            ledger, Outside(clock, models, files), {"inline": InlineRunner({"wander": wander})}, reader, find_program,
            self.rng.randbytes, running_max=3,
        )  # fmt: skip
        journal = SteppedJournal(
            store, loop, head or START, ledger.on_durable, failed.set_result,
            delay=lambda: self.rng.uniform(0.0005, 0.02),
        )  # fmt: skip
        ledger.attach(journal)
        kernel.begin("episode", 1)
        roots = [p.pid for p in state.table.processes.values() if p.pid == p.run]
        for _ in range(3 - len(roots)):
            argument = [self.rng.randrange(1 << 30), 0, not self.kills]
            roots.append(kernel.operator.spawn("wander", argument, {}, uid=0, kind="inline"))
        ended = asyncio.gather(*(kernel.operator.wait_ended(pid) for pid in roots))
        stop = self.kills and self.lives < LIVES_MAX
        try:
            await asyncio.wait_for(asyncio.shield(ended), self.rng.uniform(0.001, 4) if stop else None)
        except TimeoutError:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
            # The machine stops: what the journal has not committed is lost.
            self._lose(journal)
            return False
        finally:
            await kernel.close()
        self.final = ledger.table
        return True

    @staticmethod
    def _lose(journal: SteppedJournal) -> None:
        journal._rows.clear()
        journal._large.clear()
        while not journal._queue.empty():
            journal._queue.get_nowait()


def main() -> None:
    seed = int(sys.argv[1])
    for kills in (False, True):
        print(Episode(seed, kills=kills).run().hex())


if __name__ == "__main__":
    main()
