"""Budgets in a whole kernel, in virtual time: nobody spends what it was not given, and who has more goes on."""

from __future__ import annotations

from typing import Any

from prytany.abi import events as ev
from prytany.abi.budgets import RUN_DEFAULT, Bounds, Budget, tree_account
from prytany.abi.errors import KernelError
from prytany.abi.signals import Signal
from prytany.kernel.kernel import Kernel
from prytany.ports.model import ModelFeatures, ModelLimits, ModelRequest
from prytany.process.process import State
from prytany.testing.virtual_shard import NumbersModel, VirtualShard, passes
from prytany.userland.process import Process
from tests.simulation.model_world import check
from tests.simulation.shards import SHARDS
from tests.simulation.sweep import again

FREE = Budget()


class TokenAByte(NumbersModel):
    """Its texts have as many tokens as bytes, and it always says as much as it may."""

    async def chat(self, request: ModelRequest) -> Any:
        """See `NumbersModel`."""
        answer = await super().chat(request)
        size = len(str(request.messages[-1]["content"]).encode())
        usage = type(answer.usage)(size, request.max_tokens)
        return type(answer)(answer.text, "length", usage=usage)


async def child(proc: Process, calls: int) -> int:
    for turn in range(calls):
        await proc.llm(f"10 1000 {proc.pid} {turn} {'x' * (100 * turn)}")  # without max_tokens
    return calls


async def parent(proc: Process, children: int, tokens: int) -> list[int]:
    budget = {"tokens": tokens} if tokens else None
    pids = [await proc.calls.process_spawn(":child", [5], budget=budget) for _ in range(children)]
    return [(await proc.wait(pid)).result for pid in pids]


def shard_of(programs: dict[str, Any] | None = None, concurrency: int = 0) -> VirtualShard:
    model = TokenAByte("m", ModelFeatures(limits=ModelLimits(concurrency)))
    SHARDS.append(VirtualShard({"child": child, "parent": parent, **(programs or {})}, {"m": model}, running_max=200))
    return SHARDS[-1]


def spent(shard: VirtualShard) -> int:
    return sum(event.prompt_tokens + event.completion_tokens for event in shard.events(ev.ModelUsed))


def test_a_hundred_children_spend_no_more_than_their_tree_has_and_go_on_with_more() -> None:
    shard, tokens = shard_of(), 100_000

    async def live(kernel: Kernel) -> None:
        pid = shard.spawn(kernel, "parent", 100, 0, budget=FREE)
        kernel.exceeding.grant(tree_account(pid), Budget(Bounds(tokens=tokens)), uid=0)
        await passes(3_000)
        stopped = [p for p in kernel.table.processes.values() if p.state is State.STOPPED]
        assert len(stopped) == 100
        assert all(p.reason.startswith(f"budget: tree:{pid} has") for p in stopped)
        assert 0.95 < spent(shard) / tokens <= 1
        kernel.exceeding.add(tree_account(pid), Bounds(tokens=1_000_000), uid=0)
        assert (await kernel.operator.wait_ended(pid))["result"] == [5] * 100

    shard.run(live)
    told = [event for event in shard.events(ev.ProcessSignalled) if event.signal == Signal.CHLD]
    assert len(told) == len(shard.events(ev.BudgetExceeded)) == 100
    check(shard)


def crashed_at(seq: int) -> int:
    shard = shard_of(concurrency=2)

    async def live(kernel: Kernel) -> Any:
        if 1 not in kernel.table.processes:
            shard.spawn(kernel, "parent", 3, 3_000, budget=Budget(Bounds(tokens=14_000), Bounds(calls=4)))
        while kernel.table.require(1).alive:
            await passes(200)
            for account, more in (("run:1", 10_000), *((f"tree:{pid}", 4_000) for pid in (2, 3, 4))):
                if account in kernel.budgets.accounts:
                    kernel.exceeding.add(account, Bounds(tokens=more), uid=0)
        return (await kernel.operator.wait_ended(1))["result"]

    with again(crashed_at, seq):
        shard.run(live, seq)
        assert shard.run(live) == [5, 5, 5]
        assert check(shard).lost <= 2
    return len(shard.entries())


def test_budgets_hold_when_a_kernel_stops_at_any_entry() -> None:
    for seq in range(1, crashed_at(0), 3):
        crashed_at(seq)


def test_no_minute_has_more_than_its_bound() -> None:
    shard = shard_of()

    async def live(kernel: Kernel) -> None:
        await kernel.operator.wait_ended(shard.spawn(kernel, "parent", 4, 0, budget=Budget(minute=Bounds(calls=5))))

    shard.run(live)
    times = [
        entry.time_ns for entry in shard.entries() for event in entry.events if isinstance(event, ev.ModelReserved)
    ]
    assert len(times) == 20
    assert all(later - earlier >= 60_000_000_000 for earlier, later in zip(times, times[5:], strict=False))
    assert shard.loop.time() < 60 * 5
    check(shard)


async def idles(proc: Process) -> str:
    await proc.sleep(1_000)
    return "done"


async def breeds(proc: Process, depth: int) -> int:
    """A child that goes on when its parent is gone."""
    if depth:
        await proc.calls.process_spawn(":breeds", [depth - 1])
        return depth
    return await child(proc, 20)


def test_who_spawns_by_one_that_ends_spends_what_its_tree_has_and_no_more() -> None:
    shard = shard_of({"breeds": breeds})

    async def live(kernel: Kernel) -> None:
        top = shard.spawn(kernel, "breeds", 3, budget=FREE)
        kernel.exceeding.grant(tree_account(top), Budget(Bounds(tokens=5_000)), uid=0)
        await passes(2_000)
        last = max(kernel.table.processes)
        assert kernel.table.require(last).state is State.STOPPED
        assert kernel.table.require(last).parent == 0

    shard.run(live)
    assert spent(shard) <= 5_000
    check(shard)


def test_the_time_of_a_budget_is_up_whether_or_not_anything_is_asked() -> None:
    shard = shard_of({"idles": idles})

    async def live(kernel: Kernel) -> Any:
        pid = shard.spawn(kernel, "idles", budget=Budget(Bounds(wall_ms=5_000)))
        await passes(4.9)
        assert kernel.table.require(pid).state is State.RUNNING
        await passes(0.2)
        assert kernel.table.require(pid).reason == f"budget: the time of run:{pid} is up"
        kernel.operator.signal(pid, Signal.CONT, uid=0)
        await passes(0.1)
        return pid

    async def goes_on(kernel: Kernel) -> Any:
        kernel.exceeding.add("run:1", Bounds(wall_ms=10_000_000), uid=0)
        return (await kernel.operator.wait_ended(1))["result"]

    assert shard.run(live) == 1
    assert shard.run(goes_on) == "done"
    check(shard)


async def steps(proc: Process) -> str:
    """Works without a model: a step a second."""
    for _ in range(20):
        await proc.sleep(1)
        await proc.calls.nop(b"step")
    return "done"


def stepped(shard: VirtualShard) -> int:
    return sum(event.call == "nop" for event in shard.events(ev.CallDone))


IS_UP = "budget: the time of run:1 is up"


def test_who_is_continued_after_its_time_was_up_stops_again_at_once_until_there_is_more() -> None:
    shard = shard_of({"steps": steps})

    async def live(kernel: Kernel) -> Any:
        shard.spawn(kernel, "steps", budget=Budget(Bounds(tokens=100, wall_ms=5_500)))
        await passes(6)
        process = kernel.table.require(1)
        assert process.reason == IS_UP
        for _ in range(3):
            kernel.operator.signal(1, Signal.CONT, uid=0)
            await passes(4)
            assert (process.state, process.reason) == (State.STOPPED, IS_UP)
        kernel.exceeding.add("run:1", Bounds(tokens=5), uid=0)
        await passes(4)
        assert process.reason == IS_UP, "what it has more of is not time"
        before = stepped(shard)
        kernel.exceeding.add("run:1", Bounds(wall_ms=1_000), uid=0)
        await passes(4)
        assert process.reason == IS_UP, "nor is that enough: it was up for longer"
        assert stepped(shard) == before <= 6
        kernel.exceeding.add("run:1", Bounds(wall_ms=60_000), uid=0)
        return (await kernel.operator.wait_ended(1))["result"]

    assert shard.run(live) == "done"
    assert stepped(shard) == 20
    check(shard)


def test_who_was_continued_when_no_kernel_ran_or_whose_time_was_up_then_does_not_go_on() -> None:
    shard = shard_of({"steps": steps})

    async def live(kernel: Kernel) -> Any:
        for wall_ms in (5_500, 8_500):
            shard.spawn(kernel, "steps", budget=Budget(Bounds(wall_ms=wall_ms)))
        await passes(6)
        kernel.operator.signal(1, Signal.CONT, uid=0)

    async def goes_on(kernel: Kernel) -> Any:
        await passes(20)
        return [kernel.table.require(pid).reason for pid in (1, 2)]

    shard.run(live)
    shard.loop.run_until_complete(passes(10))
    before = stepped(shard)
    assert shard.run(goes_on) == [IS_UP, IS_UP.replace("1", "2")]
    assert stepped(shard) == before
    check(shard)


def test_who_begins_below_an_account_whose_time_is_up_does_not_begin() -> None:
    shard = shard_of({"steps": steps})

    async def live(kernel: Kernel) -> Any:
        kernel.exceeding.grant("tenant:0", Budget(Bounds(wall_ms=2_000)), uid=0)
        await passes(3)
        shard.spawn(kernel, "steps", budget=Budget())
        await passes(3)
        assert stepped(shard) == 0
        assert kernel.table.require(1).reason == "budget: the time of tenant:0 is up"
        kernel.exceeding.add("tenant:0", Bounds(wall_ms=100_000), uid=0)
        return (await kernel.operator.wait_ended(1))["result"]

    assert shard.run(live) == "done"


def test_what_was_reaped_has_no_account_and_a_run_has_the_default() -> None:
    shard = shard_of()

    async def live(kernel: Kernel) -> None:
        pid = shard.spawn(kernel, "parent", 2, 100_000)
        assert kernel.budgets.accounts[f"run:{pid}"].total == RUN_DEFAULT.total
        await kernel.operator.wait_ended(pid)
        assert list(kernel.budgets.accounts) == [f"run:{pid}"]
        assert not kernel.budgets.held

    shard.run(live)


BAD = [
    {"tokens": -1}, {"tokens": 1.5}, {"tokens": True}, {"tokens": "many"}, {"tokens": None}, {"tokens": 1 << 60},
    {"usd": float("nan")}, {"usd": float("inf")}, {"usd": -0.01}, {"wall_s": 1e300}, {"calls": [1]}, {"what": 1},
    {"per_minute": None}, {"per_minute": {"wall_s": 1}}, {"per_minute": {"tokens": -5}}, {"per_minute": [1]},
    {"per_minute": {"per_minute": {}}}, {"": 1}, {"tokens": (1 << 64) - 1},
]  # fmt: skip
WORSE: list[Any] = [[], "x", 5]
WRONG: list[tuple[str, Any]] = [
    ("agent_schedule", (0, "royal")), ("agent_schedule", (0, "", -1)), ("agent_schedule", (0, "", 1_001)),
    ("agent_schedule", (0, "", 1, -2)), ("agent_schedule", (0, "", 1, 1 << 62)), ("agent_schedule", (999, "utility")),
    ("agent_schedule", (-1,)), ("agent_schedule", (0, None)), ("agent_schedule", (0, "", float("nan"))),
    ("agent_schedule", ("self",)), ("agent_schedule", (1 << 63,)),
]  # fmt: skip


async def errs(proc: Process) -> list[str]:
    said: list[str] = []
    call: Any = proc._call
    spawns: list[tuple[str, Any]] = [
        ("process_spawn", (":child", [0], {}, "", None, 0, None, "", 0, budget)) for budget in BAD
    ]
    spawns += [("process_spawn", (":child", [0], {}, "", None, 0, None, "", 0, budget)) for budget in WORSE]
    for name, arguments in [*spawns, *WRONG]:
        try:
            await call(name, arguments)
            said.append(f"{name}{arguments} was taken")
        except KernelError as error:
            said.append(error.errno)
    return said


def test_what_is_no_budget_and_no_schedule_is_refused_and_changes_nothing() -> None:
    shard = shard_of({"errs": errs})

    async def live(kernel: Kernel) -> Any:
        pid = shard.spawn(kernel, "errs")
        said = (await kernel.operator.wait_ended(pid))["result"]
        assert len(kernel.table.processes) == 1
        assert list(kernel.budgets.accounts) == [f"run:{pid}"]
        return said

    assert set(shard.run(live)) <= {"EINVAL", "ESRCH"}
    assert not shard.events(ev.ProcessScheduled)
    check(shard)
