"""`prytany mail`: mailboxes and dead letters, of a kernel that runs and of a home where none does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from prytany.drivers.models.scripted import ScriptedModel
from prytany.runtime.inline import InlineRunner
from prytany.system.shard import Shard
from prytany.userland.process import Process
from tests.surfaces.bad_input.sweep import tell
from tests.surfaces.homes import spawn


async def desk(proc: Process) -> None:
    """Refuses bad ones, keeps one in hand, and ends when it is told to."""
    while True:
        message = await proc.receive()
        if message.type == "end":
            return
        if message.type == "bad":
            await message.reject("no")


async def root(proc: Process) -> None:
    pid = await proc.spawn(":desk", name="desk", pledge="ipc")
    for kind in ("bad", "keep"):
        await proc.send(pid, kind, text="content")
    await proc.receive()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which a message is dead, and one in hand."""
    (tmp_path / "program.py").write_text("async def root(proc): ...\nasync def desk(proc): ...\n")
    place = tmp_path / "home"
    monkeypatch.setenv("PRYTANY_HOME", str(place))
    programs = {f"{tmp_path / 'program.py'}:{name}": body for name, body in (("root", root), ("desk", desk))}

    async def run() -> None:
        shard = await Shard.open(
            place, {"": ScriptedModel([])}, runners=lambda logs: {"inline": InlineRunner(programs)}
        )
        spawn(shard, place, "root", pledge=("proc", "ipc"))
        while not (shard.kernel.post.box(2).dead and shard.kernel.post.box(2).in_hand):  # noqa: ASYNC110
            await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, no time
        await shard.close()

    asyncio.run(run())
    return place


def lines(*words: str) -> list[dict[str, Any]]:
    """What a command says in JSON."""
    told = tell(*words, "--json")
    assert told.code == 0, told.err
    return [json.loads(line) for line in told.out.splitlines()]


def test_mail_is_listed_looked_at_tried_again_and_dropped(home: Path) -> None:
    (box,) = lines("mail")
    assert (box["pid"], box["name"], box["in_hand"], box["waiting"], box["dead"]) == (2, "desk", 1, 0, 1)
    assert box["oldest_ns"] > 0
    told = tell("mail")
    assert (told.code, "desk" in told.out, "1 of 1024" in told.out) == (0, True, True)
    (row,) = lines("mail", "dead")
    assert (row["number"], row["type"], row["reason"], row["sender"]) == (1, "bad", "rejected", 1)
    (letter,) = lines("mail", "dead", "1")
    assert letter["body"] == {"text": "content"}
    assert '"content"' in tell("mail", "dead", "1").out
    (done,) = lines("mail", "retry", "1")
    assert done == {"retried": [1], "failed": [], "live": False}
    assert not lines("mail", "dead")
    assert tell("mail", "retry", "1").code != 0
    assert lines("mail", "retry", "--all") == [{"retried": [], "failed": [], "live": False}]


def test_several_at_once_say_what_stays_dead(home: Path) -> None:
    told = tell("mail", "drop", "1", "7", "--json")
    assert told.code == 1
    (done,) = (json.loads(line) for line in told.out.splitlines())
    assert (done["dropped"], done["failed"][0]["number"], done["failed"][0]["errno"]) == ([1], 7, "ENOENT")
    assert "no letter is dead" in tell("mail", "dead").err
    for words in (("mail", "drop"), ("mail", "drop", "1", "--all"), ("mail", "retry", "x"), ("mail", "dead", "0")):
        assert tell(*words).code == 2


def test_a_name_that_no_agent_has_may_be_a_process_s(home: Path) -> None:
    told = tell("send", "desk", "end", "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out.splitlines()[0])["receiver"] == 2
