"""A model's driver is replaced while it is asked: what began ends where it began, and nothing stays open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from prytany.drivers.models.scripted import ScriptedModel
from prytany.ports.model import (
    Embedded,
    ModelAnswer,
    ModelFailure,
    ModelFeatures,
    ModelLimits,
    ModelRequest,
    ModelRoute,
    Prices,
    Usage,
)
from prytany.ports.turns import Aside, Turn, takes_turns
from prytany.process.table import Table
from prytany.system.fleet.drivers import Drivers
from prytany.system.fleet.form import Model as Form
from prytany.system.fleet.switched import Opened, SwitchedModel, Terms

if TYPE_CHECKING:
    from prytany.kernel.kernel import Kernel

NOBODY = cast("Kernel", SimpleNamespace(table=Table()))
"""A kernel without a process."""
ASKED = ModelRequest([{"role": "user", "content": "x"}], 10)


class Held:
    """Answers with its name when it is let."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.features = ModelFeatures()
        self.let = asyncio.Event()
        self.closed = 0

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        await self.let.wait()
        return ModelAnswer(self.name, "stop", usage=Usage(1_000_000, 1_000_000))

    async def stream(self, request: ModelRequest) -> Any:
        yield "piece"
        yield await self.chat(request)

    async def turn(self, request: ModelRequest, turn: Turn) -> Any:
        yield "piece"
        yield Aside("piece", Usage(1_000_000, 1)) if turn.aside is None else await self.chat(request)

    async def embed(self, texts: list[str]) -> Embedded:
        await self.let.wait()
        return Embedded([[1.0]], Usage(1_000_000))

    async def close(self) -> None:
        self.closed += 1


def opened(name: str) -> tuple[Held, Opened]:
    model = Held(name)
    return model, Opened(model, Form(driver="scripted"), None, None)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)  # noqa: TID251 - turns of the loop, no time


def test_what_is_under_way_ends_at_the_driver_before_which_is_closed_then() -> None:
    async def test() -> None:
        (first, one), (second, two) = opened("first"), opened("second")
        model = SwitchedModel(one, Terms())
        under_way = asyncio.ensure_future(model.chat(ASKED))
        await settle()
        model.switch(two, Terms())
        assert first.closed == 0
        second.let.set()
        assert (await model.chat(ASKED)).text == "second"
        first.let.set()
        assert (await under_way).text == "first"
        await settle()
        assert (first.closed, second.closed) == (1, 0)
        await model.close()
        assert (first.closed, second.closed) == (1, 1)

    asyncio.run(test())


def test_turns_are_taken_by_what_takes_turns_and_cost_what_the_operator_says() -> None:
    async def test() -> None:
        (first, one), (_, two) = opened("first"), opened("second")
        prices = Prices(2, 4)
        model = SwitchedModel(one, Terms(concurrency=1, prices=prices))
        assert not takes_turns(model)
        first.features = ModelFeatures(saves_slots=True)
        assert takes_turns(model)
        first.let.set()
        piece, aside = [item async for item in model.turn(ASKED, Turn())]
        assert isinstance(aside, Aside)
        assert (piece, aside.usage.cost_usd_micros) == ("piece", 2_000_004)
        _, answer = [item async for item in model.turn(ASKED, Turn(aside))]
        assert isinstance(answer, ModelAnswer)
        assert answer.usage.cost_usd_micros == 6_000_000
        model.switch(two, Terms(concurrency=1, prices=prices))
        assert not takes_turns(model)
        with pytest.raises(ModelFailure) as caught:
            await anext(model.turn(ASKED, Turn(aside)))
        assert caught.value.retryable
        await asyncio.wait_for(model.let_go(), 5)
        await model.close()

    asyncio.run(test())


def test_a_driver_that_two_models_have_is_closed_with_the_last_of_them() -> None:
    async def test() -> None:
        (first, one), (_, two) = opened("first"), opened("second")
        a, b = SwitchedModel(one, Terms()), SwitchedModel(one, Terms())
        a.switch(two, Terms())
        await settle()
        assert first.closed == 0
        b.switch(two, Terms())
        await settle()
        assert first.closed == 1

    asyncio.run(test())


def test_prices_of_the_operators_are_charged_from_the_next_request_on() -> None:
    async def test() -> None:
        model_, one = opened("free")
        model_.let.set()
        model = SwitchedModel(one, Terms())
        assert (await model.chat(ASKED)).usage.cost_usd_micros is None
        model.switch(one, Terms(prices=Prices(1.0, 2.0)))
        assert (await model.chat(ASKED)).usage.cost_usd_micros == 3_000_000
        assert (await model.embed(["x"])).usage.cost_usd_micros == 1_000_000
        assert model.features.prices == Prices(1.0, 2.0)
        *_, last = [item async for item in model.stream(ASKED)]
        assert isinstance(last, ModelAnswer)
        assert last.usage.cost_usd_micros == 3_000_000

    asyncio.run(test())


def test_what_is_said_of_a_model_stands_around_what_its_driver_knows() -> None:
    held, one = opened("own")
    held.features = ModelFeatures(slots=2, saves_slots=True, prices=Prices(1.0, 1.0))

    async def test() -> None:
        model = SwitchedModel(one, Terms())
        assert model.features == msgspec.structs.replace(held.features, limits=ModelLimits(concurrency=2))
        assert model.features is model.features, "it is looked at several times a call"
        route = ModelRoute("1/small", (3,))
        model.switch(one, Terms(1, 60, 9_000, "fair_share", "undelivered", None, (route,), ("1/other",)))
        assert model.features.limits == ModelLimits(1, 60, 9_000, "fair_share", "undelivered")
        assert (model.features.routes, model.features.fallback) == ((route,), ("1/other",))
        assert model.features.prices == Prices(1.0, 1.0)
        model.switch(one, Terms(concurrency=50))
        assert model.features.limits == ModelLimits(2), "no more than the driver can work on"
        held.features = ModelFeatures()
        assert model.features.limits == ModelLimits(50)

    asyncio.run(test())


def test_one_that_is_let_go_of_answers_who_asked() -> None:
    async def test() -> None:
        held, one = opened("old")
        model = SwitchedModel(one, Terms())
        asked = [asyncio.ensure_future(model.chat(ASKED)) for _ in range(3)]
        drained = asyncio.ensure_future(model.let_go())
        await settle()
        assert not drained.done()
        held.let.set()
        await drained
        assert [answer.text for answer in await asyncio.gather(*asked)] == ["old"] * 3
        assert held.closed == 1

    asyncio.run(test())


def test_a_model_that_its_fleet_names_no_more_leaves_the_driver_to_another_that_has_it() -> None:
    async def test() -> None:
        held, one = opened("shared")
        held.let.set()
        drivers = Drivers({"1/a": SwitchedModel(one, Terms()), "1/b": SwitchedModel(one, Terms())})
        drivers.drop_model(NOBODY, "1/b")
        await settle()
        assert held.closed == 0
        assert (await drivers.models["1/a"].chat(ASKED)).text == "shared"
        drivers.drop_model(NOBODY, "1/a")
        await settle()
        assert held.closed == 1
        await drivers.close()
        assert held.closed == 1

    asyncio.run(test())


@pytest.mark.parametrize("model", [lambda held, one: SwitchedModel(one, Terms()), lambda held, one: held])
def test_a_kernel_that_ends_while_a_driver_is_being_closed_waits_for_it(model: Callable[..., Any]) -> None:
    async def test() -> None:
        held, one = opened("slow")
        let = asyncio.Event()

        async def close() -> None:
            await let.wait()
            held.closed += 1

        held.close = close  # type: ignore[method-assign]
        drivers = Drivers({"1/a": model(held, one)})
        drivers.drop_model(NOBODY, "1/a")
        await settle()
        closing = asyncio.ensure_future(drivers.close())
        await settle()
        let.set()
        await closing
        assert held.closed == 1

    asyncio.run(test())


def test_what_was_read_before_has_a_price_of_its_own() -> None:
    prices = Prices(10.0, 20.0, 1.0)
    assert prices.cost_usd_micros(Usage(100, 10)) == 1_200
    assert prices.cost_usd_micros(Usage(100, 10), 60) == 400 + 60 + 200
    assert prices.cost_usd_micros(Usage(100, 10), 1_000) == 100 + 200
    assert Prices(10.0, 20.0).cost_usd_micros(Usage(100, 10), 60) == 1_200


def test_of_fleets_that_are_gone_nothing_is_remembered() -> None:
    drivers = Drivers({})
    for number in (1, 2):
        drivers.skills[number, "a"] = b"digest"
        drivers.told_with[number] = {"HOOK": "secret"}
    drivers.forget_all_but([2])
    assert (drivers.skills, drivers.told_with) == ({(2, "a"): b"digest"}, {2: {"HOOK": "secret"}})


def test_another_driver_is_another_edition_and_other_terms_are_not() -> None:
    async def switching() -> list[int]:
        first, second = (Opened(ScriptedModel(), Form(driver="scripted"), None, stamp) for stamp in (1, 2))
        model = SwitchedModel(first, Terms())
        editions = [model.features.edition]
        for opened, terms in ((first, Terms(concurrency=3)), (second, Terms()), (first, Terms())):
            model.switch(opened, terms)
            editions.append(model.features.edition)
        await asyncio.sleep(0)  # noqa: TID251 what is left is closed
        return editions

    assert asyncio.run(switching()) == [0, 0, 1, 2]
