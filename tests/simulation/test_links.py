"""Links and monitors: who is told of whose end, and who ends with it; also where the kernel ends in between."""

from __future__ import annotations

from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Esrch
from prytany.kernel.kernel import Kernel
from prytany.testing.virtual_shard import VirtualShard, passes
from prytany.userland.process import Process
from tests.simulation.shards import SHARDS


async def other(proc: Process, how: str = "", after: float = 1) -> str:
    """Ends as it is told, after a while."""
    await proc.sleep(after)
    if how == "fail":
        raise ValueError("told to")
    if how == "wait":
        await proc.sleep(100_000)
    return "done"


async def watcher(proc: Process, how: str, restarts: int = 0) -> list[Any]:
    pid = await proc.spawn(other, how, restarts=restarts)
    ref = await proc.monitor(pid)
    message = await proc.receive()
    await message.done()
    assert message.sender == pid
    assert message.body.pop("ref") == ref
    assert message.body.pop("pid") == pid
    return [message.type, message.body]


async def late(proc: Process) -> list[Any]:
    """Monitors one that has ended, one that was waited for, and one that there never was."""
    told: list[Any] = []
    pid = await proc.spawn(other, "fail", 0)
    await proc.sleep(5)
    for _ in range(2):
        ref = await proc.monitor(pid)
        message = await proc.receive()
        await message.done()
        told.append([message.body["ref"] == ref, message.body["status"], message.body["reason"]])
        await proc.wait(pid) if len(told) == 1 else None
    try:
        await proc.monitor(999)
    except Esrch:
        told.append("ESRCH")
    return told


async def dropper(proc: Process) -> list[bool]:
    pid = await proc.spawn(other, "fail", 1)
    first, second = await proc.monitor(pid), await proc.monitor(pid)
    said = [await proc.demonitor(first), await proc.demonitor(first)]
    message = await proc.receive()
    assert message.body["ref"] == second
    return [*said, await proc.demonitor(second)]


async def linker(proc: Process, how: str, trap: bool) -> Any:
    pid = await proc.spawn(other, how)
    await proc.link(pid, trap=trap)
    message = await proc.receive(20_000)
    return [message.type, message.body["status"], message.body["reason"]]


async def above(proc: Process, own: str) -> list[Any]:
    """Of parent and child that are linked, `own` is how the parent of both ends."""
    pid = await proc.spawn("tied", own)
    await proc.sleep(30)
    return [(await proc.wait(pid)).reason]


async def tied(proc: Process, own: str) -> str:
    pid = await proc.spawn(other, "wait")
    await proc.link(pid)
    await proc.sleep(5)
    if own == "fail":
        raise KeyError("told to")
    return "returned"


async def climber(proc: Process) -> str:
    """A child that ties itself to its parent does not take it with it."""
    await proc.link(proc.parent)
    raise ValueError("and it should go on")


async def climbed(proc: Process) -> str:
    pid = await proc.spawn(climber)
    await proc.wait(pid)
    await proc.sleep(5)
    return "goes on"


PROGRAMS: dict[str, Any] = {
    program.__name__: program for program in (other, watcher, late, dropper, linker, above, tied, climber, climbed)
}


def shard_of_links() -> VirtualShard:
    SHARDS.append(VirtualShard(PROGRAMS, {}, pledge=("ipc", "proc")))
    return SHARDS[-1]


def ended(program: str, *args: Any, stop_at: int = 0, shard: VirtualShard | None = None) -> dict[str, Any] | None:
    """Run it to its end, or until the machine goes out, and then once more."""
    shard = shard or shard_of_links()

    async def does(kernel: Kernel) -> dict[str, Any]:
        await passes(0.1)
        root = kernel.table.get(1)
        pid = root.pid if root is not None else shard.spawn(kernel, program, *args)
        found = await kernel.operator.wait_ended(pid)
        await passes(1)
        return found

    found: dict[str, Any] | None = shard.run(does, stop_at)
    return found


def result(program: str, *args: Any) -> Any:
    found = ended(program, *args)
    assert found is not None
    assert found["status"] == 0, found
    return found["result"]


@pytest.mark.parametrize(
    ("how", "restarts", "body"),
    [
        ("", 0, {"status": 0, "signal": 0, "reason": "returned", "restarting": False}),
        ("fail", 0, {"status": 1, "signal": 0, "reason": "raised ValueError", "restarting": False}),
        ("fail", 1, {"status": 1, "signal": 0, "reason": "raised ValueError", "restarting": True}),
    ],
)
def test_who_monitors_another_is_told_of_its_end_once(how: str, restarts: int, body: dict[str, Any]) -> None:
    assert result("watcher", how, restarts) == ["down", body]


def test_who_monitors_one_that_has_ended_is_told_at_once() -> None:
    assert result("late") == [[True, 1, "raised ValueError"], [True, 0, "it ended before, and was let go"], "ESRCH"]


def test_who_monitors_no_more_is_not_told() -> None:
    assert result("dropper") == [True, False, False]


def test_who_traps_is_told_of_any_end() -> None:
    assert result("linker", "fail", True) == ["exit", 1, "raised ValueError"]
    assert result("linker", "", True) == ["exit", 0, "returned"]


def test_who_is_linked_ends_with_who_fails_and_not_with_who_returns() -> None:
    failed = ended("linker", "fail", False)
    assert failed is not None
    assert (failed["status"], failed["reason"]) == (1, "linked to 2, which ended: raised ValueError")
    returned = ended("linker", "", False)
    assert returned is not None
    assert returned["error"]["type"] == "Etimedout"


@pytest.mark.parametrize(("own", "ends"), [("fail", True), ("return", False)])
def test_a_descendant_ends_with_who_linked_to_it_where_that_fails(own: str, ends: bool) -> None:
    shard = shard_of_links()
    assert ended("above", own, shard=shard) is not None
    assert (3 in {e.pid for e in shard.events(ev.ProcessExited)}) == ends


def test_a_child_does_not_end_its_parent_by_a_link() -> None:
    assert result("climbed") == "goes on"


@pytest.mark.parametrize(("program", "args"), [("watcher", ("fail", 1)), ("linker", ("fail", True)), ("late", ())])
def test_a_kernel_that_stops_anywhere_tells_exactly_once(program: str, args: tuple[Any, ...]) -> None:
    whole = shard_of_links()
    expected = ended(program, *args, shard=whole)
    assert expected is not None
    for stop_at in range(2, len(whole.entries())):
        shard = shard_of_links()
        found = ended(program, *args, stop_at=stop_at, shard=shard) or ended(program, *args, shard=shard)
        assert found is not None, f"stopped at {stop_at}"
        assert found["result"] == expected["result"], f"stopped at {stop_at}"
        sent = len([e for e in shard.events(ev.MessageSent) if e.kind in ("down", "exit")])
        assert sent == (2 if program == "late" else 1), f"stopped at {stop_at}"
