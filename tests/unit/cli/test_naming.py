"""A process is meant by its number, or by the name of an agent of which one process is there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from prytany.abi.errors import Einval, Enoent
from prytany.cli.naming import named, pids_of
from prytany.client import Client
from tests.surfaces.commands import here
from tests.surfaces.test_what_to_do_next import kernel


def row(pid: int, run: int, agent: str, state: str = "running", name: str = "") -> SimpleNamespace:
    return SimpleNamespace(pid=pid, run=run, agent=agent, fleet="shop", state=state, name=name or agent)


ROWS = [
    row(1, 1, "sales"), row(2, 1, "sales"), row(3, 3, "oracle"), row(4, 4, "oracle"), row(5, 1, "helper"),
    row(6, 6, "gone", "terminated"), row(7, 7, "", name="desk-7"),
]  # fmt: skip


def client() -> Client:
    async def ps() -> Any:
        return ROWS

    return cast(Client, SimpleNamespace(ps=ps, home=Path("/h")))


def pids(*targets: str) -> list[int]:
    return list(asyncio.run(pids_of(client(), [named(target) for target in targets])))


def test_a_name_of_one_living_agent_is_its_process_and_each_is_meant_once() -> None:
    assert pids("sales", "7", "shop.sales", "1", "helper") == [1, 7, 5]


def test_one_of_no_agent_is_named_by_what_it_was_called_at_its_start() -> None:
    assert pids("desk-7") == [7]


@pytest.mark.parametrize("name", ["gone", "nobody", "other.sales"])
def test_a_name_of_none_names_those_that_there_are(name: str) -> None:
    with pytest.raises(Enoent) as raised:
        pids(name)
    assert "there are helper, oracle, sales; " in raised.value.__notes__[0]


def test_a_name_of_several_names_their_pids() -> None:
    with pytest.raises(Einval) as raised:
        pids("oracle")
    assert raised.value.__notes__ == ["name one of 3, 4"]


@pytest.mark.parametrize("text", ["", " ", "-1", ".", "0x3", "3x"])
def test_what_can_be_neither_is_refused(text: str) -> None:
    with pytest.raises(Einval):
        named(text)


@pytest.mark.parametrize("command", ["inspect", "stop", "kill", "pause", "unpause"])
def test_the_commands_that_steer_take_a_name(command: str, tmp_path: Path) -> None:
    kernel(tmp_path / "home")
    done = here(command, "nobody", home=tmp_path / "home")
    assert (done.returncode, "no process of an agent 'nobody' runs" in done.stderr) == (2, True), done.stderr
