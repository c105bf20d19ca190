"""A home that is made of a backup: nothing goes on by itself, people are asked, and keys are new."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.drivers.stores.memory import MemoryStore
from prytany.journal.chain import next_hash
from prytany.kernel.effects.tool import call_key
from prytany.kernel.folding import fold
from prytany.kernel.restored import restored_entries
from prytany.ports.store import Row
from prytany.process.process import OpenCall, State
from prytany.userland.process import Process
from tests.simulation.steered import UID, Home, Steered
from tests.simulation.test_tools import home_of, steer
from tests.simulation.tools import CountingTools

ID = b"another home's i"


async def one(proc: Process, name: str) -> Any:
    return await proc.calls.tool_call(name, {"order": "a"})


async def twice(proc: Process) -> Any:
    return [await proc.calls.tool_call("shop.pay", {"order": order}) for order in ("x", "y")]


async def asks(proc: Process) -> Any:
    return await proc.llm("hello")


def restore(store: MemoryStore) -> None:
    """What `restore-home` adds to the journal."""
    reader = store.reader()
    state, head = fold(reader)
    seq, hash_ = head
    for events in restored_entries(state, ID, head.seq, UID):
        record = ev.encode_entry(ev.Entry(state.table.time_ns, events))
        seq, hash_ = seq + 1, next_hash(hash_, record)
        for event in events:
            state.apply(seq, state.table.time_ns, event)
        store.commit([Row(seq, hash_, record, b"")], [])


def opened(*names: str) -> tuple[Home, CountingTools]:
    """A home in which each of these calls of one order is open, when the machine stops."""
    home, tools = home_of(one=one)

    async def begin(kernel: Steered) -> None:
        tools.gate = asyncio.Event()
        for name in names:
            pid = kernel.spawn("one", name)
            await kernel.until(lambda pid=pid: bool(kernel.process(pid).open))  # type: ignore[misc]
        await kernel.until(lambda: tools.begun.total() > 0)

    steer(home, begin)
    tools.gate = None
    return home, tools


def test_all_stands_still_and_what_is_not_pure_is_asked_about_begun_or_not() -> None:
    home, tools = opened("shop.ship", "shop.ship", "shop.pay")
    restore(home.store)
    begun = dict(tools.begun)

    async def look(kernel: Steered) -> None:
        table = kernel.kernel.table
        assert {p.state for p in table.processes.values()} == {State.STOPPED}
        assert sorted(table.incidents) == ["1:doubt:1", "2:doubt:1", "3:doubt:1"]
        kernel.settle(1, 1, "skip")  # the second is next in the queue now
        await kernel.until(lambda: not kernel.process(1).open)
        assert dict(tools.begun) == begun
        kernel.settle(2, 1, "retry")
        await kernel.until(lambda: not kernel.process(2).open)
        assert tools.begun["shop.ship a"] == begun["shop.ship a"] + 1
        assert table.require(2).state is State.STOPPED

    steer(home, look)


def test_a_pure_call_and_a_model_call_go_on_with_their_process_alone() -> None:
    home, tools = opened("shop.look")
    restore(home.store)
    begun = tools.begun.total()

    async def go_on(kernel: Steered) -> Any:
        assert not kernel.kernel.table.incidents
        assert tools.begun.total() == begun
        kernel.kernel.operator.signal(1, 18, uid=UID)
        return await kernel.ended(1)

    assert steer(home, go_on)["result"] == "shop.look a done"
    assert tools.begun.total() == begun + 1


def test_an_open_model_call_is_charged_once_and_asked_again_when_its_process_goes_on() -> None:
    home = Home({"asks": asks})
    home.model.cause = ""
    gate = asyncio.Event()
    chat = home.model.chat

    async def held(request: Any) -> Any:
        home.model.asked += 1
        await gate.wait()

    home.model.chat = held  # type: ignore[method-assign]

    async def begin(kernel: Steered) -> None:
        kernel.spawn("asks")
        await kernel.until(lambda: bool(kernel.kernel.table.processes[1].open))
        while not home.model.asked:  # noqa: ASYNC110
            await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, no time

    steer(home, begin)
    restore(home.store)
    home.model.chat = chat  # type: ignore[method-assign]
    home.model.asked = 0

    async def go_on(kernel: Steered) -> Any:
        assert kernel.process(1).state is State.STOPPED
        kernel.kernel.operator.signal(1, 18, uid=UID)
        return await kernel.ended(1)

    assert steer(home, go_on)["result"] == "opened"
    used = [e.cause for entry in home.entries() for e in entry.events if isinstance(e, ev.ModelUsed)]
    assert (used, home.model.asked) == (["lost", ""], 1)


def test_what_a_person_said_of_the_other_home_is_asked_again() -> None:
    home, tools = opened("shop.ship")

    async def doubt(kernel: Steered) -> None:
        await kernel.incident(1, 1)

    steer(home, doubt)

    async def later() -> None:
        async with home.life(idle=True) as kernel:
            kernel.kernel.idle = True
            kernel.settle(1, 1, "retry")
            await kernel.kernel.ledger.journal.wait_durable(kernel.kernel.ledger.journal.head.seq)

    asyncio.run(later())
    restore(home.store)
    begun = tools.begun.total()

    async def go_on(kernel: Steered) -> None:
        kernel.kernel.operator.signal(1, 18, uid=UID)
        await kernel.until(lambda: kernel.process(1).state is State.RUNNING)
        assert sorted(kernel.kernel.table.incidents) == ["1:doubt:1"]
        assert tools.begun.total() == begun

    steer(home, go_on)


@pytest.mark.parametrize(("seq", "same"), [(5, True), (10, True), (11, False), (12, False)])
def test_what_was_open_before_keeps_its_key_and_what_comes_after_has_its_own(seq: int, same: bool) -> None:
    home, _ = home_of(twice=twice)

    async def begin(kernel: Steered) -> Any:
        process = kernel.process(kernel.spawn("twice"))
        table = kernel.kernel.table
        table.homes[10] = ID
        process.open[1] = OpenCall("tool_call", b"", seq)
        return call_key(process, 1), call_key(process, 1, table.home_at)

    plain, keyed = steer(home, begin)
    assert (plain == keyed) is same
