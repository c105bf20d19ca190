"""What nobody is told of else is in the log: why a program failed, and why a message was put aside."""

from __future__ import annotations

from pathlib import Path

from prytany.abi.errors import Esrch
from prytany.system.shard import Shard
from tests.surfaces.shards import end_of, with_shard

PROGRAM = """
from prytany import Server, agent


@agent()
async def child(proc):
    print("begins")
    raise ValueError("no such recipe")


@agent(pledge="proc")
async def parent(proc):
    return (await proc.wait(await proc.spawn(child))).reason


class Counter(Server):
    state: int = 0

    async def on_add(self, n: float) -> None:
        self.state += round(n)

    async def on_total(self) -> int:
        return self.state


@agent(pledge="proc ipc")
async def asks(proc):
    counter = await proc.spawn(Counter)
    try:
        await proc.send(counter, "ad", n=2)
    except Exception as error:
        refused = type(error).__name__
    await proc.send(counter, "add", n="two")  # that it wants a float is not told from its text
    await proc.send(counter, "add", n=2)
    try:
        await proc.call(counter, "add", n="three")
    except Exception as error:
        return [refused, type(error).__name__, await proc.call(counter, "total")]
"""


def test_the_traceback_of_a_child_that_failed_is_in_its_log_after_what_it_printed(tmp_path: Path) -> None:
    path = tmp_path / "failing.py"
    path.write_text(PROGRAM)

    async def body(shard: Shard) -> tuple[object, str]:
        ended = await end_of(shard, f"{path}:parent")
        return ended["result"], shard.logs.path(2).read_text()

    result, log = with_shard(tmp_path / "home", body)
    assert result == "raised ValueError"
    assert log.startswith("begins\nTraceback (most recent call last):\n")
    assert log.endswith("ValueError: no such recipe\n")


def test_a_server_says_why_it_refuses_what_its_text_did_not_tell(
    tmp_path: Path,
) -> None:
    path = tmp_path / "failing.py"
    path.write_text(PROGRAM)

    async def body(shard: Shard) -> tuple[object, list[str]]:
        ended = await end_of(shard, f"{path}:asks")
        return ended["result"], shard.logs.path(2).read_text().splitlines()

    result, log = with_shard(tmp_path / "home", body)
    assert result == ["Einval", "Einval", 2]
    (line,) = log
    assert "of type add is refused: Counter.on_add: Expected `float`, got `str`" in line


def test_who_sends_to_a_process_that_has_ended_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "failing.py"
    path.write_text(PROGRAM)

    async def body(shard: Shard) -> str:
        await end_of(shard, f"{path}:child")
        try:
            shard.kernel.operator.send(1, "x", None, uid=0)
        except Esrch as error:
            return error.message
        return ""

    assert with_shard(tmp_path / "home", body) == "process 1 has ended"
