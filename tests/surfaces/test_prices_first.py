"""What models cost is looked up before they are asked, and off the kernel's loop: loading the list of prices takes
tenths of a second, and nobody else is to wait for that."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from prytany.abi.control import BringFleet
from prytany.drivers.models import openai, prices
from prytany.drivers.models.openai import OpenAINative
from prytany.runtime.inline import InlineRunner
from prytany.system.fleet import terms_meaning
from prytany.system.shard import Shard
from prytany.testing.model_endpoint import ModelEndpoint
from tests.surfaces.homes import make_home
from tests.surfaces.shards import DEADLINE_S
from tests.surfaces.test_fleet_turns import FLEET, Market, clerk

UNPRICED = FLEET.replace(", prices: {input: 1, output: 1}", "") + "budget: {usd: 1}\n"


class Looked:
    """Which models were looked up, and whether that was on the loop."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[str, bool]] = []
        for module in (openai, terms_meaning):
            patch.setattr(module, "listed_prices", self)

    def __call__(self, model: str, base_url: str) -> prices.Prices | None:
        self.seen.append((model, threading.current_thread() is threading.main_thread()))
        return prices.Prices(1.0, 1.0)


def test_they_are_known_when_a_kernel_begins_and_when_a_fleet_is_brought_to_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agents.py").write_text("async def clerk(proc): ...\n")
    target = f"{tmp_path / 'agents.py'}:clerk"

    async def run() -> None:
        async with ModelEndpoint() as endpoint, asyncio.timeout(DEADLINE_S):
            (tmp_path / "fleet.yaml").write_text(UNPRICED.replace("URL", endpoint.base_url))
            for life in range(2):
                looked = Looked(monkeypatch)
                bare = OpenAINative("bare", base_url=endpoint.base_url, key=None, proxied=False)
                shard = await Shard.open(
                    tmp_path / "home", {"": bare},
                    runners=lambda logs: {"inline": InlineRunner({target: clerk}, logs.append)},
                )  # fmt: skip
                market = Market(tmp_path, shard, endpoint)
                try:
                    at_begin = {name for name, _ in looked.seen}
                    assert at_begin == ({"bare", "large", "beside"} if life else {"bare"})
                    if not life:
                        fleet = command_of(tmp_path)
                        looked.seen.clear()
                        await shard.desk.answer(fleet, 0)
                        assert {name for name, _ in looked.seen} == {"large", "beside"}
                    assert not any(on_loop for _, on_loop in looked.seen)
                    count = len(looked.seen)
                    assert await market.result(market.ask("word.")) == "word. [1 words]"
                    assert len(looked.seen) == count, "nothing is looked up when it is asked"
                finally:
                    await shard.close()

    asyncio.run(run())


def command_of(folder: Path) -> BringFleet:
    from prytany.cli.bringing import bring_command, resolved

    return bring_command(resolved(folder))


LOOKS = """
import sys
from prytany.cli.main import perform
perform(sys.argv[1:])
sys.exit(7 if "genai_prices" in sys.modules else 0)
"""


def test_who_only_looks_loads_no_prices(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_home(home, count=2)
    for words in (["ps", "--home", str(home)], []):
        done = subprocess.run(
            [sys.executable, "-c", LOOKS, *words], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, (words, done.stderr)
