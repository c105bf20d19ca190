"""What workers take of the processor is recorded once, in steps, and bounded; classes reach workers and places."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from prytany.abi import events as ev
from prytany.abi.budgets import Bounds
from prytany.abi.qos import Qos
from prytany.abi.signals import Signal
from prytany.drivers.stores.memory import MemoryStore
from prytany.kernel.processor import STEP_US
from prytany.process.process import State
from tests.simulation.looped import looped
from tests.simulation.stepped import Life

NEVER_NS = 1 << 60


def asker() -> Generator[Any, Any, None]:
    yield [("model_chat", [{"role": "user", "content": "?"}], "", {})]


def napper(until_ns: int = NEVER_NS) -> Generator[Any, Any, None]:
    yield [("timer_wait", until_ns)]


def parent() -> Generator[Any, Any, None]:
    _, child = yield [("process_spawn", "asker", [], {}, "", None, 0)]
    yield [("process_wait", child)]


PROGRAMS = {"asker": asker, "napper": napper, "parent": parent}


def spawn(life: Life, program: str, *args: Any) -> int:
    return life.kernel.operator.spawn(program, list(args), {}, uid=0, qos=Qos.UTILITY)


def cpu_us(life: Life, pid: int) -> int:
    return life.kernel.table.require(pid).usage.cpu_us


def look(life: Life, **took_us: int) -> None:
    for name, us in took_us.items():
        life.runner.cpu_us[int(name[1:])] = us
    life.kernel.processor.look()


async def asking(count: int = 1, places: int = 9) -> Life:
    """A life in which so many processes ask a model that does not answer."""
    life = Life(MemoryStore(), PROGRAMS, places)
    for _ in range(count):
        spawn(life, "asker")
    await life.settled()
    return life


@looped
async def test_what_is_taken_is_recorded_in_steps_that_grow_and_survives_a_crash() -> None:
    life = await asking()
    look(life, p1=STEP_US - 1)
    assert cpu_us(life, 1) == 0
    look(life, p1=1)
    assert cpu_us(life, 1) == STEP_US
    look(life, p1=100 * STEP_US)
    before = life.kernel.ledger.journal.head.seq
    for _ in range(10):
        look(life, p1=STEP_US)
    assert life.kernel.ledger.journal.head.seq == before
    look(life, p1=STEP_US)
    assert cpu_us(life, 1) == 112 * STEP_US
    await life.settled()
    life = Life(life.store, PROGRAMS, 9)  # the one before never closed
    assert cpu_us(life, 1) == 112 * STEP_US
    await life.stop()


@looped
async def test_the_rest_comes_with_the_end_of_a_worker_however_often_it_was_looked_at() -> None:
    life = await asking()
    look(life, p1=30)
    life.runner.cpu_us[1] = 12
    life.kernel.operator.signal(1, Signal.KILL, uid=0)
    await life.settled()
    assert cpu_us(life, 1) == 42
    look(life)
    await life.settled()
    assert cpu_us(life, 1) == 42
    await life.stop()


@looped
async def test_who_takes_more_than_its_budget_stops_with_the_reason_and_nobody_else() -> None:
    life = await asking(2)
    life.kernel.note((ev.BudgetGranted("process:1", Bounds(processor_ms=2_000)),))
    look(life, p1=2_000_000, p2=9_000_000)
    assert life.kernel.table.require(1).state is State.RUNNING
    look(life, p1=1)
    assert life.kernel.table.require(1).state is State.STOPPED
    assert life.kernel.table.require(1).reason == "budget: process:1 has used its 2 s of processor"
    assert life.kernel.table.require(2).state is State.RUNNING
    await life.settled()
    assert life.kernel.ledger.state.budgets.accounts["process:1"].processor_us == 2_000_001
    assert (cpu_us(life, 1), cpu_us(life, 2)) == (2_000_001, 9_000_000)
    life.kernel.note((ev.BudgetAdded("process:1", Bounds(processor_ms=1_000), -1),))
    life.kernel.operator.signal(1, Signal.CONT, uid=0)
    await life.settled()
    look(life, p1=900_000)
    assert life.kernel.table.require(1).state is State.RUNNING
    await life.stop()


@looped
async def test_who_goes_on_without_more_of_a_budget_is_stopped_again() -> None:
    life = await asking()
    life.kernel.note((ev.BudgetGranted("process:1", Bounds(processor_ms=0)),))
    look(life, p1=1)
    await life.settled()
    life.kernel.operator.signal(1, Signal.CONT, uid=0)
    await life.settled()
    look(life)
    assert life.kernel.table.require(1).state is State.STOPPED
    await life.stop()


@looped
async def test_a_tree_is_charged_for_children_that_are_gone_and_stops_as_one() -> None:
    life = Life(MemoryStore(), PROGRAMS, 9)
    root = spawn(life, "parent")
    life.kernel.note((ev.BudgetGranted(f"tree:{root}", Bounds(processor_ms=1_000)),))
    await life.settled()
    life.runner.cpu_us[2] = 700_000
    life.model.gate.set()
    await life.ended(root)
    await life.settled()
    assert life.kernel.table.get(2) is None
    assert life.kernel.ledger.state.budgets.accounts[f"tree:{root}"].processor_us == 700_000
    assert life.kernel.table.require(root).below.cpu_us == 700_000
    await life.stop()


@looped
async def test_two_that_share_a_budget_are_stopped_by_what_both_took() -> None:
    life = Life(MemoryStore(), PROGRAMS, 9)
    for _ in range(2):
        spawn(life, "asker")
    await life.settled()
    life.kernel.note((ev.BudgetGranted("tenant:0", Bounds(processor_ms=1_000)),))
    look(life, p1=600_000, p2=600_000)
    assert [life.kernel.table.require(pid).state for pid in (1, 2)] == [State.STOPPED, State.STOPPED]
    assert life.kernel.ledger.state.budgets.accounts["tenant:0"].processor_us == 1_200_000
    await life.stop()


def scheduled(life: Life, pid: int, qos: Qos) -> None:
    life.kernel.note((ev.ProcessScheduled(pid, int(qos), 1, 0, -1),))


@looped
async def test_a_worker_is_started_in_its_class_and_weighs_what_changes_say() -> None:
    life = await asking()
    scheduled(life, 1, Qos.BACKGROUND)
    await life.settled()
    assert life.runner.classes == [(1, Qos.UTILITY)]
    assert life.runner.weighed == [(1, Qos.BACKGROUND)]
    assert life.kernel.places.of_class(Qos.BACKGROUND) == 1
    store = await life.stop()
    life = Life(store, PROGRAMS, 9)
    await life.settled()
    assert life.runner.classes == [(1, Qos.BACKGROUND)]
    await life.stop()


@looped
async def test_who_cannot_be_given_more_weight_has_another_worker_when_something_comes_for_it() -> None:
    life = Life(MemoryStore(), PROGRAMS, 9)
    spawn(life, "napper", 1_000)
    await life.settled()
    life.runner.lowest = int(Qos.UTILITY)
    scheduled(life, 1, Qos.INTERACTIVE)
    await life.settled()
    assert 1 not in life.runner.alive
    life.clock.pass_to(1_000)
    assert (await life.ended(1))["status"] == 0
    assert life.runner.classes == [(1, Qos.UTILITY), (1, Qos.INTERACTIVE)]
    await life.stop()


@looped
async def test_who_works_keeps_the_worker_that_it_has_until_it_waits() -> None:
    life = await asking()
    life.runner.lowest = int(Qos.UTILITY)
    scheduled(life, 1, Qos.INTERACTIVE)
    await life.settled()
    assert 1 in life.runner.alive
    await life.stop()


@looped
async def test_where_places_are_scarce_the_urgent_begin_first_also_after_a_crash() -> None:
    life = Life(MemoryStore(), PROGRAMS, 1)
    pids = [spawn(life, "asker") for _ in range(5)]
    await life.settled()
    assert life.runner.started == [1]
    for pid, qos in zip(pids[1:], (Qos.BACKGROUND, Qos.UTILITY, Qos.INTERACTIVE, Qos.INITIATED), strict=True):
        scheduled(life, pid, qos)
    await life.settled()
    store = await life.stop()
    life = Life(store, PROGRAMS, 1)
    life.model.gate.set()
    for pid in pids:
        await life.ended(pid)
    assert life.runner.started == [4, 5, 1, 3, 2]
    await life.stop()


@looped
async def test_a_class_with_a_bound_leaves_places_free_for_the_others() -> None:
    life = Life(MemoryStore(), PROGRAMS, 3)
    life.kernel.places.bounds[int(Qos.UTILITY)] = 1
    pids = [spawn(life, "asker") for _ in range(3)]
    await life.settled()
    assert life.runner.started == [1]
    scheduled(life, pids[2], Qos.INITIATED)
    await life.settled()
    assert life.runner.started == [1, 3]
    life.model.gate.set()
    await life.ended(2)
    await life.stop()
