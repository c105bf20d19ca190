"""A model that its fleet names no more is asked by those who began with it, after a restart of the kernel too; one that
cannot be opened when a kernel begins is waited for by a person."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Einval, Enoent
from prytany.drivers.models.scripted import ScriptedModel
from prytany.kernel.views import incident_rows
from prytany.process.process import State
from prytany.runtime.inline import InlineRunner
from prytany.system.fleet.bringing import resolved_of
from prytany.system.models import open_models
from prytany.system.shard import Shard
from prytany.testing.model_endpoint import Fault, ModelEndpoint
from tests.surfaces.shards import DEADLINE_S, events_of, turns_until
from tests.surfaces.test_fleet_turns import FLEET, Market, clerk

Body = Callable[[Market], Awaitable[Any]]
OWN = FLEET.replace("[model]}", "[model], model: side}").replace("qos: background", "qos: background, model: side")
STRICT = ScriptedModel()
"""A kernel that is given this one as that of what goes on looks for recorded models as the command line does."""


def lives(folder: Path, *bodies: Body, fleet: str = FLEET, between: Callable[[], None] = lambda: None) -> list[Any]:
    """One kernel after the other in one home; the endpoint outlives them, and holds until it is let."""
    (folder / "agents.py").write_text("async def clerk(proc): ...\n")
    target = f"{folder / 'agents.py'}:clerk"

    def models(live: Any) -> Any:
        return {"": STRICT} | open_models("scripted", live, fresh=True)

    async def run() -> list[Any]:
        said: list[Any] = []
        async with ModelEndpoint() as endpoint:
            endpoint.always = Fault(hold=True)
            (folder / "fleet.yaml").write_text(fleet.replace("URL", endpoint.base_url))
            for body in bodies:
                shard = await Shard.open(
                    folder / "home", models, runners=lambda logs: {"inline": InlineRunner({target: clerk}, logs.append)}
                )
                try:
                    async with asyncio.timeout(DEADLINE_S):
                        said.append(await body(Market(folder, shard, endpoint)))
                finally:
                    await shard.close()
                between()
        return said

    return asyncio.run(run())


def drop(market: Market) -> None:
    market.change("fleet.yaml", "\n  side:", "\n  other:")
    market.change("fleet.yaml", "model: side", "model: other")


@pytest.mark.parametrize("fleet", [FLEET, OWN], ids=["of the call", "of the agent"])
def test_who_waits_for_a_model_that_was_dropped_is_answered_by_it_after_a_restart_and_it_goes(
    tmp_path: Path, fleet: str
) -> None:
    pids: list[int] = []

    async def first(market: Market) -> None:
        await market.up()
        pids.extend(market.ask(f"word {n}.", model="side") for n in range(3))
        await market.until_waiting("side", 2)
        drop(market)
        await market.up()
        assert list(resolved_of(market.shard.kernel, 1).leaving) == ["side"]

    async def then(market: Market) -> None:
        models = market.shard.drivers.models
        assert await market.result(market.ask("late.", model="side")) == "ENOENT", "who asks now has no such model"
        assert await market.up() == [], "the file is as it is up"
        await market.until_waiting("side", 2)
        market.endpoint.release()
        assert await market.results(pids) == [f"word {n}. [2 words]" for n in range(3)]
        await turns_until(lambda: "1/side" not in models)
        assert set(market.asked) == {"beside"}
        market.change("fleet.yaml", "model: large", "model: larger")
        await market.up()
        assert not resolved_of(market.shard.kernel, 1).leaving, "nobody may ask it any more"

    lives(tmp_path, first, then, fleet=fleet)


def test_one_that_was_dropped_and_is_paused_goes_on_with_its_model_two_restarts_later(tmp_path: Path) -> None:
    pids: list[int] = []

    async def first(market: Market) -> None:
        await market.up()
        pids.append(market.ask("word.", model="side"))
        await market.endpoint.wait_calls(1)
        market.shard.kernel.operator.signal(pids[0], 19, uid=0)
        drop(market)
        await market.up()

    async def second(market: Market) -> None:
        # Brought again while it is stopped: what left the fleet before is still known.
        market.change("fleet.yaml", "concurrency: 2", "concurrency: 3")
        assert await market.up() == ["~ model default: limits.concurrency: 2 → 3"]
        assert list(resolved_of(market.shard.kernel, 1).leaving) == ["side"]

    async def third(market: Market) -> None:
        market.endpoint.release()
        market.shard.kernel.operator.signal(pids[0], 18, uid=0)
        assert await market.result(pids[0]) == "word. [1 words]"
        assert set(market.asked) == {"beside"}

    lives(tmp_path, first, second, third)


KEYED = FLEET.replace("model: beside", "model: beside, key: {secret: provider}") + "secrets: {provider: {file: key}}\n"


def test_the_key_of_one_that_was_dropped_is_had_again_when_its_fleet_is_brought_again(tmp_path: Path) -> None:
    pids: list[int] = []

    def give(there: bool) -> None:
        (tmp_path / "key").unlink(missing_ok=True)
        if there:
            (tmp_path / "key").write_text("secret-a\n")
            (tmp_path / "key").chmod(0o600)

    async def first(market: Market) -> None:
        await market.up()
        pids.extend(market.ask(f"word {n}.", model="side") for n in range(2))
        await market.until_waiting("side", 1)
        market.change("fleet.yaml", ", key: {secret: provider}", "")
        market.change("fleet.yaml", "secrets: {provider: {file: key}}\n", "")
        drop(market)
        await market.up()

    async def then(market: Market) -> None:
        kernel = market.shard.kernel
        assert [note for note in market.shard.notes if "the model side of the fleet shop cannot be asked" in note]
        await turns_until(lambda: len(kernel.table.incidents) == 2)
        assert {row.kind for row in incident_rows(kernel.table)} == {"bad_key"}
        give(True)
        assert await market.up() == ["~ secret provider: value"]
        market.endpoint.release()
        for pid in pids:
            kernel.operator.settle(pid, 1, "retry", None, uid=0)
        assert await market.results(pids) == ["word 0. [2 words]", "word 1. [2 words]"]
        assert market.endpoint.tokens == {"secret-a"}

    give(True)
    lives(tmp_path, first, then, fleet=KEYED, between=lambda: give(False))


SCRIPTED = """
version: 1
name: shop
models: {default: {driver: scripted, file: said.json}}
agents: {clerk: {kind: inline, program: "agents.py:clerk", pledge: [model]}}
"""


def test_a_model_whose_file_is_gone_keeps_no_kernel_from_its_home_and_its_calls_wait_for_a_person(
    tmp_path: Path,
) -> None:
    script = tmp_path / "said.json"

    def say() -> None:
        script.write_text('{"rules": [{"when": "", "text": "said"}]}')

    async def first(market: Market) -> None:
        await market.up()

    async def then(market: Market) -> None:
        kernel = market.shard.kernel
        assert [note for note in market.shard.notes if "the model default of the fleet shop cannot be asked" in note]
        pid = market.ask("word.")
        await turns_until(lambda: bool(kernel.table.incidents))
        assert [row.kind for row in incident_rows(kernel.table)] == ["not_there"]
        assert kernel.table.require(pid).state is not State.TERMINATED
        kernel.operator.settle(pid, 1, "retry", None, uid=0)
        await turns_until(lambda: [e for e in events_of(market.shard) if isinstance(e, ev.CallSettled)])
        await turns_until(lambda: bool(kernel.table.incidents))
        with pytest.raises((Einval, Enoent)):
            await market.up()
        say()
        assert await market.up() == ["~ model default: what its file holds"]
        kernel.operator.settle(pid, 1, "retry", None, uid=0)
        assert await market.result(pid) == "said"

    say()
    lives(tmp_path, first, then, fleet=SCRIPTED, between=lambda: script.unlink(missing_ok=True))
