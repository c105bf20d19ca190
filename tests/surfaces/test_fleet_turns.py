"""What a fleet file says of turns, from the file to the endpoint: limits, also where they change while calls wait;
models that are not named any more; routes; classes, weights and budgets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from prytany import Process
from prytany.abi import events as ev
from prytany.abi.budgets import Bounds
from prytany.abi.errors import Einval, KernelError
from prytany.abi.qos import Qos
from prytany.drivers.models.openai import OpenAINative
from prytany.process.process import State
from prytany.runtime.inline import InlineRunner
from prytany.system.shard import Shard
from prytany.testing.model_endpoint import Fault, ModelEndpoint
from tests.surfaces.shards import DEADLINE_S, events_of, turns_until
from tests.surfaces.test_reloading import Shop

FLEET = """
version: 1
name: shop
models:
  default: {driver: openai, base_url: "URL", model: large, prices: {input: 1, output: 1}, limits: {concurrency: 2}}
  side: {driver: openai, base_url: "URL", model: beside, limits: {concurrency: 1}}
agents:
  clerk: {kind: inline, program: "agents.py:clerk", pledge: [model]}
  porter: {kind: inline, program: "agents.py:clerk", pledge: [model], qos: background}
"""


async def clerk(proc: Process, text: str, model: str = "") -> Any:
    """Ask once."""
    try:
        return await proc.llm(text, model=model, max_tokens=50)
    except KernelError as error:
        return error.errno


class Market(Shop):
    """A fleet whose models are at an endpoint that holds what it is asked until it is let."""

    def __init__(self, folder: Path, shard: Shard, endpoint: ModelEndpoint) -> None:
        super().__init__(folder, shard)
        self.endpoint = endpoint

    def ask(self, text: str, *, model: str = "", agent: str = "clerk") -> int:
        given: dict[str, object] = {"text": text, "model": model}
        return self.shard.kernel.fleet_operator.start(1, agent, [], given, uid=0)

    def waiting(self, model: str) -> int:
        """How many calls the kernel has in its queue."""
        queue = self.shard.kernel.model_turns.scheduler.queues.get(f"1/{model}")
        return sum(queue.waiting()) if queue is not None else 0

    async def until_waiting(self, model: str, count: int) -> None:
        await turns_until(lambda: self.waiting(model) == count)

    async def results(self, pids: list[int]) -> list[Any]:
        return [await self.result(pid) for pid in pids]

    @property
    def asked(self) -> list[str]:
        """What came to the endpoint: which of its models, each time."""
        return [body["model"] for body in self.endpoint.bodies]


def with_market(folder: Path, body: Callable[[Market], Awaitable[Any]], fleet: str = FLEET) -> None:
    (folder / "agents.py").write_text("async def clerk(proc): ...\n")

    async def run() -> None:
        async with ModelEndpoint() as endpoint:
            endpoint.always = Fault(hold=True)
            (folder / "fleet.yaml").write_text(fleet.replace("URL", endpoint.base_url))
            target = f"{folder / 'agents.py'}:clerk"
            shard = await Shard.open(
                folder / "home", {"": OpenAINative("bare", base_url=endpoint.base_url, key=None, proxied=False)},
                runners=lambda logs: {"inline": InlineRunner({target: clerk}, logs.append)},
            )  # fmt: skip
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await body(Market(folder, shard, endpoint))
            finally:
                await shard.close()

    asyncio.run(run())


def test_five_ask_an_endpoint_that_takes_two_at_once_and_all_are_answered(tmp_path: Path) -> None:
    async def body(market: Market) -> None:
        await market.up()
        pids = [market.ask(f"word {n}.") for n in range(5)]
        await market.endpoint.wait_calls(2)
        await market.until_waiting("default", 3)
        assert market.endpoint.total == 2
        market.endpoint.release()
        assert await market.results(pids) == [f"word {n}. [2 words]" for n in range(5)]
        assert market.endpoint.total == 5
        queued = [e for e in events_of(market.shard) if isinstance(e, ev.ModelQueued)]
        assert [(e.endpoint, e.model) for e in queued] == [("1/default", "large")] * 3

    with_market(tmp_path, body)


def test_limits_that_are_raised_while_calls_wait_hold_at_once_and_lowered_ones_cut_nobody_off(tmp_path: Path) -> None:
    async def body(market: Market) -> None:
        await market.up()
        pids = [market.ask(f"word {n}.") for n in range(6)]
        await market.until_waiting("default", 4)
        market.change("fleet.yaml", "concurrency: 2}", "concurrency: 5}, policy: fair_share")
        plan = ["~ model default: limits.concurrency: 2 → 5, policy: none → fair_share"]
        assert await market.up(dry_run=True) == plan
        assert market.waiting("default") == 4
        assert await market.up() == plan
        await market.endpoint.wait_calls(5)
        await market.until_waiting("default", 1)
        market.change("fleet.yaml", "concurrency: 5", "concurrency: 1, requests_per_minute: 600")
        await market.up()
        queue = market.shard.kernel.model_turns.scheduler.queues["1/default"]
        assert (queue.at_once, queue.rates.requests.allowed) == (1, 600)
        assert (market.endpoint.total, market.waiting("default")) == (5, 1)
        market.endpoint.release()
        assert len(set(await market.results(pids))) == 6
        assert market.endpoint.total == 6, "nothing was asked twice"

    with_market(tmp_path, body)


def test_a_model_that_is_not_named_any_more_answers_the_calls_that_wait_for_it_and_goes(tmp_path: Path) -> None:
    async def body(market: Market) -> None:
        await market.up()
        models = market.shard.drivers.models
        pids = [market.ask(f"word {n}.", model="side") for n in range(3)]
        await market.until_waiting("side", 2)
        side = models["1/side"]
        file = (market.folder / "fleet.yaml").read_text()
        market.change("fleet.yaml", "\n  side:", "\n  other:")
        assert [line.rstrip(": ") for line in await market.up()] == ["+ model other", "- model side"]
        assert models["1/side"] is side
        late = market.ask("late.", model="side")
        assert await market.result(late) == "ENOENT", "who asks now has no such model"
        # Named again meanwhile, it is the same one, with the calls that wait for it; and then it goes again.
        (market.folder / "fleet.yaml").write_text(file)
        await market.up()
        assert (models["1/side"], market.waiting("side")) == (side, 2)
        more = market.ask("more.", model="side")
        await market.until_waiting("side", 3)
        market.change("fleet.yaml", "\n  side:", "\n  other:")
        await market.up()
        market.endpoint.release()
        assert await market.results([*pids, more]) == [*(f"word {n}. [2 words]" for n in range(3)), "more. [1 words]"]
        await turns_until(lambda: "1/side" not in models)
        assert market.asked == ["beside"] * 4
        assert sorted(name for name in models if name) == ["1/default", "1/other"]

    with_market(tmp_path, body)


def test_a_dropped_model_stays_for_who_is_paused_and_goes_with_who_is_killed(tmp_path: Path) -> None:
    async def body(market: Market) -> None:
        await market.up()
        models, operator = market.shard.drivers.models, market.shard.kernel.operator
        first, second = (market.ask(text, model="side") for text in ("one.", "two."))
        await market.until_waiting("side", 1)
        operator.signal(second, 19, uid=0)
        await turns_until(lambda: not market.waiting("side"))
        market.change("fleet.yaml", "\n  side:", "\n  other:")
        await market.up()
        operator.signal(first, 9, uid=0)
        await market.shard.kernel.operator.wait_ended(first)
        assert "1/side" in models
        market.endpoint.release()
        operator.signal(second, 18, uid=0)
        assert await market.result(second) == "two. [1 words]"
        await turns_until(lambda: "1/side" not in models)

    with_market(tmp_path, body)


def test_calls_go_where_routes_say_and_to_who_stands_in(tmp_path: Path) -> None:
    routes = "routes: [{qos: background, model: side}, {prompt_min: 5000, model: side}]"
    fleet = FLEET.replace("limits: {concurrency: 2}", routes)

    async def body(market: Market) -> None:
        await market.up()
        market.endpoint.release()
        asked = [market.ask("now."), market.ask("later.", agent="porter"), market.ask("x" * 6_000)]
        for pid in asked:
            await market.result(pid)
        assert sorted(market.asked) == ["beside", "beside", "large"]
        market.change("fleet.yaml", routes, "routes: [{qos: [background, utility], model: side}]")
        assert await market.up() == ["~ model default: routes"]
        await market.result(market.ask("x" * 6_000))
        assert market.asked[-1] == "large"

    with_market(tmp_path, body, fleet)


def test_who_stands_in_is_asked_where_nobody_is_at_the_address(tmp_path: Path) -> None:
    nobody = 'default: {driver: openai, base_url: "http://127.0.0.1:9/v1", fallback: [side]'
    fleet = FLEET.replace('default: {driver: openai, base_url: "URL"', nobody)

    async def body(market: Market) -> None:
        await market.up()
        market.endpoint.release()
        assert await market.result(market.ask("word.")) == "word. [1 words]"
        assert market.asked == ["beside"]

    with_market(tmp_path, body, fleet)


TERMS = (
    FLEET.replace("model: beside", "model: beside, prices: {input: 1, output: 1}").replace(
        "pledge: [model]}", "pledge: [model], qos: utility, weight: 7, budget: {tokens: 300, of: process}}"
    )
    + "budget: {tokens: 5000, usd: 0.25, wall_s: 90, per_minute: {calls: 9}}\n"
)


def test_class_weight_and_budgets_of_the_file_are_those_of_what_is_started(tmp_path: Path) -> None:
    async def body(market: Market) -> None:
        await market.up()
        market.endpoint.release()
        pid = market.ask("short.")
        assert await market.result(pid) == "short. [1 words]"
        row = market.shard.kernel.table.require(pid)
        assert (row.qos, row.weight) == (Qos.UTILITY, 7)
        granted = {e.account: (e.total, e.minute) for e in events_of(market.shard) if isinstance(e, ev.BudgetGranted)}
        assert granted[f"run:{pid}"] == (Bounds(5_000, 250_000, -1, 90_000), Bounds(calls=9))
        assert granted[f"process:{pid}"] == (Bounds(300), Bounds())
        long = market.ask("x" * 600)
        row = market.shard.kernel.table.require(long)
        await turns_until(lambda: row.state is State.STOPPED)
        assert market.endpoint.total == 1, "it was not asked"

    with_market(tmp_path, body, TERMS)


def test_budgets_that_change_hold_for_who_is_started_then_and_unlimited_is_no_bound(tmp_path: Path) -> None:
    async def body(market: Market) -> None:
        await market.up()
        market.endpoint.release()
        market.change("fleet.yaml", "budget: {tokens: 300, of: process}", "budget: unlimited")
        market.change("fleet.yaml", "budget: {tokens: 5000", "budget: {tokens: 6000")
        assert await market.up() == [
            "~ fleet shop: budget.tokens: 5000 → 6000",
            "~ agent clerk: budget: none → unlimited, budget.tokens: 300 → none, budget.of: process → none",
        ]  # fmt: skip
        pid = market.ask("x" * 600)
        assert await market.result(pid)
        granted = [e.account for e in events_of(market.shard) if isinstance(e, ev.BudgetGranted)]
        assert granted == [f"run:{pid}"]

    with_market(tmp_path, body, TERMS)


def test_a_budget_in_money_is_refused_where_nobody_knows_a_price_and_nothing_is_changed(tmp_path: Path) -> None:
    async def body(market: Market) -> None:
        await market.up()
        head = market.shard.kernel.ledger.journal.head
        market.change("fleet.yaml", "large, prices: {input: 1, output: 1}", "large")
        with pytest.raises(Einval, match=r"fleet.yaml:10:29: budget.usd: .*the model default costs.*`prices`"):
            await market.up()
        assert market.shard.kernel.ledger.journal.head == head

    with_market(tmp_path, body, TERMS)


def test_a_budget_in_money_is_refused_where_the_model_of_the_run_has_no_price(tmp_path: Path) -> None:
    fleet = FLEET.replace("default:", "other:") + "budget: {per_minute: {usd: 1}}\n"
    fleet = fleet.replace("model: beside", "model: beside, prices: {input: 1, output: 1}")

    async def body(market: Market) -> None:
        head = market.shard.kernel.ledger.journal.head
        with pytest.raises(Einval, match="nobody knows what the model 'bare' costs") as caught:
            await market.up()
        assert "`prices`" in caught.value.__notes__[0]
        assert market.shard.kernel.ledger.journal.head == head
        market.change("fleet.yaml", "usd: 1", "tokens: 100")
        await market.up()

    with_market(tmp_path, body, fleet)
