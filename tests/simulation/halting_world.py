"""The worlds of `model_world`, where a person also freezes everything, upgrades servers and stops kernels gently; where
calls wait as twins of others and generations are put aside; and where what goes on is a restored backup, at times.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from random import Random  # noqa: TID251 seeded
from typing import Any, ClassVar

import msgspec

from prytany.abi.budgets import Budget
from prytany.abi.errors import KernelError
from prytany.abi.signals import Signal
from prytany.abi.wire import PIECE
from prytany.kernel.draining import Draining
from prytany.kernel.freezing import FROZEN, freeze
from prytany.kernel.kernel import Kernel
from prytany.ports.model import ModelAnswer, ModelFailure, ModelFeatures, ModelLimits, ModelRequest, Usage
from prytany.ports.turns import Aside, Turn
from prytany.process.process import Process
from prytany.testing.model_traffic import Ask
from tests.simulation.model_world import FailingModel, Walk, World
from tests.simulation.stepped import Calls
from tests.simulation.test_restored import restore

PARTS = 5
"""Of an answer that is given in turns."""
MESSAGES = 4
"""That a server takes before it is done."""


class Saved(Aside):
    """A slot's cache that was put aside, and is there until it is gone on with or dropped."""

    def __init__(self, text: str, usage: Usage, done: int, saved: set[Saved]) -> None:
        super().__init__(text, usage)
        self.done = done
        self._saved = saved
        saved.add(self)

    def drop(self) -> None:
        """See `Aside`."""
        self._saved.discard(self)


class SavingModel(FailingModel):
    """Answers in parts, and can be told to stop after each."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.saved: set[Saved] = set()
        self.put_aside = 0

    async def turn(self, request: ModelRequest, turn: Turn) -> AsyncGenerator[str | ModelAnswer | Aside]:
        """See `TurnsModel`."""
        text = str(request.messages[-1]["content"])
        prompt, completion = (int(word) for word in text.split(" ", 2)[:2])
        ask = Ask(prompt, min(completion, request.max_tokens))
        first, aside = 0, turn.aside
        if isinstance(aside, Saved):
            assert aside in self.saved, "what was dropped is gone on with"
            first = aside.done
        self.asked[text] = self.asked.get(text, 0) + 1
        takes_ns = self.provider.arrives(ask, round(asyncio.get_running_loop().time() * 1e9) + 1)
        if takes_ns is None:
            raise ModelFailure("rate_limited", "too many", retryable=True)
        self.active += 1
        self.most = max(self.most, self.active)
        try:
            for part in range(first, PARTS):
                await asyncio.sleep(takes_ns / PARTS / 1e9)  # noqa: TID251 virtual
                yield text[len(text) * part // PARTS : len(text) * (part + 1) // PARTS]
                turn.generated(ask.completion * (part + 1 - first) // PARTS)
                if turn.gives_way and part + 1 < PARTS:
                    self.put_aside += 1
                    usage = Usage(prompt, ask.completion * (part + 1) // PARTS)
                    if aside is not None:
                        aside.drop()
                    yield Saved(text[: len(text) * (part + 1) // PARTS], usage, part + 1, self.saved)
                    return
            self.fails(text)
        finally:
            self.active -= 1
            self.provider.ends(ask)
        self.answered[text] = self.answered.get(text, 0) + 1
        yield ModelAnswer(text, "stop", usage=Usage(ask.prompt, ask.completion))


class Asks(Walk):
    """Some of what it asks others ask as well."""

    def asks(self) -> tuple[Any, ...]:
        """See `Walk`."""
        if self.rng.random() < 0.4:
            return super().asks()
        number = self.rng.randrange(6)
        return "model_chat", [{"role": "user", "content": f"9 {50 + number} {number}"}], "", {"max_tokens": 200}


class Serves(Asks):
    """A server: it asks before its first state and within each message, and is done after a few."""

    def walk(self) -> Generator[Calls, tuple[int, Any], None]:
        """See `Walk`."""
        if not self.given or self.migrating:
            yield from self.together([self.asks() for _ in range(self.rng.randrange(3))])
            yield from self.is_done(0)
        nothing = 0
        while self.age < MESSAGES and nothing < 3:
            [message] = yield from self.together([("message_receive", 4_000)])
            if not isinstance(message, dict):
                nothing += 1
                continue
            nothing = 0
            self.rng = Random(f"{self.seed} {self.age} {message['message']} {message['attempt']}")
            for _ in range(self.rng.randrange(3)):
                yield from self.together([self.asks() for _ in range(self.rng.randrange(1, 4))])
            if self.rng.random() < 0.15:
                yield [("process_exit", 1, None, {"type": "ValueError", "message": "it fails"})]
            yield from self.is_done(message["message"])
        yield [("process_exit", 0, None, None)]

    def is_done(self, message: int) -> Generator[Calls, tuple[int, Any], None]:
        """With a message, or with its beginning."""
        self.age += bool(message)
        self.asked = 0
        yield from self.together([("message_done", message, msgspec.msgpack.encode(self.age), None, "")])

    def together(self, calls: Calls) -> Generator[Calls, tuple[int, Any], list[Any]]:
        """Make calls, and go on when all of them have ended; what they gave, in order."""
        numbers = list(range(self.made + 1, self.made + 1 + len(calls)))
        self.made += len(calls)
        self.questions |= {n: c[1][-1]["content"] for n, c in zip(numbers, calls, strict=True) if c[0] == "model_chat"}
        given: dict[int, Any] = {}
        while len(given) < len(numbers):
            n, value = yield calls
            calls = []
            if value != PIECE:
                given[n] = value
            if n in self.questions and isinstance(value, dict):
                self.hears(n, value)
        return [given[n] for n in numbers]


class Served:
    """What `VirtualShard` takes for a server."""

    serve = None


class HaltingWorld(World):
    """One seed's."""

    walks: ClassVar[dict[str, type[Walk]]] = {"walks": Asks, "serves": Serves}
    programs: ClassVar[dict[str, Any]] = {"walks": None, "serves": Served}

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.drained: set[int] = set()
        self.done: dict[str, int] = {}
        """How often each thing was done that these worlds add."""

    def changes_models(self) -> None:
        """See `World`."""
        self.saving = SavingModel(
            "b", ModelFeatures(streaming=True, tools=True, json_schema=True, slots=1, saves_slots=True,
                               deterministic=True, limits=ModelLimits(self.rng.choice([1, 2]), coalesce=True)),
        )  # fmt: skip
        self.models["b"] = self.saving
        features = self.models["m"].features
        said = msgspec.structs.replace(features.limits, coalesce=True, answers_bytes=self.rng.choice([0, 0, 600]))
        self.models["m"].features = msgspec.structs.replace(features, deterministic=True, limits=said)

    def between(self) -> None:
        """See `World`: what goes on may be a backup."""
        assert not self.saving.saved, "a generation that was put aside outlives its kernel"
        if self.ends is None and self.rng.random() < 0.15:
            self._did("restore")
            restore(self.shard.store)

    def begins(self, kernel: Kernel, budget: Budget) -> int:
        """See `World`."""
        name = self.rng.choice(["walks", "walks", "serves"])
        return self.shard.spawn(
            kernel, name, self.rng.randrange(1 << 30), 0, budget=budget, model=self.rng.choice(["m", "m", "b"]),
            restarts=self.rng.choice([0, 1, 3]),
        )  # fmt: skip

    def commands(self, kernel: Kernel) -> None:
        """See `World`."""
        rng = self.rng
        for process in [p for p in kernel.table.processes.values() if p.alive and p.program == "serves"]:
            with suppress(KernelError):
                if rng.random() < 0.7:
                    kernel.operator.send(process.pid, "does", None, uid=0)
                if rng.random() < 0.2:
                    self.shard.version += 1
                    if kernel.operator.upgrade(process.pid, uid=0):
                        self._did("upgrade at once")
        if rng.random() < 0.12:
            self._meets(kernel, "freeze")
            freeze(kernel, 0, thaw=False)
        elif rng.random() < 0.5:
            freeze(kernel, 0, thaw=True)

    def leaves(self, process: Process) -> bool:
        """See `World`: what is frozen is thawed, or let go on by itself now and then."""
        return process.reason == FROZEN and self.rng.random() < 0.9

    async def stops(self, kernel: Kernel) -> None:
        """See `World`."""
        if self.rng.random() < 0.4:
            return
        self._meets(kernel, "drain")
        draining, rng = Draining(kernel), self.rng
        quiet = asyncio.ensure_future(draining.until_quiet())
        until = asyncio.get_running_loop().time() + rng.choice([0.3, 60, 600])
        while not quiet.done() and asyncio.get_running_loop().time() < until:
            await asyncio.wait([quiet], timeout=rng.uniform(0.1, 5))
            alive = [p for p in kernel.table.processes.values() if p.alive]
            if not quiet.done() and alive and rng.random() < 0.2:
                with suppress(KernelError):
                    signal = rng.choice([Signal.KILL, Signal.STOP])
                    kernel.operator.signal(rng.choice(alive).pid, signal, uid=0)
            if not quiet.done() and rng.random() < 0.05:
                freeze(kernel, 0, thaw=False)
        assert not kernel.closing, "the kernel stopped"
        if quiet.done():
            self._did("quiet")
            if draining.quiet:
                self.drained.add(kernel.ledger.journal.head.seq)
        quiet.cancel()
        await asyncio.gather(quiet, return_exceptions=True)

    def _did(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1

    def _meets(self, kernel: Kernel, what: str) -> None:
        """Something is about to be done to calls that wait in these ways."""
        self._did(what)
        turns, scheduler = kernel.model_turns, kernel.model_turns.scheduler
        for process in kernel.table.processes.values():
            for call in process.open.values():
                key = call.seq
                if call.reserved is None:
                    continue
                if scheduler.asked_for(key):
                    self._did(f"{what}: a twin")
                elif scheduler.parked.account(key):
                    self._did(f"{what}: parked on a budget")
                elif scheduler.waits(key):
                    self._did(f"{what}: queued")
                elif key in turns._retrying and scheduler.get(key) is None:
                    self._did(f"{what}: in a pause")
                elif scheduler.get(key) is not None:
                    self._did(f"{what}: under way")
        if self.saving.saved:
            self._did(f"{what}: put aside")
