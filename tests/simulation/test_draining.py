"""A kernel that drains lets end what is under way, begins nothing, and leaves what the next one goes on with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import pytest

from prytany.abi import control
from prytany.abi import events as ev
from prytany.abi.errors import Eagain
from prytany.drivers.stores.memory import MemoryStore
from prytany.kernel import reactions
from prytany.kernel.draining import BEGINS, Draining, UnderWay
from prytany.ports.model import ModelFailure
from prytany.process.process import State
from prytany.system.desk import Desk, Facts
from prytany.system.fleet.form import Model
from prytany.system.fleet.switched import Opened, SwitchedModel, Terms
from tests.simulation.looped import looped
from tests.simulation.steered import UID, Steered
from tests.simulation.stepped import Life
from tests.simulation.test_tools import UNDISTURBED, home_of, shop, steer

HOUR_NS = 3_600_000_000_000


def chat(text: str) -> tuple[Any, ...]:
    return "model_chat", [{"role": "user", "content": text}], "", {}


def asker(name: str) -> Generator[Any, Any, None]:
    """Asks twice, does something harmless in between, and says what it heard."""
    _, one = yield [chat(f"{name} one")]
    yield [("nop", b"between")]
    _, two = yield [chat(f"{name} two")]
    yield [("process_exit", 0, [one["text"], two["text"]], None)]


def once(name: str) -> Generator[Any, Any, None]:
    _, said = yield [chat(name)]
    yield [("nop", b"after"), ("process_exit", 0, said["text"], None)]


def both(name: str) -> Generator[Any, Any, None]:
    """A frame that holds what is taken, what is not, and what comes after that."""
    yield [chat(name)]
    yield [("nop", b"taken"), chat(f"{name} late"), ("nop", b"dropped")]
    yield [("process_exit", 0, None, None)]


def parent() -> Generator[Any, Any, None]:
    yield [chat("of the parent")]
    _, pid = yield [("process_spawn", "once", ["of the child"], {}, "", None)]
    yield [("process_wait", pid)]
    yield [("process_exit", 0, "both", None)]


def waits() -> Generator[Any, Any, None]:
    yield [("timer_wait", 1 << 62)]


class FailingOnce:
    """Stands in for a life's model, and is overloaded."""

    def __init__(self, life: Life) -> None:
        self.asked = 0
        life.model.chat = self.chat  # type: ignore[method-assign]

    async def chat(self, request: Any) -> Any:
        self.asked += 1
        raise ModelFailure("overloaded", "come again", retryable=True)


PROGRAMS: dict[str, Callable[..., Any]] = {
    "asker": asker, "once": once, "both": both, "parent": parent, "waits": waits,
}  # fmt: skip


def begun(store: MemoryStore, running_max: int = 9) -> Life:
    return Life(store, PROGRAMS, running_max)


def calls_of(store: MemoryStore, pid: int) -> list[str]:
    entries = (ev.decode_entry(row.record) for row in store.reader().rows(1))
    return [e.call for x in entries for e in x.events if isinstance(e, ev.CallOpened | ev.CallDone) and e.pid == pid]


def charges_of(store: MemoryStore) -> list[str]:
    entries = (ev.decode_entry(row.record) for row in store.reader().rows(1))
    return [e.cause for x in entries for e in x.events if isinstance(e, ev.ModelUsed)]


async def drained(life: Life) -> MemoryStore:
    """Let its models answer, and stop when nothing is under way."""
    life.model.gate.set()
    await Draining(life.kernel).until_quiet()
    life.kernel.closing = True
    await life.kernel.close()
    return life.store


@looped
async def test_a_call_under_way_ends_and_is_recorded_and_the_next_is_not_begun() -> None:
    life = begun(MemoryStore())
    pid = life.spawn("asker", "a")
    await life.until(lambda: bool(list(life.kernel.effects.begun())))
    draining = Draining(life.kernel)
    assert draining.under_way() == UnderWay(models=1)
    assert str(draining.under_way()) == "1 call of a model"
    life.model.gate.set()
    await draining.until_quiet()
    assert life.model.asked == {"a one": 1}
    assert calls_of(life.store, pid) == ["model_chat", "nop"]
    again = begun(await life.stop())
    again.model.gate.set()
    assert (await again.ended(pid))["result"] == ["answer to a one", "answer to a two"]
    assert again.model.asked == {"a two": 1}
    assert charges_of(again.store) == ["", ""]
    await again.stop()


@looped
async def test_a_program_whose_model_has_answered_is_let_be_done() -> None:
    life = begun(MemoryStore())
    pid = life.spawn("once", "a")
    await life.until(lambda: bool(list(life.kernel.effects.begun())))
    await drained(life)
    assert life.kernel.table.require(pid).state is State.TERMINATED
    assert calls_of(life.store, pid) == ["model_chat", "nop"]


@looped
async def test_what_follows_a_call_that_is_not_taken_is_not_taken_either() -> None:
    life = begun(MemoryStore())
    pid = life.spawn("both", "a")
    await life.until(lambda: bool(list(life.kernel.effects.begun())))
    store = await drained(life)
    assert calls_of(store, pid) == ["model_chat", "nop"]
    again = begun(store)
    again.model.gate.set()
    assert (await again.ended(pid))["status"] == 0
    assert calls_of(store, pid) == ["model_chat", "nop", "model_chat", "nop"]
    await again.stop()


@looped
async def test_nobody_begins_and_nobody_comes_back_while_it_drains() -> None:
    life = begun(MemoryStore(), running_max=1)
    first, second = life.spawn("asker", "a"), life.spawn("once", "b")
    await life.until(lambda: bool(list(life.kernel.effects.begun())))
    asleep = life.kernel.table.require(second)
    store = await drained(life)
    assert asleep.state is State.READY
    assert life.runner.started == [first]
    again = begun(store)
    again.model.gate.set()
    assert (await again.ended(second))["result"] == "answer to b"
    assert (await again.ended(first))["result"] == ["answer to a one", "answer to a two"]
    await again.stop()


@looped
async def test_a_child_is_not_spawned_and_is_by_the_next_kernel() -> None:
    life = begun(MemoryStore())
    pid = life.spawn("parent")
    await life.until(lambda: bool(list(life.kernel.effects.begun())))
    store = await drained(life)
    assert len(life.kernel.table.processes) == 1
    again = begun(store)
    again.model.gate.set()
    assert (await again.ended(pid))["result"] == "both"
    assert again.model.asked == {"of the child": 1}
    await again.stop()


@looped
async def test_who_only_waits_is_not_waited_for() -> None:
    life = begun(MemoryStore())
    life.spawn("waits")
    await life.settled()
    draining = Draining(life.kernel)
    assert draining.quiet
    assert str(draining.under_way()) == "nothing"
    await life.stop()


@looped
async def test_a_stop_in_the_middle_leaves_the_call_to_the_next_kernel() -> None:
    life = begun(MemoryStore())
    pid = life.spawn("once", "a")
    await life.until(lambda: bool(list(life.kernel.effects.begun())))
    draining = Draining(life.kernel)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await draining.until_quiet()
    assert draining.under_way() == UnderWay(models=1)
    again = begun(await life.stop())
    again.model.gate.set()
    assert (await again.ended(pid))["result"] == "answer to a"
    assert charges_of(again.store) == ["lost", ""]
    await again.stop()


@pytest.mark.parametrize("at", range(1, 22, 2))
@looped
async def test_wherever_it_is_told_nothing_is_asked_twice_and_nothing_is_lost(at: int) -> None:
    store = MemoryStore()
    life = begun(store, running_max=2)
    life.model.gate.set()
    pids = [life.spawn("asker", "a"), life.spawn("parent"), life.spawn("once", "c")]
    await life.kernel.ledger.wait_entry(at - 1)
    await drained(life)
    again = begun(store)
    again.model.gate.set()
    assert [(await again.ended(pid))["result"] for pid in pids] == [
        ["answer to a one", "answer to a two"],
        "both",
        "answer to c",
    ]
    assert set((life.model.asked + again.model.asked).values()) == {1}
    assert set(charges_of(store)) <= {"", "held"}
    await again.stop()


@looped
async def test_an_attempt_that_waits_to_be_made_is_not_made_and_costs_nothing() -> None:
    life = begun(MemoryStore())
    pid = life.spawn("once", "a")
    fails = FailingOnce(life)
    await life.until(lambda: fails.asked == 1 and not list(life.kernel.effects.models._began_ns))
    draining = Draining(life.kernel)
    await draining.until_quiet()
    life.clock.pass_to(life.clock.time_ns + HOUR_NS)
    await life.settled()
    assert (draining.quiet, fails.asked) == (True, 1)
    again = begun(await life.stop())
    again.model.gate.set()
    assert (await again.ended(pid))["result"] == "answer to a"
    assert charges_of(again.store) == ["overloaded", ""]
    await again.stop()


@looped
async def test_calls_that_wait_for_their_turn_at_an_endpoint_are_not_made_and_cost_nothing() -> None:
    life = begun(MemoryStore())
    limited = SwitchedModel(Opened(life.model, Model(driver="scripted"), None, None), Terms(1))
    life.kernel.outside.models[""] = limited
    pids = [life.spawn("once", name) for name in "abc"]
    turns = life.kernel.model_turns
    await life.until(lambda: "" in turns.scheduler.queues and sum(turns.scheduler.queues[""].waiting()) == 2)
    store = await drained(life)
    assert life.model.asked == {"a": 1}
    assert charges_of(store) == [""], "who was not asked has nothing to be charged"
    again = begun(store)
    again.model.gate.set()
    assert [(await again.ended(pid))["status"] for pid in pids[1:]] == [0, 0]
    assert again.model.asked == {"b": 1, "c": 1}
    assert charges_of(store) == ["", "", ""]
    await again.stop()


@looped
async def test_a_call_whose_intent_becomes_durable_while_it_drains_is_not_begun_and_costs_nothing() -> None:
    life = begun(MemoryStore())
    pid = life.spawn("once", "a")
    life.model.gate.set()
    react = life.kernel.reactions.on_opened

    def reacts(entry: Any, event: ev.CallOpened) -> None:
        Draining(life.kernel)
        react(entry, event)

    before, module = dict(reactions._REACTIONS), reactions._REACTIONS
    module[ev.CallOpened] = lambda self, entry, event: reacts(entry, event)
    try:
        await life.until(lambda: life.kernel.draining)
        await life.settled()
    finally:
        module.update(before)
    assert not life.model.asked
    again = begun(await life.stop())
    again.model.gate.set()
    assert (await again.ended(pid))["result"] == "answer to a"
    assert charges_of(again.store) == ["held", ""]
    used = [e for row in again.store.reader().rows(1) for e in ev.decode_entry(row.record).events]
    assert [e.prompt_tokens for e in used if isinstance(e, ev.ModelUsed)] == [0, 3]
    await again.stop()


def test_a_tool_call_under_way_ends_and_no_other_begins() -> None:
    home, tools = home_of(shop=shop)

    async def draining(kernel: Steered) -> None:
        kernel.spawn("shop")
        await kernel.until(lambda: bool(tools.begun))
        await Draining(kernel.kernel).until_quiet()

    async def going_on(kernel: Steered) -> Any:
        return await kernel.ended(1)

    steer(home, draining)
    before = dict(tools.begun)
    assert sum(before.values()) < len(UNDISTURBED)
    assert steer(home, going_on)["result"] == UNDISTURBED
    assert set(tools.begun.values()) == {1}


@pytest.mark.parametrize(
    "command",
    [
        control.StartAgent("f", "a"), control.BringFleet(b""), control.SendMessage(1, "x"), control.UpgradeProcess(1),
        control.SignalProcess(1, 18), control.FreezeAll(thaw=True), control.SettleIncident(1, 1, "retry"),
    ],
    ids=lambda command: type(command).__name__,
)  # fmt: skip
@looped
async def test_an_operator_begins_nothing_either_and_can_look_and_kill(command: control.Command) -> None:
    life = begun(MemoryStore())
    pid = life.spawn("waits")
    await life.settled()
    Draining(life.kernel)
    desk = Desk(life.kernel, Facts("", 1, "", True, 9))
    with pytest.raises(Eagain, match="about to stop"):
        await desk.answer(command, UID)
    await desk.answer(control.GetStatus(), UID)
    await desk.answer(control.SignalProcess(pid, 9), UID)
    assert life.kernel.table.require(pid).state is State.TERMINATED
    await life.stop()


def test_what_begins_something_is_told_by_the_table_of_calls() -> None:
    from prytany.abi.syscalls import SYSCALLS

    assert {call.name for call in SYSCALLS} >= BEGINS
