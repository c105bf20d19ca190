"""A whole kernel in virtual time: inline programs, a journal in memory, models in numbers; hours take seconds.

One life after another on one store. A life ends when what was asked of it is done, when its journal is to stop at an
entry (the machine goes out there), or when its time is up. A seed decides everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from prytany.abi import events as ev
from prytany.abi.qos import Qos
from prytany.drivers.stores.memory import MemoryStore
from prytany.journal.digests import Keyring
from prytany.kernel.effects import Outside
from prytany.kernel.folding import fold_from_snapshot
from prytany.kernel.kernel import Kernel
from prytany.kernel.ledger import TENANT, Ledger
from prytany.kernel.outcome import Program
from prytany.ports.model import Embedded, Model, ModelAnswer, ModelFailure, ModelFeatures, ModelRequest, Usage
from prytany.ports.runner import Runner
from prytany.ports.store import Body, Row, StoreError
from prytany.runtime.inline import InlineRunner
from prytany.testing.model_traffic import Ask, Provider
from prytany.testing.virtual_time import SteppedJournal, VirtualClock, VirtualLoop

PLEDGE = ("model", "proc")
DURABLE_S = 0.001


class Stops(StoreError):
    """The machine goes out."""


class StoppingAt(MemoryStore):
    """What `of` holds, and no entry after the one of that number; 0 never stops."""

    def __init__(self, of: MemoryStore, last: int) -> None:
        super().__init__()
        self.__dict__.update({key: value for key, value in of.__dict__.items() if key != "last"})
        self.last = last

    def commit(self, rows: Sequence[Row], bodies: Sequence[Body], *, reserve: bool = False) -> None:
        """Row by row, so that it can stop between any two."""
        for row in rows:
            if self.last and row.seq > self.last:
                raise Stops(f"before entry {row.seq}")
            super().commit([row], bodies, reserve=reserve)
            bodies = ()


async def passes(seconds: float) -> None:
    """Let virtual time go by."""
    await asyncio.sleep(seconds)


class NumbersModel:
    """A model in virtual time: what is asked says how long it takes, and a provider in numbers whether it is allowed.

    A question is `PROMPT ANSWER ...`, both in tokens; the answer is the question. Who answers something else overrides
    `said`.

    Attributes:
        answered: how often each question was.
        asked: how often each was asked, refusals included.
        most: calls that were under way at once, at most.
    """

    def __init__(self, name: str, features: ModelFeatures, provider: Provider | None = None) -> None:
        self.name = name
        self.features = features
        self.provider = provider or Provider()
        self.asked: dict[str, int] = {}
        self.answered: dict[str, int] = {}
        self.active = self.most = 0

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        """See `Model`."""
        question = str(request.messages[-1]["content"])
        prompt, completion = (int(word) for word in question.split(" ", 2)[:2])
        ask, loop = Ask(prompt, min(completion, request.max_tokens)), asyncio.get_running_loop()
        self.asked[question] = self.asked.get(question, 0) + 1
        takes_ns = self.provider.arrives(ask, round(loop.time() * 1e9) + 1)
        if takes_ns is None:
            after_ns = self.provider.retry_after_ns
            after_ms = None if after_ns is None else -(-after_ns // 1_000_000)
            raise ModelFailure("rate_limited", "too many", retryable=True, retry_after_ms=after_ms)
        self.active += 1
        self.most = max(self.most, self.active)
        try:
            await asyncio.sleep(takes_ns / 1e9)
            self.fails(question)
        finally:
            self.active -= 1
            self.provider.ends(ask)
        self.answered[question] = self.answered.get(question, 0) + 1
        return ModelAnswer(question, "stop", usage=Usage(ask.prompt, ask.completion))

    def fails(self, question: str) -> None:
        """Raise ModelFailure where this attempt is to fail."""

    async def stream(self, request: ModelRequest) -> Any:
        """The same, in two pieces."""
        answer = await self.chat(request)
        yield answer.text[:3]
        yield answer

    async def embed(self, texts: list[str]) -> Embedded:
        """One vector a text."""
        answer = await self.chat(ModelRequest([{"content": texts[0]}], 1))
        return Embedded([[1.0] for _ in texts], answer.usage)

    async def close(self) -> None:
        """See `Model`."""


class VirtualShard:
    """See the module.

    Attributes:
        store: the journal.
        loop: virtual, the same for all lives.
        models: by the kernel's names.
        lives: how many there were.
    """

    def __init__(
        self,
        programs: dict[str, Any],
        models: dict[str, Model],
        *,
        running_max: int = 8,
        pledge: Sequence[str] = PLEDGE,
        entropy: Callable[[int], bytes] = lambda size: bytes(size),
        durable_s: Callable[[], float] = lambda: DURABLE_S,
        kind: str = "inline",
        runners: Callable[[], dict[str, Runner]] | None = None,
    ) -> None:
        self.programs = {name: getattr(program, "serve", program) for name, program in programs.items()}
        self.servers = {name for name, program in programs.items() if hasattr(program, "serve")}
        self.models = models
        self.store = MemoryStore()
        self.loop = VirtualLoop()
        self.lives = 0
        self.version = 0
        """Of the programs; another is another source."""
        self._running_max = running_max
        self._pledge = tuple(pledge)
        self._entropy = entropy
        self._durable_s = durable_s
        self._kind = kind
        self._runners = runners or self._inline
        self._keyring = Keyring(entropy)
        self._keyring.admit(TENANT)

    def run(self, does: Callable[[Kernel], Any], stop_at: int = 0) -> Any:
        """One life, in which `does` is done; None where it stopped before. Raises what else the kernel stopped for."""

        async def live() -> Any:
            async with self.life(stop_at) as (kernel, stopped):
                doing = asyncio.ensure_future(does(kernel))
                await asyncio.wait([doing, stopped], return_when=asyncio.FIRST_COMPLETED)
                if doing.done() and not (stopped.done() and doing.exception()):
                    return doing.result()
                doing.cancel()
                await asyncio.gather(doing, return_exceptions=True)
                if not isinstance(stopped.result(), Stops):
                    raise stopped.result()
                return None

        return self.loop.run_until_complete(live())

    def _inline(self) -> dict[str, Runner]:
        return {"inline": InlineRunner(self.programs)}

    @asynccontextmanager
    async def life(self, stop_at: int = 0) -> AsyncGenerator[tuple[Kernel, asyncio.Future[Any]]]:
        """A kernel, and what is done when its journal has stopped. What is not durable at its end is lost."""
        self.lives += 1
        self.store = store = StoppingAt(self.store, stop_at)
        folded = fold_from_snapshot(store.reader())
        clock, loop = VirtualClock(self.loop), asyncio.get_running_loop()
        ledger = Ledger(folded.state, self._keyring, clock, lambda entry: kernel.react(entry))
        files: Any = None
        reader: Any = _Newest(store)
        kernel = Kernel(
            ledger, Outside(clock, self.models, files), self._runners(), reader,
            self._find, self._entropy, running_max=self._running_max,
        )  # fmt: skip
        stopped: asyncio.Future[Any] = loop.create_future()
        journal = SteppedJournal(store, loop, folded.head, ledger.on_durable, stopped.set_result, delay=self._durable_s)
        ledger.attach(journal)
        loop.set_exception_handler(partial(_tell, stopped))
        ledger.snapshots.begin(folded)
        try:
            kernel.begin("virtual", 1)
            yield kernel, stopped
        finally:
            if stopped.done():
                kernel.closing = True
            journal.lose()
            await kernel.close()

    def spawn(self, kernel: Kernel, program: str, *args: Any, model: str = "m", **named: Any) -> int:
        """Start a root process."""
        given: dict[str, Any] = {"uid": 0, "kind": self._kind, "model": model, "qos": Qos.UTILITY, **named}
        return kernel.operator.spawn(program, list(args), {}, **given)

    def entries(self) -> list[ev.Entry]:
        """All that is in the journal."""
        return [ev.decode_entry(row.record) for row in self.store.reader().rows(1)]

    def events(self, *kinds: type) -> list[Any]:
        """The events of these kinds, in order."""
        return [event for entry in self.entries() for event in entry.events if type(event) in kinds]

    def _find(self, target: str, beside: str) -> Program:
        name = target.rpartition(":")[2]
        return Program(name, name, f"# {name} {self.version}".encode(), self._pledge, name in self.servers)


def _tell(stopped: asyncio.Future[Any], loop: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
    """A fault is the end of a life here, also where a kernel would contain it."""
    error = told.get("exception")
    if not stopped.done():
        stopped.set_result(error if isinstance(error, BaseException) else RuntimeError(told.get("message")))


class _Newest:
    """A reader that is always at the newest."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store.reader(), name)
