"""One episode of a whole kernel in virtual time, drawn from a seed: `python -m tests.simulation.episode SEED`.

Programs call, wait, spawn, stop and kill at random; the model is slow and fails at random; the machine stops at random
moments and a new kernel goes on. All of it is decided by the seed, so that the same seed is the same journal.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from random import Random  # noqa: TID251 seeded
from typing import Any

from prytany.abi import limits
from prytany.abi.errors import KernelError
from prytany.drivers.stores.memory import MemoryStore
from prytany.journal.digests import Keyring
from prytany.journal.writer import START
from prytany.kernel.effects import Outside
from prytany.kernel.folding import fold_from_snapshot
from prytany.kernel.kernel import Kernel
from prytany.kernel.ledger import TENANT, Ledger
from prytany.kernel.outcome import Program
from prytany.kernel.quotas import Quotas
from prytany.kernel.state import ShardState
from prytany.ports.model import Embedded, ModelAnswer, ModelFailure, ModelFeatures, ModelRequest, Usage
from prytany.ports.tool import ToolFailure
from prytany.runtime.inline import InlineRunner
from prytany.testing.virtual_time import SteppedJournal, VirtualClock, VirtualLoop
from tests.simulation.tools import CountingTools
from tests.simulation.wandering import Counter as CounterServer
from tests.simulation.wandering import wander

PROCESSES_MAX = 40
LIVES_MAX = 12
PROGRAMS: dict[str, Any] = {"wander": wander, "Counter": CounterServer.serve}


def leftovers(kernel: Kernel) -> list[str]:
    """What a kernel still holds for processes that have ended."""
    if kernel.ledger.journal.durable < kernel.ledger.journal.head.seq:
        return []  # what it does for an end follows when that is durable
    alive = {p.pid for p in kernel.table.processes.values() if p.alive}
    held: dict[str, Iterable[int]] = {
        "effects": kernel.effects._tasks, "restarts": kernel.table.restarting, "ready": kernel.table.ready,
        "running": kernel.table.running, "calls of tools": kernel.turns.calls,
    }  # fmt: skip
    return [f"{what} of {pid}" for what, pids in held.items() for pid in pids if pid not in alive]


class SlowModel:
    """Answers what it was asked, after a drawn while, and sometimes fails."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.asked: Counter[str] = Counter()
        self.name = "slow"
        self.features = ModelFeatures(deterministic=True, streaming=True)

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        question = str(request.messages[-1]["content"])
        self.asked[question] += 1
        await asyncio.sleep(self._rng.expovariate(1))  # noqa: TID251 virtual
        if self._rng.random() < 0.1:
            kind = self._rng.choice(["rate_limited", "timeout", "overloaded"])
            raise ModelFailure(kind, "told to fail", retryable=True)
        return ModelAnswer(question[::-1], "stop", usage=Usage(len(question), len(question)))

    async def stream(self, request: ModelRequest) -> Any:
        for piece in ("one ", "two ", "three"):
            await asyncio.sleep(self._rng.expovariate(5))  # noqa: TID251 virtual
            if self._rng.random() < 0.05:
                raise ModelFailure("interrupted", "told to be", retryable=True)
            yield piece
        yield ModelAnswer("one two three", "stop", usage=Usage(3, 3))

    async def embed(self, texts: list[str]) -> Embedded:
        raise AssertionError("not embedded")

    async def close(self) -> None:
        return


class RandomTools(CountingTools):
    """Tools that take a drawn while, and fail or die at random."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng
        self.started: Counter[str] = Counter()

    async def call(self, name: str, arguments: dict[str, Any], key: str) -> Any:
        self.started[name] += 1
        self.keys.setdefault(key, []).append(f"{name} {arguments}")
        await asyncio.sleep(self._rng.expovariate(2))  # noqa: TID251 virtual
        draw = self._rng.random()
        if draw < 0.1:
            raise ToolFailure("died", "it died", begun=True)
        if draw < 0.2:
            raise ToolFailure("raised", "it raised")
        return f"{name} {arguments}"


class Episode:
    """One seed's world."""

    def __init__(self, seed: int, *, kills: bool) -> None:
        self.rng = Random(seed)
        self.kills = kills
        self.store = MemoryStore()
        self.model = SlowModel(self.rng)
        self.tools = RandomTools(self.rng)
        draw = Random(f"quotas {seed}")
        self.quotas = Quotas(
            process_bytes=draw.choice([3_000, 20_000, 1 << 30, 1 << 30]),
            tenant_bytes=draw.choice([60_000, 1 << 30, 1 << 30]),
            history_calls_warn=draw.choice([5, 1_000]),
            history_calls_max=draw.choice([12, 1_000, 1_000]),
            refusals_max=draw.choice([3, 1_000]),
        )
        self.version = 0
        self.keyring = Keyring(self.rng.randbytes)
        self.keyring.admit(TENANT)
        self.lives = 0
        self.leftovers: list[str] = []
        self.final: ShardState | None = None

    def run(self) -> bytes:
        """Live until every root has ended; the journal's head."""
        loop = VirtualLoop()
        entries, limits.SNAPSHOT_ENTRIES = limits.SNAPSHOT_ENTRIES, 40
        try:
            while not loop.run_until_complete(self._live(loop)):
                self.lives += 1
        finally:
            limits.SNAPSHOT_ENTRIES = entries
            loop.close()
        head = self.store.reader().head()
        assert head is not None
        return head.hash

    async def _live(self, loop: VirtualLoop) -> bool:
        """One life of a kernel; whether all has ended."""
        folded = fold_from_snapshot(self.store.reader())
        state, head = folded.state, folded.head
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
            ledger, Outside(clock, models, files, {self.tools.path: self.tools}), {"inline": InlineRunner(PROGRAMS)},
            reader, self.find_program, self.rng.randbytes, running_max=3, quotas=self.quotas,
        )  # fmt: skip
        journal = SteppedJournal(
            store, loop, head or START, ledger.on_durable, failed.set_result,
            delay=lambda: self.rng.uniform(0.0005, 0.02),
        )  # fmt: skip
        ledger.attach(journal)
        ledger.snapshots.begin(folded)
        kernel.begin("episode", 1)
        roots = [p.pid for p in state.table.processes.values() if p.pid == p.run]
        for _ in range(3 - len(roots)):
            argument = [self.rng.randrange(1 << 30), 0, not self.kills]
            roots.append(kernel.operator.spawn("wander", argument, {}, uid=0, kind="inline", tools=[self.tools.path]))
        ended = asyncio.gather(*(kernel.operator.wait_ended(pid) for pid in roots))
        person = asyncio.ensure_future(self._steer(kernel))
        stop = self.kills and self.lives < LIVES_MAX
        try:
            await asyncio.wait_for(asyncio.shield(ended), self.rng.uniform(0.001, 4) if stop else None)
        except TimeoutError:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
            # The machine stops: what the journal has not committed is lost.
            journal.lose()
            return False
        finally:
            person.cancel()
            await asyncio.gather(person, return_exceptions=True)
            self.leftovers = leftovers(kernel)
            await kernel.close()
        self.final = state
        return True

    def find_program(self, target: str, beside: str) -> Program:
        """Both programs; a newer version of them now and then."""
        source = f"# {target} {self.version}".encode()
        return Program(target, target, source, ("ipc", "model", "proc", "tools"), target == "Counter")

    async def _steer(self, kernel: Kernel) -> None:
        """A person who settles what is in doubt, and upgrades servers."""
        while True:
            await asyncio.sleep(self.rng.uniform(0.01, 2))  # noqa: TID251 virtual
            for key in list(kernel.table.incidents):
                pid, kind, n = key.split(":")
                if kind == "doubt":
                    choice = self.rng.choice(["retry", "skip", "give"])
                    kernel.operator.settle(int(pid), int(n), choice, "given" if choice == "give" else None, uid=0)
                elif kind == "abandoned":
                    kernel.operator.settle(int(pid), int(n), "skip", None, uid=0)
            servers = [p.pid for p in kernel.table.processes.values() if p.name == "Counter" and p.alive]
            if servers and self.rng.random() < 0.3:
                self.version += 1
                with suppress(KernelError):
                    kernel.operator.upgrade(self.rng.choice(servers), uid=0)


def main() -> None:
    seed = int(sys.argv[1])
    for kills in (False, True):
        print(Episode(seed, kills=kills).run().hex())


if __name__ == "__main__":
    main()
