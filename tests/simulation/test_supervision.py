"""Supervision by example: who begins again, in which order, with what, and what is said where it gives up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Einval
from prytany.abi.signals import Signal
from prytany.kernel.kernel import Kernel
from prytany.testing.virtual_shard import VirtualShard, passes
from prytany.userland.process import Process
from prytany.userland.server import Server
from tests.simulation.shards import SHARDS
from tests.simulation.trees_world import Checked


class Count(Server):
    """Counts, and fails at a message as often as it is told to."""

    state: int = 0

    async def on_add(self, fails: int = 0) -> int:
        if self.message.attempt <= fails:
            raise ValueError("told to")
        self.state += 1
        return self.state


async def stubborn(proc: Process) -> None:
    """Does not end when it is told to."""
    try:
        await proc.receive()
    except asyncio.CancelledError:
        await proc.sleep(1_000)


async def stuck(proc: Process) -> None:
    """Does nothing, and asks for nothing."""
    await asyncio.get_running_loop().create_future()


async def patient(proc: Process) -> str:
    """Waits for a message, then for a time."""
    message = await proc.receive()
    await message.done()
    await proc.sleep(500)
    return "not stuck"


async def main(proc: Process, strategy: str, restart: str = "permanent", fails: int = 1) -> list[int]:
    await proc.supervise(strategy, intensity=4, period_s=60)
    pids = [await proc.spawn(Count, name=name, restart=restart) for name in "abc"]
    for pid in pids:
        await proc.call(pid, "add")
    try:
        await proc.call(pids[1], "add", fails=fails)
    except Exception as error:
        proc.log(type(error).__name__)
    await proc.sleep(5)
    return [await proc.call(pid, "add") for pid in pids]


async def crashing(proc: Process) -> None:
    raise ValueError("always")


async def gives_up(proc: Process) -> None:
    await proc.supervise("one_for_one", intensity=3, period_s=3_600)
    await proc.spawn(Count, restart="permanent", name="a")
    await proc.spawn(crashing, restart="transient", name="b")
    await proc.sleep(10_000)


async def above(proc: Process) -> str:
    pid = await proc.spawn(gives_up)
    return (await proc.wait(pid)).reason


async def watched(proc: Process, program: str) -> Any:
    pid = await proc.spawn(program, progress_ms=5_000)
    await proc.sleep(200)
    if program == "patient":
        await proc.send(pid, "go")
    ended = await proc.wait(pid)
    return [ended.reason, ended.result]


async def holder(proc: Process, shutdown_ms: int) -> None:
    await proc.spawn(stubborn, restart="permanent", shutdown_ms=shutdown_ms)
    await proc.spawn(Count, restart="permanent", shutdown_ms=shutdown_ms)
    await proc.sleep(10_000)


async def ends_one(proc: Process, restart: str) -> list[Any]:
    pid = await proc.spawn(Count, restart=restart)
    await proc.call(pid, "add")
    await proc.kill(pid)
    return [(await proc.wait(pid)).signal]


async def asks(proc: Process, call: str, given: dict[str, Any]) -> str:
    try:
        if call == "supervise":
            await proc.supervise(**given)
        else:
            await proc.spawn(Count, **given)
    except Einval as error:
        return error.errno
    return ""


PROGRAMS: dict[str, Any] = {
    program.__name__: program
    for program in (Count, stubborn, stuck, patient, main, crashing, gives_up, above, watched, holder, ends_one, asks)
}


def shard_of_trees() -> VirtualShard:
    SHARDS.append(VirtualShard(PROGRAMS, {}, pledge=("ipc", "proc")))
    return SHARDS[-1]


def ended(shard: VirtualShard, program: str, *args: Any, more_s: float = 20) -> dict[str, Any]:
    async def does(kernel: Kernel) -> dict[str, Any]:
        found = await kernel.operator.wait_ended(shard.spawn(kernel, program, *args))
        await passes(more_s)
        return found

    found: dict[str, Any] = shard.run(does)
    Checked(shard).all()
    return found


@pytest.mark.parametrize(
    ("strategy", "begun"),
    [
        ("one_for_one", {3: 2}), ("dynamic", {3: 2}), ("rest_for_one", {3: 2, 4: 2}),
        ("one_for_all", {2: 2, 3: 2, 4: 2}),
    ],
)  # fmt: skip
def test_who_begins_again_is_said_by_the_strategy_and_keeps_pid_and_state(strategy: str, begun: dict[int, int]) -> None:
    shard = shard_of_trees()
    assert ended(shard, "main", strategy)["result"] == [2, 3, 2]
    again = {e.pid: e.incarnation for e in shard.events(ev.ProcessReady) if e.incarnation > 1}
    assert again == begun
    assert [e.pid for e in shard.events(ev.ProcessFailed)] == [3], "the others did not fail"


def test_a_first_restart_is_at_once_and_a_further_one_waits_longer_each_time() -> None:
    shard = shard_of_trees()
    ended(shard, "main", "one_for_one", "permanent", 3)
    waits = [
        (event.until_ns - entry.time_ns) / 1e6
        for entry in shard.entries()
        for event in entry.events
        if isinstance(event, ev.ProcessFailed)
    ]
    assert len(waits) == 3
    assert waits[0] <= 0
    assert 75 <= waits[1] <= 125
    assert 150 <= waits[2] <= 250


def test_a_message_that_kills_its_reader_is_dead_before_the_supervisor_gives_up() -> None:
    shard = shard_of_trees()
    assert ended(shard, "main", "one_for_all", "permanent", 99)["result"] == [2, 2, 2]
    assert next((e.receiver, e.reason) for e in shard.events(ev.MessageDead)) == (3, "attempts")


def test_a_temporary_child_is_not_begun_again() -> None:
    shard = shard_of_trees()
    found = ended(shard, "main", "one_for_all", "temporary")
    assert found["error"]["type"] == "Esrch"
    assert not shard.events(ev.ProcessFailed)


def test_a_supervisor_that_gives_up_ends_its_children_and_fails_and_whoever_waits_is_told() -> None:
    shard = shard_of_trees()
    assert ended(shard, "above")["result"] == "more than 3 restarts in 3600 s"
    assert len(shard.events(ev.ChildRestarted)) == 3
    assert [e.pid for e in shard.events(ev.ProcessExited)] == [4, 3, 2, 1]


def test_children_end_in_reverse_order_and_are_killed_when_their_time_is_over() -> None:
    shard = shard_of_trees()

    async def does(kernel: Kernel) -> None:
        pid = shard.spawn(kernel, "holder", 2_000)
        await passes(1)
        kernel.operator.signal(pid, Signal.TERM, uid=0)
        await passes(30)

    shard.run(does)
    exits = [(e.pid, e.signal) for e in shard.events(ev.ProcessExited)]
    assert exits == [(3, 0), (2, Signal.KILL), (1, 0)]
    told = {e.pid: entry.time_ns for entry in shard.entries() for e in entry.events if isinstance(e, ev.ChildTold)}
    died = {e.pid: entry.time_ns for entry in shard.entries() for e in entry.events if isinstance(e, ev.ProcessExited)}
    assert died[2] - told[2] == pytest.approx(2e9, rel=0.01)


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
def test_whom_its_parent_ends_is_not_begun_again(restart: str) -> None:
    assert ended(shard_of_trees(), "ends_one", restart)["status"] == 0


@pytest.mark.parametrize(("restart", "begins"), [("permanent", True), ("transient", True), ("temporary", False)])
def test_whom_an_operator_kills_has_failed_to_its_supervisor(restart: str, begins: bool) -> None:
    shard = shard_of_trees()

    async def does(kernel: Kernel) -> bool:
        shard.spawn(kernel, "main", "one_for_one", restart, 0)
        await passes(1)
        kernel.operator.signal(3, Signal.KILL, uid=0, judged=True)
        await passes(1)
        process = kernel.table.get(3)
        return process is not None and process.alive

    assert shard.run(does) is begins


def test_a_program_that_does_nothing_is_stuck_and_one_that_the_kernel_holds_up_is_not() -> None:
    assert ended(shard_of_trees(), "watched", "stuck")["result"] == ["no progress within 5 s", None]
    assert ended(shard_of_trees(), "watched", "patient")["result"] == ["returned", "not stuck"]


@pytest.mark.parametrize(
    ("call", "given"),
    [
        ("supervise", {"strategy": ""}), ("supervise", {"strategy": "x" * 10_000}), ("supervise", {"intensity": -1}),
        ("supervise", {"intensity": 1 << 62}), ("supervise", {"period_s": 0}), ("supervise", {"period_s": 1e300}),
        ("supervise", {"period_s": float("nan")}), ("supervise", {"period_s": float("inf")}),
        ("supervise", {"strategy": None}), ("supervise", {"intensity": "many"}),
        ("spawn", {"restart": "always"}), ("spawn", {"restart": "permanent", "restarts": 3}),
        ("spawn", {"shutdown_ms": 5}), ("spawn", {"restart": "transient", "shutdown_ms": -2}),
        ("spawn", {"restart": "transient", "shutdown_ms": 1 << 62}), ("spawn", {"progress_ms": -1}),
        ("spawn", {"progress_ms": 1}), ("spawn", {"progress_ms": 1 << 62}), ("spawn", {"restart": 7}),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(call: str, given: dict[str, Any]) -> None:
    assert ended(shard_of_trees(), "asks", call, given)["result"] == "EINVAL"


def test_a_kernel_that_stops_at_any_entry_of_a_restart_comes_to_the_same() -> None:
    whole = shard_of_trees()
    ended(whole, "main", "one_for_all")
    for stop_at in range(25, len(whole.entries())):
        shard = shard_of_trees()

        async def begins(kernel: Kernel, shard: VirtualShard = shard) -> None:
            shard.spawn(kernel, "main", "one_for_all")
            await passes(100)

        async def goes_on(kernel: Kernel) -> Any:
            await passes(100)
            return kernel.table.require(1)

        shard.run(begins, stop_at)
        root = shard.run(goes_on)
        assert root.status == 0, f"stopped at {stop_at}: {root.reason}"
        checked = Checked(shard)
        checked.all()
        checked.settled()
