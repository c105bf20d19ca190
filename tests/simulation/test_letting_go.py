"""Runs that have ended leave the table: by number, by age, and with all that was held for them."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import msgspec
import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Esrch
from prytany.drivers.stores.memory import MemoryStore
from prytany.kernel.folding import fold_from_snapshot, fold_from_start
from prytany.kernel.state import ShardState
from prytany.kernel.views import inspection
from prytany.userland.process import Process
from tests.simulation.fleet import Fleet
from tests.simulation.looped import looped
from tests.simulation.steered import Home, Steered
from tests.simulation.stepped import Life
from tests.simulation.test_forgetting import forgets, holds, tells
from tests.simulation.test_forgetting import told as told_of
from tests.simulation.tools import PATH, CountingTools

KEPT = 3
WEEK_NS = 7 * 86_400_000_000_000


@pytest.fixture(autouse=True)
def few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ENDED_RUNS_MAX", KEPT)


async def talks(proc: Process) -> int:
    talk = proc.conversation(system="be brief")
    await talk.append("user", "a message")
    await proc.send(proc.pid, "note", to="itself")
    return len(await proc.calls.tool_list())


async def leaves(proc: Process) -> int:
    return await proc.spawn("stays")


async def stays(proc: Process) -> list[str]:
    await proc.receive()
    return [tool["name"] for tool in await proc.calls.tool_list()]


def home_of() -> Home:
    programs = {"talks": talks, "leaves": leaves, "stays": stays}
    home = Home(programs, pledge=("ipc", "model", "proc", "tools"))
    home.tools[PATH] = CountingTools()
    return home


async def ended(k: Steered, program: str, runs: int) -> list[int]:
    pids: list[int] = []
    for _ in range(runs):
        pids.append(k.spawn(program))
        end = await k.ended(pids[-1])
        assert end["status"] == 0, end
    return pids


@looped
async def test_the_newest_are_kept_and_the_others_leave_with_all_that_was_held_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "PROCESSES_MAX", 2 * KEPT)
    home = home_of()
    async with home.life() as k:
        pids = await ended(k, "talks", 4 * KEPT)
        state = k.kernel.ledger.state
        assert list(state.table.processes) == pids[-KEPT:]
        for held in (state.grants.runs, state.contexts.owned, state.post.boxes, state.table.ended):
            assert set(held) <= set(pids[-KEPT:])
        assert state.table.runs_let_go == 3 * KEPT
        operator = k.kernel.operator
        for pid in (pids[0], pids[-KEPT - 1]):
            with pytest.raises(Esrch, match=f"process {pid} has ended and was let go"):
                await k.ended(pid)
            with pytest.raises(Esrch, match="was let go"):
                operator.signal(pid, 9, uid=0)
            with pytest.raises(Esrch, match="was let go"):
                inspection(state, pid, 0)
        for pid in (pids[-1] + 1, 0, -1):
            with pytest.raises(Esrch, match="there is no process"):
                operator.process(pid)
        digest = state.digest()
    assert fold_from_start(home.store.reader()).state.digest() == digest
    assert msgspec.msgpack.decode(state.encode(), type=ShardState).digest() == digest


@looped
async def test_what_was_taken_by_who_left_is_still_counted() -> None:
    home = home_of()
    async with home.life() as k:
        await ended(k, "talks", 2)
        table = k.kernel.table
        calls = table.require(1).usage.calls
        await ended(k, "talks", 2 * KEPT - 2)
        assert (table.runs_let_go, table.past.calls) == (KEPT, KEPT * calls)
        await k.until(lambda: not k.kernel.workers.leaving)
        k.kernel.on_left(1, 700)  # who has left long ago is not known any more
        assert table.past.cpu_us == 0
        k.kernel.note((ev.ProcessAccounted(1, 1, 700),))
        assert table.past.cpu_us == 700


@looped
async def test_a_run_of_which_somebody_goes_on_stays_with_its_grants() -> None:
    home = home_of()
    async with home.life() as k:
        (run,) = await ended(k, "leaves", 1)
        await ended(k, "talks", 2 * KEPT)
        table, grants = k.kernel.table, k.kernel.ledger.state.grants
        assert table.get(run) is not None
        assert (len(table.processes), run in table.ended) == (KEPT + 2, False)
        left = run + 1
        k.kernel.operator.send(left, "go on", None, uid=0)
        assert len((await k.ended(left))["result"]) == 3, "its tools"
        assert table.get(left) is None
        assert list(table.ended)[-1] == run, "it has been kept since the last of it went"
        await ended(k, "talks", KEPT)
        assert table.get(run) is None
        assert run not in grants.runs


def quick() -> Generator[Any, Any, None]:
    yield [("process_exit", 0, None, None)]


def waits() -> Generator[Any, Any, None]:
    yield [("timer_wait", 1 << 62)]


@looped
async def test_none_is_kept_for_longer_than_its_time_and_whoever_begins_or_ends_looks() -> None:
    life = Life(MemoryStore(), {"quick": quick, "waits": waits}, 9)
    first = life.spawn("quick")
    await life.ended(first)
    life.clock.pass_to(life.clock.time_ns + WEEK_NS - 1_000_000)
    second = life.spawn("waits")
    await life.settled()
    assert list(life.kernel.table.processes) == [first, second]
    life.clock.pass_to(life.clock.time_ns + 1_000_000)
    third = life.spawn("quick")
    assert list(life.kernel.table.processes) == [second, third]
    await life.ended(third)
    life.clock.pass_to(life.clock.time_ns + 2 * WEEK_NS)
    life.kernel.operator.signal(second, 9, uid=0)
    assert list(life.kernel.table.processes) == [second], "an end looks as well"
    await life.stop()


@looped
async def test_a_kernel_that_starts_lets_go_of_what_was_kept_too_long_in_entries_of_a_bounded_size() -> None:
    limits.ENDED_RUNS_MAX = 150  # the fixture puts it back
    life = Life(MemoryStore(), {"quick": quick, "waits": waits}, 9)
    pids = [life.spawn("quick") for _ in range(150)]
    await life.ended(pids[-1])
    waiting = life.spawn("waits")
    store = await life.stop()
    limits.ENDED_RUNS_MAX = KEPT
    life = Life(store, {"quick": quick, "waits": waits}, 9)
    await life.settled()
    assert list(life.kernel.table.processes) == [*pids[-KEPT:], waiting]
    entries = [ev.decode_entry(row.record) for row in life.store.reader().rows(1)]
    assert max(sum(isinstance(e, ev.ProcessReaped) for e in entry.events) for entry in entries) == 64
    digest = life.kernel.ledger.state.digest()
    await life.stop()
    assert fold_from_snapshot(store.reader()).state.digest() == digest
    assert fold_from_start(store.reader()).state.digest() == digest


@looped
async def test_who_waits_outside_for_a_run_is_told_of_its_end_though_it_is_let_go_at_once() -> None:
    limits.ENDED_RUNS_MAX = 0  # the fixture puts it back
    home = home_of()
    async with home.life() as k:
        pids = [k.spawn("talks") for _ in range(5)]
        ends = await asyncio.gather(*(k.ended(pid) for pid in pids))
        assert [end["pid"] for end in ends] == pids
        k.spawn("talks")
        assert len(k.kernel.table.processes) == 1


async def brief(proc: Process) -> None:
    return


def test_the_content_of_who_was_let_go_can_be_forgotten() -> None:
    fleet = Fleet("tells", {"tells": tells, "told": told_of, "brief": brief})
    assert asyncio.run(fleet.live()) is not None
    limits.ENDED_RUNS_MAX = 0  # the fixture puts it back
    fleet.root = "brief"
    assert asyncio.run(fleet.live()) is not None
    assert fleet.table().get(1) is None
    assert holds(fleet)
    asyncio.run(forgets(fleet, 1, 2))
    assert not holds(fleet)
