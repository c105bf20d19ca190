"""`up --budget`: what each run of a fleet may spend while it is up, over what its file says; and what earlier ones
took. The commands are real; the kernel and its agents run in the test's own process."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from prytany.abi import events as ev
from prytany.abi.budgets import KEPT, RUN_DEFAULT, Bounds, Budget
from prytany.abi.errors import Einval
from prytany.cli.amounts import read_bounds
from prytany.cli.bringing import resolved
from prytany.system.fleet.said_budget import said_of, with_said
from prytany.system.fleet.sound import unpack_fleet
from tests.surfaces.commands import prytany
from tests.surfaces.shards import events_of
from tests.surfaces.test_fleet_turns import FLEET, Market, with_market
from tests.surfaces.test_left_models import lives

PRICED = FLEET.replace("model: beside", "model: beside, prices: {input: 1, output: 1}") + "budget: {tokens: 5000}\n"


def granted(market: Market, pid: int) -> Budget:
    (event,) = (e for e in events_of(market.shard) if isinstance(e, ev.BudgetGranted) and e.account == f"run:{pid}")
    return Budget(event.total, event.minute)


async def up(market: Market, *words: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        prytany, "up", str(market.folder), "--trust", *words, home=market.folder / "home"
    )  # fmt: skip


async def start(market: Market) -> Budget:
    market.endpoint.release()
    pid = market.ask("word.")
    await market.result(pid)
    return granted(market, pid)


def test_it_holds_for_each_run_that_begins_until_the_fleet_is_brought_without_it(tmp_path: Path) -> None:
    async def body(market: Market) -> None:
        done = await up(market, "--budget", "tokens=700,calls/min=3")
        assert done.returncode == 0, done.stderr
        assert "earlier runs" not in done.stderr
        assert await start(market) == Budget(Bounds(tokens=700), Bounds(calls=3)), "what is not said is the file's"
        again = await up(market, "--budget", "tokens=700,calls/min=3")
        assert "nothing changed" in again.stdout
        more = await up(market, "--budget", "usd=0.5,wall=90s", "--json")
        (change,) = json.loads(more.stdout)["changes"]
        assert change["what"] == [
            "budget.tokens: 700 → 5000", "budget.usd: none → 0.5", "budget.wall_s: none → 90",
            "budget.per_minute.calls: 3 → none",
        ]  # fmt: skip
        (told,) = (note for note in map(json.loads, more.stderr.splitlines()) if "estimate" in note)
        assert told["agent"] == "shop.clerk"
        assert told["estimate"]["runs"] == 1
        assert await start(market) == Budget(Bounds(tokens=5_000, usd_micros=500_000, wall_ms=90_000))
        planned = await up(market, "--budget", "unlimited", "--dry-run")
        assert "budget: none → unlimited" in planned.stdout
        assert "earlier runs of shop.clerk: 2 runs" in planned.stderr
        assert "budget.usd: 0.5 → none" in (await up(market)).stdout
        assert await start(market) == Budget(Bounds(tokens=5_000))

    with_market(tmp_path, body, PRICED)


def test_what_is_no_budget_or_bounds_money_that_nobody_counts_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async def body(market: Market) -> None:
        await market.up()
        head = market.shard.kernel.ledger.journal.head
        said = await up(market, "--budget", "usd=1")
        assert said.returncode != 0
        assert "--budget: money bounds nothing here: nobody knows what the model side costs" in said.stderr
        for wrong in ("tokens=-1", "wall/min=3"):
            assert (await up(market, "--budget", wrong)).returncode != 0, wrong
        assert market.shard.kernel.ledger.journal.head == head

    with_market(tmp_path, body, FLEET)


def test_it_holds_over_a_restart_of_the_kernel(tmp_path: Path) -> None:
    async def first(market: Market) -> None:
        assert (await up(market, "--budget", "tokens=700")).returncode == 0

    async def then(market: Market) -> None:
        assert await start(market) == Budget(Bounds(tokens=700))

    lives(tmp_path, first, then, fleet=PRICED)


@pytest.mark.parametrize(
    ("base", "words", "then"),
    [
        (None, "tokens=5", Budget(Bounds(5, 5_000_000))),
        (None, "tokens=unlimited", Budget(Bounds(-1, 5_000_000))),
        (None, "unlimited", Budget()),
        (Budget(Bounds(calls=3)), "tokens=5", Budget(Bounds(5, calls=3))),
        (Budget(minute=Bounds(tokens=9)), "tokens/min=unlimited", Budget()),
        (Budget(), "processor=2s,usd/min=1", Budget(Bounds(processor_ms=2_000), Bounds(usd_micros=1_000_000))),
    ],
)  # fmt: skip
def test_what_is_said_stands_over_what_the_file_says_or_else_over_what_every_run_has(
    base: Budget | None, words: str, then: Budget
) -> None:
    assert with_said(base, said_of(read_bounds([words], "--budget"))) == then
    assert with_said(base, {}) is base
    assert said_of(Budget(Bounds(*[KEPT] * 5), Bounds(*[KEPT] * 5))) == {}
    assert RUN_DEFAULT.total.tokens == 1_000_000


@pytest.mark.parametrize(
    "said", [{"tokens": -2}, {"tokens": 1 << 60}, {"what": 1}, {"wall_ms/min": 1}, {"usd_micros": 1}]
)
def test_who_brings_a_fleet_with_what_nobody_can_have_said_is_refused(tmp_path: Path, said: dict[str, int]) -> None:
    (tmp_path / "agents.py").write_text("async def clerk(proc): ...\n")
    (tmp_path / "fleet.yaml").write_text(FLEET.replace("URL", "http://127.0.0.1:9/v1"))
    packed: Any = msgspec.structs.replace(resolved(tmp_path), up_budget=said)
    with pytest.raises(Einval, match="up_budget"):
        unpack_fleet(msgspec.msgpack.encode(packed))
