"""A generation gives way: put aside without loss where slots are saved, thrown away unseen where the policy says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from functools import partial
from typing import Any

import msgspec
import pytest

from prytany.abi import events as ev
from prytany.abi.qos import Qos
from prytany.drivers.stores.memory import MemoryStore
from prytany.kernel.folding import fold_from_start
from prytany.ports.model import Embedded, ModelAnswer, ModelFeatures, ModelLimits, ModelRequest, Usage
from prytany.ports.turns import Aside, Turn
from tests.simulation.looped import looped
from tests.simulation.stepped import Life

TOKENS = 8
HOUR_NS = 3_600_000_000_000


def asks(name: str, stream: bool = False) -> Generator[Any, Any, None]:
    """Asks once, and leaves what it heard: the text, or the pieces."""
    options = {"stream": True} if stream else {}
    _, item = yield [("model_chat", [{"role": "user", "content": name}], "", options)]
    while not isinstance(item, dict):
        _, item = yield []  # a piece
    yield [("process_exit", 0, item["text"], None)]


PROGRAMS: dict[str, Callable[..., Any]] = {"asks": asks}


class OneSlot:
    """A model that writes a token whenever it is let; one call at a time. With `saves`, in turns."""

    name = "one"

    def __init__(self, *, saves: bool, preempts: str = "") -> None:
        self.features = ModelFeatures(
            streaming=True, slots=1, saves_slots=saves, limits=ModelLimits(1, preempts=preempts)
        )
        self.tokens = asyncio.Semaphore(0)
        self.under_way: list[str] = []
        self.begun: list[str] = []
        self.generated = 0

    async def token(self) -> None:
        await self.tokens.acquire()
        self.generated += 1

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        async for item in self.stream(request):
            last = item
        assert isinstance(last, ModelAnswer)
        return last

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer, None]:
        async for item in self.turn(request, Turn()):
            assert not isinstance(item, Aside)
            yield item

    async def turn(self, request: ModelRequest, turn: Turn) -> AsyncGenerator[str | ModelAnswer | Aside, None]:
        name = request.messages[-1]["content"]
        text = turn.aside.text if turn.aside is not None else ""
        assert not self.under_way, "one slot"
        self.under_way.append(name)
        self.begun.append(name)
        try:
            while len(text) < TOKENS:
                await self.token()
                text += name[0]
                yield name[0]
                turn.generated(turn.tokens + 1)
                if turn.gives_way and len(text) < TOKENS:
                    yield Aside(text, Usage(5, len(text), 0))
                    return
            yield ModelAnswer(text, "stop", usage=Usage(5, len(text), 0))
        finally:
            self.under_way.remove(name)

    def let_run(self) -> None:
        for _ in range(100):
            self.tokens.release()

    async def embed(self, texts: list[str]) -> Embedded:
        raise AssertionError(texts)

    async def close(self) -> None:
        return


def begun(model: OneSlot) -> Life:
    life = Life(MemoryStore(), PROGRAMS, 9)
    life.clock.pass_to(HOUR_NS)  # the first piece goes at once
    models: Any = life.kernel.outside.models
    models[""] = model
    return life


def start(life: Life, name: str, qos: Qos, *, stream: bool = False) -> int:
    return life.kernel.operator.spawn("asks", [name, stream], {}, uid=0, qos=qos)


def used(life: Life) -> list[ev.ModelUsed]:
    entries = (ev.decode_entry(row.record) for row in life.store.reader().rows(1))
    return [e for x in entries for e in x.events if isinstance(e, ev.ModelUsed)]


def heard(life: Life, pid: int, text: str) -> str:
    """What a process was told: in its answer, or in pieces."""
    rows = list(life.store.reader().rows(1))
    pieces = [(e.piece, row.seq) for row in rows for e in ev.decode_entry(row.record).events
              if isinstance(e, ev.CallPiece) and e.pid == pid]  # fmt: skip
    return text + "".join(msgspec.msgpack.decode(life.kernel.content(*piece)) for piece in pieces)


async def some_tokens(life: Life, model: OneSlot, count: int) -> None:
    """Let it write so many tokens."""
    until = model.generated + count
    for _ in range(count):
        model.tokens.release()
    await life.until(lambda: model.generated == until)
    await life.settled()


@pytest.mark.parametrize("stream", [False, True])
@looped
async def test_background_work_is_put_aside_for_a_person_and_goes_on_where_it_was(stream: bool) -> None:
    model = OneSlot(saves=True)
    life = begun(model)
    behind = start(life, "behind", Qos.BACKGROUND, stream=stream)
    await life.until(lambda: bool(model.under_way))
    await some_tokens(life, model, 3)
    person = start(life, "person", Qos.INTERACTIVE)
    await life.settled()
    model.let_run()
    assert (await life.ended(person))["result"] == "p" * TOKENS
    assert heard(life, behind, (await life.ended(behind))["result"]) == "b" * TOKENS
    assert model.begun == ["behind", "person", "behind"]
    assert model.generated == 2 * TOKENS  # nothing was computed twice
    assert [e.cause for e in used(life)] == ["put_aside", "", ""]
    assert sum(e.completion_tokens for e in used(life)) == 2 * TOKENS
    assert sum(e.prompt_tokens for e in used(life)) == 10  # each prompt counts once
    took = life.kernel.table.require(behind).usage
    assert (took.model_calls, took.completion_tokens, took.reserved_completion_tokens) == (1, TOKENS, 0)
    store = await life.stop()
    assert fold_from_start(store.reader()).state.digest() == life.kernel.ledger.state.digest()


@looped
async def test_elsewhere_what_nobody_saw_is_thrown_away_where_the_policy_says_so_and_its_loss_is_in_the_record() -> (
    None
):
    model = OneSlot(saves=False, preempts="undelivered")
    life = begun(model)
    behind = start(life, "behind", Qos.BACKGROUND)
    await life.until(lambda: bool(model.under_way))
    await some_tokens(life, model, 3)
    person = start(life, "person", Qos.INTERACTIVE)
    await life.settled()
    model.let_run()
    assert (await life.ended(person))["result"] == "p" * TOKENS
    assert heard(life, behind, (await life.ended(behind))["result"]) == "b" * TOKENS
    assert model.begun == ["behind", "person", "behind"]
    lost, *_ = used(life)
    assert (lost.cause, lost.estimated) == ("preempted", True)
    assert lost.completion_tokens > TOKENS  # the most that it may have taken
    await life.stop()


@looped
async def test_what_somebody_saw_is_not_thrown_away_and_nothing_is_where_the_policy_is_silent() -> None:
    for model, stream in ((OneSlot(saves=False, preempts="undelivered"), True), (OneSlot(saves=False), False)):
        life = begun(model)
        behind = start(life, "behind", Qos.BACKGROUND, stream=stream)
        await life.until(partial(bool, model.under_way))
        await some_tokens(life, model, 3)
        person = start(life, "person", Qos.INTERACTIVE)
        await life.settled()
        model.let_run()
        assert (await life.ended(person))["result"] == "p" * TOKENS
        assert heard(life, behind, (await life.ended(behind))["result"]) == "b" * TOKENS
        assert model.begun == ["behind", "person"]
        await life.stop()


@looped
async def test_who_gives_way_and_is_killed_or_cut_off_leaves_the_place_and_no_debt() -> None:
    model = OneSlot(saves=True)
    life = begun(model)
    behind = start(life, "behind", Qos.BACKGROUND)
    await life.until(lambda: bool(model.under_way))
    await some_tokens(life, model, 3)
    person = start(life, "person", Qos.INTERACTIVE)
    await life.settled()
    await some_tokens(life, model, 1)
    life.kernel.operator.signal(behind, 9, uid=0)
    model.let_run()
    assert (await life.ended(person))["result"] == "p" * TOKENS
    assert life.kernel.table.require(behind).usage.completion_tokens == 4
    queue = life.kernel.model_turns.scheduler.queues[""]
    assert (queue.running, queue.waiting()) == ({}, [0, 0, 0, 0])
    await life.stop()


@looped
async def test_a_kernel_that_dies_while_a_generation_is_aside_asks_it_anew_and_charges_each_turn_once() -> None:
    model = OneSlot(saves=True)
    life = begun(model)
    behind = start(life, "behind", Qos.BACKGROUND)
    await life.until(lambda: bool(model.under_way))
    await some_tokens(life, model, 3)
    start(life, "person", Qos.INTERACTIVE)
    await life.settled()
    await some_tokens(life, model, 2)
    assert model.under_way == ["person"]
    again = Life(await life.stop(), PROGRAMS, 9)
    second = OneSlot(saves=True)
    models: Any = again.kernel.outside.models
    models[""] = second
    second.let_run()
    assert (await again.ended(behind))["result"] == "b" * TOKENS
    causes = sorted(e.cause for e in used(again))
    assert causes == ["", "", "lost", "put_aside"]
    await again.stop()


@looped
async def test_what_another_model_makes_anew_is_charged_whole() -> None:
    model = OneSlot(saves=True)
    life = begun(model)
    behind = start(life, "behind", Qos.BACKGROUND)
    await life.until(lambda: bool(model.under_way))
    await some_tokens(life, model, 3)
    person = start(life, "person", Qos.INTERACTIVE)
    await life.settled()
    await some_tokens(life, model, 1)
    await life.until(lambda: model.under_way == ["person"])
    other = OneSlot(saves=False)
    models: Any = life.kernel.outside.models
    models[""] = other
    other.let_run()
    model.let_run()
    assert (await life.ended(person))["result"] == "p" * TOKENS
    assert (await life.ended(behind))["result"] == "b" * TOKENS
    assert [(e.cause, e.prompt_tokens, e.completion_tokens) for e in used(life)] == [
        ("put_aside", 5, 4), ("", 5, TOKENS), ("", 5, TOKENS)
    ]  # fmt: skip
    await life.stop()
