"""Budgets that hold whoever has left, whenever they were given, and whatever an earlier kernel died over."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from prytany.abi import events as ev
from prytany.abi.budgets import AMOUNT_MAX, Bounds, Budget, run_account, tree_account
from prytany.abi.signals import Signal
from prytany.kernel.accounts import accounts_of, below
from prytany.kernel.budget_views import account_rows
from prytany.kernel.kernel import Kernel
from prytany.ports.model import ModelAnswer, ModelFeatures, ModelLimits, ModelRequest, Usage
from prytany.process.process import State
from prytany.testing.virtual_shard import NumbersModel, VirtualShard, passes
from prytany.userland.process import Process
from tests.simulation.model_world import check
from tests.simulation.shards import SHARDS

FREE = Budget()


async def asks(proc: Process, calls: int, most: int = 200) -> int:
    for turn in range(calls):
        await proc.llm(f"10 100 {proc.pid} {turn}", max_tokens=most)
    return calls


async def many(proc: Process, children: int) -> int:
    pids = [await proc.spawn("asks", 1) for _ in range(children)]
    return sum([(await proc.wait(pid)).result for pid in pids])


async def leaves(proc: Process, generations: int, calls: int) -> int:
    """A child that goes on, and no parent."""
    left = [generations - 1, calls]
    return await proc.calls.process_spawn(*((":leaves", left) if generations > 1 else (":asks", [calls])))


async def gives(proc: Process, generations: int, tokens: int, calls: int) -> str:
    """A budget to a tree whose first process does nothing but start another."""
    pid = await proc.calls.process_spawn(":leaves", [generations, calls], budget={"tokens": tokens})
    await proc.wait(pid)
    await proc.sleep(5_000)
    return "done"


async def sleeps(proc: Process) -> int:
    await proc.sleep(1_000)
    return 1


async def bounds_time(proc: Process) -> int:
    await proc.wait(await proc.calls.process_spawn(":sleeps", [], budget={"wall_s": 5}))
    return 1


async def two(proc: Process) -> int:
    first, second = await proc.spawn("asks", 1, 500), await proc.spawn("late")
    await proc.wait(first)
    await proc.wait(second)
    return 1


async def late(proc: Process) -> str:
    await proc.sleep(2)
    return await proc.llm("10 100 late", max_tokens=300)


def shard_of(concurrency: int = 0) -> VirtualShard:
    model = NumbersModel("m", ModelFeatures(limits=ModelLimits(concurrency)))
    programs: dict[str, Any] = {
        "asks": asks, "many": many, "leaves": leaves, "gives": gives, "sleeps": sleeps, "bounds_time": bounds_time,
        "two": two, "late": late,
    }  # fmt: skip
    SHARDS.append(VirtualShard(programs, {"m": model}, running_max=100))
    return SHARDS[-1]


def spent(shard: VirtualShard) -> int:
    return sum(event.prompt_tokens + event.completion_tokens for event in shard.events(ev.ModelUsed))


@pytest.mark.parametrize("generations", [1, 3])
def test_a_tree_spends_what_it_was_given_also_when_its_first_process_has_left(generations: int) -> None:
    shard, account = shard_of(), tree_account(2)

    async def live(kernel: Kernel) -> None:
        shard.spawn(kernel, "gives", generations, 1_000, 100, budget=FREE)
        await passes(1_000)
        last = kernel.table.require(max(kernel.table.processes))
        assert kernel.table.get(2) is None
        assert last.state is State.STOPPED
        assert last.reason.startswith(f"budget: {account} has")
        assert accounts_of(kernel.ledger.state, last) == [account]
        kernel.exceeding.add(account, Bounds(tokens=1_000), uid=0)
        await passes(1_000)
        assert last.state is State.STOPPED

    async def goes_on(kernel: Kernel) -> Any:
        kernel.exceeding.add(account, Bounds(tokens=20_000), uid=0)
        ended = await kernel.operator.wait_ended(1)
        assert not kernel.budgets.accounts  # it went with the last who stood below it
        assert not kernel.table.estates
        return ended["result"]

    shard.run(live)
    assert 1_600 < spent(shard) <= 2_000
    assert shard.run(goes_on) == "done"
    check(shard)


def test_what_waits_for_its_turn_is_paid_from_a_budget_that_is_given_meanwhile() -> None:
    shard = shard_of(concurrency=1)

    async def live(kernel: Kernel) -> None:
        pid = shard.spawn(kernel, "many", 50, budget=FREE)
        await passes(1)
        kernel.exceeding.grant(run_account(pid), Budget(Bounds(tokens=1_000)), uid=0)
        await passes(1_000)
        stopped = [p for p in kernel.table.processes.values() if p.state is State.STOPPED]
        assert stopped
        assert all(p.reason.startswith(f"budget: run:{pid} has") for p in stopped)
        assert 700 < kernel.budgets.accounts[run_account(pid)].spent.tokens <= 1_000
        kernel.exceeding.add(run_account(pid), Bounds(tokens=100_000), uid=0)
        assert (await kernel.operator.wait_ended(pid))["result"] == 50

    shard.run(live)
    check(shard)


def test_who_is_stopped_for_one_budget_does_not_go_on_for_another() -> None:
    shard = shard_of()

    async def live(kernel: Kernel) -> Any:
        pid = shard.spawn(kernel, "bounds_time", budget=Budget(Bounds(tokens=1_000)))
        await passes(10)
        child = kernel.table.require(2)
        assert child.reason == "budget: the time of tree:2 is up"
        kernel.exceeding.add(run_account(pid), Bounds(tokens=10), uid=0)
        kernel.exceeding.grant(run_account(pid), Budget(Bounds(tokens=2_000)), uid=0)
        await passes(10)
        assert child.state is State.STOPPED
        kernel.exceeding.add(tree_account(2), Bounds(wall_ms=10_000_000), uid=0)
        return (await kernel.operator.wait_ended(pid))["result"]

    assert shard.run(live) == 1
    check(shard)


def test_what_a_kernel_died_over_keeps_nothing_set_aside_while_its_process_is_stopped() -> None:
    shard = shard_of()

    async def live(kernel: Kernel) -> None:
        shard.spawn(kernel, "two", budget=Budget(Bounds(tokens=1_200)))
        await passes(0.5)
        kernel.operator.signal(2, Signal.STOP, uid=0)
        await passes(0.2)

    async def goes_on(kernel: Kernel) -> Any:
        await passes(100)
        assert not kernel.budgets.held
        assert kernel.table.get(3) is None or not kernel.table.require(3).alive
        assert kernel.table.require(2).state is State.STOPPED
        kernel.operator.signal(2, Signal.CONT, uid=0)
        kernel.exceeding.add("run:1", Bounds(tokens=1_000), uid=0)
        return (await kernel.operator.wait_ended(1))["result"]

    shard.run(live)
    assert shard.run(goes_on) == 1
    assert check(shard).lost == 1


class Greedy(NumbersModel):
    """Says more than it was allowed."""

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        """See `NumbersModel`."""
        answer = await super().chat(request)
        return msgspec.structs.replace(answer, usage=Usage(10, 5_000))


async def starts(proc: Process) -> int:
    others = [await proc.spawn("sleeps"), await proc.spawn("asks", 1)]
    for pid in others:
        await proc.wait(pid)
    return 1


def test_what_an_endpoint_takes_beyond_is_a_debt_that_stops_all_below_the_account() -> None:
    model = Greedy("m", ModelFeatures())
    SHARDS.append(VirtualShard({"starts": starts, "asks": asks, "sleeps": sleeps}, {"m": model}))
    shard = SHARDS[-1]

    async def live(kernel: Kernel) -> Any:
        pid = shard.spawn(kernel, "starts", budget=FREE)
        apart = shard.spawn(kernel, "sleeps", budget=FREE)
        kernel.exceeding.grant(tree_account(pid), Budget(Bounds(tokens=1_000)), uid=0)
        await passes(10)
        family = [p for p in kernel.table.processes.values() if p.run == pid and p.alive]
        assert len(family) >= 2
        assert all(p.reason == f"budget: tree:{pid} has 0 of 1000 tokens left" for p in family)
        assert kernel.table.require(apart).state is State.RUNNING
        assert kernel.budgets.accounts[tree_account(pid)].debt("tokens") == 4_010
        kernel.exceeding.add(tree_account(pid), Bounds(tokens=5_000), uid=0)
        return (await kernel.operator.wait_ended(pid))["result"]

    assert shard.run(live) == 1


def test_who_stands_below_an_account_is_found_by_its_owner_alone() -> None:
    shard = shard_of()

    async def live(kernel: Kernel) -> None:
        first, second = (shard.spawn(kernel, "many", 3, budget=FREE) for _ in range(2))
        await passes(0.5)
        state = kernel.ledger.state
        for name, pids in (
            (f"process:{first}", {first}),
            (f"run:{second}", {second, *state.table.require(second).children}),
            (f"tree:{first}", {first, *state.table.require(first).children}),
            ("tenant:0", {p.pid for p in state.table.processes.values()}),
            ("tree:99", set[int]()),
        ):
            assert {p.pid for p in below(state, name)} == pids, name

    shard.run(live)


async def looks(proc: Process) -> Any:
    return await proc.calls.budget_read()


async def gives_what(proc: Process, budget: dict[str, Any]) -> Any:
    return (await proc.wait(await proc.calls.process_spawn(":looks", [], budget=budget))).result


MOST = {"tokens": AMOUNT_MAX, "usd": 1e9, "calls": AMOUNT_MAX, "wall_s": AMOUNT_MAX // 1_000, "processor_s": 1e12}


@pytest.mark.parametrize("budget", [MOST, {"wall_s": 1e10}, {"tokens": 0, "calls": 0, "per_minute": {"usd": 0}}])
def test_the_largest_and_the_least_budgets_can_be_looked_at(budget: dict[str, Any]) -> None:
    SHARDS.append(VirtualShard({"looks": looks, "gives_what": gives_what}, {"m": NumbersModel("m", ModelFeatures())}))
    shard = SHARDS[-1]

    async def live(kernel: Kernel) -> Any:
        pid = shard.spawn(kernel, "gives_what", budget, budget=FREE)
        await passes(0.0025)  # while the child lives
        rows = account_rows(kernel.ledger.state, 0, "", None, kernel.now_ns())
        msgspec.json.decode(msgspec.json.encode(rows))
        msgspec.msgpack.encode(rows)
        assert [row.account for row in rows] == ["tree:2"]
        return (await kernel.operator.wait_ended(pid))["result"]

    [row] = shard.run(live)
    assert row["account"] == "tree:2"
    assert row["bounds"].keys() == budget.keys() - {"per_minute"}
