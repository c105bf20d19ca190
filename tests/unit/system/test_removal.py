"""A kernel whose home was removed or moved finds out, and stops before it acknowledges anything more."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import pytest

from prytany.abi import limits
from prytany.journal.home import Home
from prytany.ports.store import StoreError, StoreGone
from prytany.system.removal import is_there, watch_home
from tests.simulation.looped import looped
from tests.surfaces import homes


@pytest.fixture
def home(tmp_path: Path) -> Generator[Home]:
    with closing(Home(tmp_path / "home")) as home:
        home.journal.write_text("a journal")
        yield home


def replaced(home: Home) -> None:
    shutil.copytree(home.path, home.path.with_name("copy"))
    shutil.rmtree(home.path)
    home.path.with_name("copy").rename(home.path)


@pytest.mark.parametrize(
    "remove",
    [
        lambda home: shutil.rmtree(home.path),
        lambda home: home.path.rename(home.path.with_name("elsewhere")),
        lambda home: home.journal.unlink(),
        replaced,
    ],
)
def test_one_that_is_gone_is_told_from_one_that_is_there(home: Home, remove: Callable[[Home], None]) -> None:
    assert is_there(home)
    remove(home)
    assert not is_there(home)


def test_one_that_cannot_be_looked_at_is_not_taken_to_be_gone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object, **more: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "stat", refused)
    assert is_there(home)


class Stepped:
    """A clock whose every sleep lets something happen."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.steps, self.deadlines = list(steps), list[int]()

    def now_ns(self) -> int:
        return 1_000

    async def sleep_until(self, deadline_ns: int) -> None:
        self.deadlines.append(deadline_ns)
        self.steps.pop(0)()


@looped
async def test_it_is_looked_for_from_time_to_time_and_missed_once(tmp_path: Path) -> None:
    with closing(Home(tmp_path / "home")) as home:
        home.journal.write_text("a journal")
        clock, told = Stepped(lambda: None, lambda: shutil.rmtree(home.path)), list[StoreError]()
        await watch_home(home, clock, told.append)
    assert [type(error) for error in told] == [StoreGone]
    assert set(clock.deadlines) == {1_000 + limits.HOME_LOOK_MS * 1_000_000}


def test_nothing_is_acknowledged_in_a_home_that_was_removed_and_its_successor_is_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"

    async def run() -> StoreError:
        shard = await homes.open_home(home)
        await shard.kernel.operator.wait_ended(homes.spawn(shard, home, "steps", 3, 400))
        shutil.rmtree(home)
        second = await homes.open_home(home)
        pid = homes.spawn(second, home, "says", "mine", 400, "end")
        durable = shard.kernel.ledger.journal.durable
        homes.spawn(shard, home, "steps", 3, 400)
        error = await asyncio.wait_for(shard.failed, 20)
        assert shard.kernel.ledger.journal.durable == durable
        await shard.close()
        assert (await second.kernel.operator.wait_ended(pid))["result"] == "mine"
        await second.close()
        return error

    assert isinstance(asyncio.run(run()), StoreGone)
    assert homes.opens(home) is None
