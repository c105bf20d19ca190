"""A spawn of a program that is not known is decided when it was read: once, in order, and after a crash too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Enoent, KernelError
from prytany.kernel.outcome import Program
from prytany.userland.process import Process
from tests.simulation.fleet import Fleet, find_program, offer


class Unknown:
    """Knows nothing, and reads each program anew, a turn of the loop later."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.at_once = self.most = 0

    def known(self, target: str, beside: str, *, closed: Sequence[str] = ()) -> Program | None:
        return None

    async def look_up(self, target: str, beside: str, recorded: bytes = b"", *, closed: Sequence[str] = ()) -> Program:
        self.asked.append(target)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turn.set_result, None)
        await turn
        self.at_once -= 1
        if target == "nowhere":
            raise Enoent("there is no such program")
        return find_program(target, beside)


def fleet_of(root: str) -> Fleet:
    fleet = Fleet(root)
    fleet.programs_of = Unknown()
    return fleet


async def many(proc: Process) -> list[int]:
    first = proc.pid + 1
    return [pid - first for pid in await asyncio.gather(*(proc.spawn("child", str(k)) for k in range(5)))]


async def lost(proc: Process) -> str:
    try:
        await proc.spawn("nowhere")
    except KernelError as error:
        return error.errno
    return "found"


MANY, LOST = offer(many, "proc"), offer(lost, "proc")


class Changed(Unknown):
    """The file that a program came from no longer has the function; its record does."""

    def known(self, target: str, beside: str, *, closed: Sequence[str] = ()) -> Program | None:
        raise Enoent(f"the file has no {target}")

    async def look_up(self, target: str, beside: str, recorded: bytes = b"", *, closed: Sequence[str] = ()) -> Program:
        self.asked.append(target)
        if not recorded:
            raise Enoent(f"the file has no {target}")
        return find_program(target.lstrip(":"), beside)


async def beside(proc: Process) -> list[str]:
    said: list[str] = []
    for target in (":child", "child"):
        try:
            await proc.spawn(target, "x")
        except KernelError as error:
            said.append(error.errno)
        else:
            said.append("found")
    return said


BESIDE = offer(beside, "proc")


def test_what_a_file_no_longer_has_is_taken_from_the_record_and_nothing_else_is() -> None:
    fleet = fleet_of(BESIDE)
    fleet.programs_of = Changed()
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["result"] == ["found", "ENOENT"]
    assert len(spawns(fleet)) == 1


def spawns(fleet: Fleet) -> list[int]:
    return [e.pid for entry in fleet.entries() for e in entry.events if isinstance(e, ev.ProcessSpawned) and e.parent]


def test_the_spawns_of_one_process_are_looked_up_one_at_a_time_and_in_order() -> None:
    fleet = fleet_of(MANY)
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["result"] == list(range(5))
    assert isinstance(fleet.programs_of, Unknown)
    assert fleet.programs_of.most == 1


def test_a_program_that_is_not_there_is_said_so_and_leaves_no_child() -> None:
    fleet = fleet_of(LOST)
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["result"] == "ENOENT"
    assert not spawns(fleet)


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_kernel_that_stops_at_any_append_spawns_each_child_once(after_commit: bool) -> None:
    whole = fleet_of("parent")
    ended = asyncio.run(whole.live())
    assert ended is not None
    length = whole.store.reader().head()
    assert length is not None
    opened = [e for entry in whole.entries() for e in entry.events if isinstance(e, ev.CallOpened)]
    assert [e.call for e in opened].count("process_spawn") == 3
    for stop_at in range(2, length.seq + 1):
        fleet = fleet_of("parent")
        asyncio.run(fleet.live(stop_at, after_commit=after_commit))
        again = asyncio.run(fleet.live())
        assert again is not None, f"stopped at {stop_at}"
        assert again["result"] == ended["result"], f"stopped at {stop_at}"
        assert len(spawns(fleet)) == 3, f"stopped at {stop_at}"
