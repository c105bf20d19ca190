"""Turns at models in a whole kernel, in virtual time: crashes at every entry, refusals, breakers, stand-ins, routes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from prytany.abi import events as ev
from prytany.abi.budgets import Bounds, Budget
from prytany.abi.errors import Emodel, Eperm
from prytany.abi.qos import Qos
from prytany.abi.signals import Signal
from prytany.kernel.kernel import Kernel
from prytany.ports.model import ModelFailure, ModelFeatures, ModelLimits, ModelRoute
from prytany.testing.limiters import LIMITERS, MINUTE_NS
from prytany.testing.model_traffic import Provider
from prytany.testing.virtual_shard import NumbersModel, VirtualShard, passes
from prytany.userland.process import Process
from tests.simulation.model_world import check
from tests.simulation.shards import SHARDS
from tests.simulation.sweep import again

FREE = Budget()


class Ill(NumbersModel):
    """Fails with `kind` while it is set, at most so many `times`."""

    kind = ""
    retry_after_ms: int | None = None
    times = 1_000

    def fails(self, question: str) -> None:
        """See `NumbersModel`."""
        if self.kind and self.times:
            self.times -= 1
            raise ModelFailure(self.kind, "ill", retryable=True, retry_after_ms=self.retry_after_ms)


async def asks(proc: Process, name: str, calls: int = 2) -> list[str]:
    return [await proc.llm(f"10 100 {name} {turn}", max_tokens=200) for turn in range(calls)]


async def whoever(proc: Process, name: str) -> str:
    return (await proc.chat(f"10 50 {name}", max_tokens=60)).model


def shard_of(*models: NumbersModel, **programs: Any) -> VirtualShard:
    SHARDS.append(VirtualShard({"asks": asks, "whoever": whoever, **programs}, {m.name: m for m in models}))
    return SHARDS[-1]


def limited(name: str = "m", concurrency: int = 1, **said: Any) -> ModelFeatures:
    return ModelFeatures(limits=ModelLimits(concurrency, **said))


def spawn_all(shard: VirtualShard, count: int, program: str = "asks", **named: Any) -> Callable[[Kernel], Any]:
    async def live(kernel: Kernel) -> list[Any]:
        roots = [p.pid for p in kernel.table.processes.values() if p.pid == p.run]
        for number in range(len(roots), count):
            roots.append(shard.spawn(kernel, program, f"agent {number}", **named))
        return [(await kernel.operator.wait_ended(pid))["result"] for pid in roots]

    return live


def begun(shard: VirtualShard) -> list[int]:
    return [event.pid for event in shard.events(ev.ModelReserved)]


# Crashes.


def crashed_at(seq: int) -> tuple[VirtualShard, NumbersModel]:
    model = NumbersModel("m", limited())
    shard = shard_of(model)
    with again(crashed_at, seq):
        shard.run(spawn_all(shard, 3), seq)
        ended = shard.run(spawn_all(shard, 3))
        assert ended == [[f"10 100 agent {number} {turn}" for turn in range(2)] for number in range(3)]
        attempts = check(shard)
        assert attempts.lost <= 1
        spent = sum(e.prompt_tokens + e.completion_tokens for e in shard.events(ev.ModelUsed) if e.cause != "lost")
        assert spent == 6 * 110
        assert all(count <= 2 for count in model.asked.values())
        assert sum(model.asked.values()) <= 6 + 1
    return shard, model


def test_a_kernel_that_stops_at_any_entry_loses_no_call_and_asks_none_twice_that_waited() -> None:
    left_alone, model = crashed_at(0)
    assert model.most == 1
    entries = len(left_alone.entries())
    lost = 0
    for seq in range(1, entries):
        shard, model = crashed_at(seq)
        lost += any(event.cause == "lost" for event in shard.events(ev.ModelUsed))
        assert model.most == 1
    assert lost > 3


def test_what_waited_comes_back_in_the_order_of_its_intent() -> None:
    shard = shard_of(NumbersModel("m", limited(policy="first_come")))

    async def crash(kernel: Kernel) -> None:
        for number in range(6):
            shard.spawn(kernel, "asks", f"agent {number}", 1)
        await passes(1)

    shard.run(crash)
    opened = [event.pid for event in shard.events(ev.CallOpened) if event.call == "model_chat"]
    before = len(begun(shard))
    shard.run(spawn_all(shard, 6))
    assert begun(shard)[before:] == opened  # the one under way was lost, and is the first again
    check(shard)


def test_an_attempt_that_is_not_begun_when_its_process_is_stopped_twice_in_a_moment_is_charged_once() -> None:
    shard = shard_of(NumbersModel("m", limited()))

    async def crash(kernel: Kernel) -> None:
        shard.spawn(kernel, "asks", "agent 0", 1)
        await passes(0.5)
        kernel.operator.signal(1, Signal.STOP, uid=0)
        await passes(0.5)

    async def live(kernel: Kernel) -> None:
        for signal in (Signal.CONT, Signal.STOP, Signal.CONT):
            kernel.operator.signal(1, signal, uid=0)
        await kernel.operator.wait_ended(1)

    shard.run(crash)
    shard.run(live)
    assert [event.cause for event in shard.events(ev.ModelUsed)] == ["lost", ""]
    check(shard)


class Timed(Ill):
    """Knows when it was asked, in seconds."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.at: list[tuple[str, float]] = []

    async def chat(self, request: Any) -> Any:
        """See `NumbersModel`."""
        self.at.append((str(request.messages[-1]["content"]).split(" ", 2)[2], asyncio.get_running_loop().time()))
        return await super().chat(request)


STOPS = [[(10, 10.5)], [(10, 10.5), (12, 12.5), (14, 14.5)], [(10, 80)]]


@pytest.mark.parametrize("stops", STOPS, ids=str)
def test_a_pause_before_a_further_attempt_is_not_cut_short_by_who_stops_and_goes_on(
    stops: list[tuple[float, float]],
) -> None:
    model = Timed("m", limited())
    model.kind, model.retry_after_ms = "unreachable", 60_000
    shard = shard_of(model)

    async def live(kernel: Kernel) -> Any:
        pid, now = shard.spawn(kernel, "asks", "first", 1), 0.0
        for stop, cont in stops:
            await passes(stop - now)
            kernel.operator.signal(pid, Signal.STOP, uid=0)
            model.kind = ""
            await passes(cont - stop)
            kernel.operator.signal(pid, Signal.CONT, uid=0)
            now = cont
        other = shard.spawn(kernel, "asks", "second", 1)
        await kernel.operator.wait_ended(other)
        return (await kernel.operator.wait_ended(pid))["result"]

    assert shard.run(live) == ["10 100 first 0"]
    first, again_ = (at for name, at in model.at if name == "first 0")
    assert max(60, stops[-1][1] - 1) < again_ - first < max(75, stops[-1][1] + 15)
    assert (model.at[1][0] == "second 0") == (stops[-1][1] < 60), "nobody waits behind who pauses"
    check(shard)


def test_who_is_killed_in_the_pause_before_a_further_attempt_leaves_nothing() -> None:
    model = Timed("m", limited())
    model.kind, model.retry_after_ms = "unreachable", 60_000
    shard = shard_of(model)

    async def live(kernel: Kernel) -> Any:
        pid = shard.spawn(kernel, "asks", "first", 1)
        await passes(10)
        for signal in (Signal.STOP, Signal.CONT, Signal.KILL):
            kernel.operator.signal(pid, signal, uid=0)
        model.kind = ""
        await passes(100)
        other = shard.spawn(kernel, "asks", "second", 1)
        return (await kernel.operator.wait_ended(other))["result"]

    assert shard.run(live) == ["10 100 second 0"]
    assert [name for name, _ in model.at] == ["first 0", "second 0"]
    check(shard)


# Who is killed, cancelled or begins again.


@pytest.mark.parametrize("after_s", [0.0005, 0.0012, 0.002, 0.0021, 0.5, 2.0015, 2.5])
def test_who_is_killed_leaves_its_place_to_the_next(after_s: float) -> None:
    model = NumbersModel("m", limited())
    shard = shard_of(model)

    async def live(kernel: Kernel) -> list[Any]:
        pids = [shard.spawn(kernel, "asks", f"agent {number}", 1) for number in range(3)]
        await passes(after_s)
        for pid in pids[:2]:
            if kernel.table.require(pid).alive:
                kernel.operator.signal(pid, Signal.KILL, uid=0)
        return [(await kernel.operator.wait_ended(pid))["result"] for pid in pids]

    assert shard.run(live)[2] == ["10 100 agent 2 0"]
    check(shard)
    assert model.most == 1


# Refusals.


@pytest.mark.parametrize("tell", [True, False])
@pytest.mark.parametrize("kind", sorted(LIMITERS))
def test_a_provider_that_allows_less_than_was_said_slows_everybody_and_loses_no_call(kind: str, tell: bool) -> None:
    provider = Provider([("requests", LIMITERS[kind](40, MINUTE_NS, 1))], 8, 1_000_000, tell=tell, counts_refused=True)
    model = NumbersModel("m", ModelFeatures(limits=ModelLimits(8, requests_per_minute=120)), provider)
    shard = shard_of(model)
    ended = shard.run(spawn_all(shard, 40, budget=FREE))
    assert all(len(answers) == 2 for answers in ended)
    assert provider.answered == 80
    assert (kind != "fixed") <= provider.refused < 45
    assert shard.loop.time() < 300
    check(shard)
    refused = [event for event in shard.events(ev.ModelUsed) if event.cause]
    assert {event.cause for event in refused} <= {"rate_limited"}
    assert sum(event.prompt_tokens + event.completion_tokens for event in refused) == 0


def test_a_refusal_counts_as_no_attempt_and_takes_no_call_of_a_budget() -> None:
    model = Ill("m", limited())
    model.kind, model.retry_after_ms = "rate_limited", 1_000
    shard = shard_of(model)

    async def live(kernel: Kernel) -> Any:
        pid = shard.spawn(kernel, "asks", "agent", 1, budget=Budget(Bounds(calls=1)))
        await passes(30)
        model.kind = ""
        return (await kernel.operator.wait_ended(pid))["result"]

    assert shard.run(live) == ["10 100 agent 0"]
    assert sum(model.asked.values()) > 5
    check(shard)


# Breakers, stand-ins and routes.


def chained() -> tuple[Ill, Ill, Ill]:
    able = ModelFeatures(json_schema=True)
    said = msgspec.structs.replace
    return (
        Ill("m", said(able, limits=ModelLimits(1), fallback=("plain", "b", "c"))),
        Ill("b", said(able, limits=ModelLimits(1))),
        Ill("c", said(able, limits=ModelLimits(2))),
    )


async def objects(proc: Process, name: str) -> str:
    return (await proc.chat(f"10 50 {name}", max_tokens=60, schema={"type": "object"})).text


def test_stand_ins_take_over_what_waits_and_what_comes_and_lack_nothing() -> None:
    m, b, c = chained()
    plain = Ill("plain", limited())
    m.kind = "unreachable"
    shard = shard_of(m, b, c, plain, objects=objects)
    assert all(shard.run(spawn_all(shard, 12, "objects")))
    assert not plain.asked
    assert sum(m.asked.values()) <= 8  # the breaker opens at five
    used = {event.model for event in shard.events(ev.ModelUsed) if not event.cause}
    assert used <= {"b", "c"}
    check(shard)


def test_who_can_be_without_goes_to_the_plain_one_and_the_record_says_so() -> None:
    m, b, c = chained()
    plain = Ill("plain", limited())
    m.kind = "unreachable"
    shard = shard_of(m, b, c, plain)
    assert set(shard.run(spawn_all(shard, 4, "whoever"))) == {"plain"}


def test_a_chain_is_followed_to_its_end_and_then_it_is_emodel() -> None:
    m, b, c = chained()
    m.kind = b.kind = "unreachable"

    async def tries(proc: Process, name: str) -> str:
        try:
            return await proc.llm(f"10 50 {name}", max_tokens=60, schema={"type": "object"})
        except Emodel as error:
            return str(error.detail["cause"])

    shard = shard_of(m, b, c, tries=tries)
    assert shard.run(spawn_all(shard, 1, "tries")) == ["10 50 agent 0"]
    assert {event.endpoint for event in shard.events(ev.ModelUsed) if not event.cause} == {"c"}
    assert [sum(model.asked.values()) for model in (m, b, c)] == [4, 4, 1]
    c.kind = "unreachable"
    assert shard.run(spawn_all(shard, 2, "tries"))[1] == "unreachable"
    check(shard)


def test_one_that_opened_the_breaker_does_not_wait_for_it() -> None:
    m, b, c = chained()
    m.kind = "overloaded"  # a refusal: it would be made again for ever
    shard = shard_of(m, b, c)
    assert len(shard.run(spawn_all(shard, 3))) == 3
    assert shard.loop.time() < 60
    check(shard)


@pytest.mark.parametrize(("kind", "after_ms", "asked_most"), [
    ("rate_limited", 3_600_000, 1), ("overloaded", 3_600_000, 1), ("overloaded", 1_000, 8), ("rate_limited", None, 8),
])  # fmt: skip
def test_one_that_wants_to_be_left_alone_for_long_is_stood_in_for(
    kind: str, after_ms: int | None, asked_most: int
) -> None:
    m, b, c = chained()
    m.kind, m.retry_after_ms, m.times = kind, after_ms, 20
    shard = shard_of(m, b, c, objects=objects)
    assert len(shard.run(spawn_all(shard, 6, "objects"))) == 6
    assert shard.loop.time() < 120
    assert sum(m.asked.values()) <= asked_most
    assert {event.endpoint for event in shard.events(ev.ModelUsed) if not event.cause} <= {"b", "c"}
    check(shard)


def test_a_pause_within_a_minute_is_waited_for_and_so_is_a_long_one_where_nobody_stands_in() -> None:
    m, b, c = chained()
    alone = Ill("m", limited())
    for model, models, after_ms in ((m, (m, b, c), 20_000), (alone, (alone,), 3_600_000)):
        model.kind, model.retry_after_ms, model.times = "rate_limited", after_ms, 1
        shard = shard_of(*models)
        assert shard.run(spawn_all(shard, 1, "whoever")) == ["m"]
        assert shard.loop.time() >= after_ms / 1_000
        check(shard)


def test_a_crash_between_one_and_its_stand_in_changes_nothing() -> None:
    def crashed(seq: int) -> int:
        m, b, c = chained()
        m.kind = b.kind = "unreachable"
        shard = shard_of(m, b, c, objects=objects)
        with again(crashed, seq):
            shard.run(spawn_all(shard, 2, "objects"), seq)
            assert shard.run(spawn_all(shard, 2, "objects")) == ["10 50 agent 0", "10 50 agent 1"]
            check(shard)
        return len(shard.entries())

    for seq in range(1, crashed(0), 2):
        crashed(seq)


@pytest.mark.parametrize(("qos", "size", "spent", "to"), [
    (Qos.UTILITY, 10, 0, "m"), (Qos.BACKGROUND, 10, 0, "cheap"), (Qos.UTILITY, 3_000, 0, "long"),
    (Qos.UTILITY, 10, 900, "cheap"),
])  # fmt: skip
def test_routes_go_by_class_size_and_budget(qos: Qos, size: int, spent: int, to: str) -> None:
    routes = (
        ModelRoute("cheap", (Qos.BACKGROUND,)), ModelRoute("long", prompt_min=2_000),
        ModelRoute("cheap", budget_below_permille=500),
    )  # fmt: skip
    models = [NumbersModel("m", ModelFeatures(routes=routes)), *(NumbersModel(n, limited()) for n in ("cheap", "long"))]

    async def goes(proc: Process, name: str) -> str:
        if spent:
            await proc.llm(f"{spent} 1 x", max_tokens=1)
        return (await proc.chat(f"10 50 {'x' * size}", max_tokens=60)).model

    shard = shard_of(*models, goes=goes)
    budget = Budget(Bounds(tokens=1_700 if spent else 1_000_000))
    assert shard.run(spawn_all(shard, 1, "goes", qos=qos, budget=budget)) == [to]
    assert [event.model for event in shard.events(ev.ModelUsed)][-1] == to


# Who changes the order.


async def changes(proc: Process, name: str) -> list[Any]:
    said: list[Any] = []
    schedule = proc.calls.agent_schedule
    for qos in ("interactive", "background", "utility"):
        try:
            said.append((await schedule(qos=qos))["qos"])
        except Eperm:
            said.append("EPERM")
    child = await proc.calls.process_spawn(":asks", ["child", 0])
    for pid, qos in ((child, "interactive"), (child, "background")):
        try:
            said.append((await schedule(pid, qos))["qos"])
        except Eperm:
            said.append("EPERM")
    await proc.wait(child)
    return said


def test_nobody_rises_above_what_it_was_started_with_nor_raises_a_child() -> None:
    shard = shard_of(NumbersModel("m", limited()), changes=changes)
    said = shard.run(spawn_all(shard, 1, "changes", qos=Qos.UTILITY))
    assert said == [["EPERM", "background", "utility", "EPERM", "background"]]


def test_one_that_waits_is_put_before_others_when_its_class_is_raised() -> None:
    shard = shard_of(NumbersModel("m", limited()))

    async def live(kernel: Kernel) -> None:
        pids = [shard.spawn(kernel, "asks", f"agent {number}", 1) for number in range(5)]
        await passes(0.5)
        kernel.ledger.commit((ev.ProcessScheduled(pids[4], Qos.INTERACTIVE, 1, 0, -1),), {})
        for pid in pids:
            await kernel.operator.wait_ended(pid)

    shard.run(live)
    assert begun(shard)[:2] == [1, 5]
    check(shard)
