"""A conversation of three agents, stopped at every append: no message is lost, and none is worked on again once it was
done. They choose what they receive, call each other by name, and wait for room in each other's mailboxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.kernel.folding import fold_from_start
from prytany.kernel.kernel import Kernel
from prytany.testing.virtual_shard import VirtualShard
from prytany.userland.process import Process
from prytany.userland.server import Server

ORDERS = 3
EXPECTED = {"stored": [f"order {n}" for n in range(ORDERS)], "told": ORDERS, "late": "closed"}


class Store(Server):
    """Keeps what it is told, and fails once at one of them."""

    state: list[str] = []  # noqa: RUF012 it is copied

    async def on_keep(self, what: str) -> int:
        if what == "order 2" and self.message.attempt == 1:
            raise ValueError("once")
        self.state.append(what)
        await self.proc.send("root", "told", what=what)
        return len(self.state)

    async def on_all(self) -> list[str]:
        return self.state


async def clerk(proc: Process) -> None:
    """Hands orders on, each when it is done with the one before, and closes when it is told to."""
    for _ in range(ORDERS):
        order = await proc.receive(type="order")
        await proc.call("store", "keep", wait=True, what=order.body["what"])
        await order.done("kept")
    last = await proc.receive(type="close", sender=proc.parent, fields={"now": True})
    await last.done("closed")


async def root(proc: Process) -> dict[str, Any]:
    store = await proc.spawn("Store", name="store", restarts=5)
    pid = await proc.spawn("clerk", name="clerk")
    await proc.send("clerk", "close", wait=True, now=False)
    for n in range(ORDERS):
        await proc.send("clerk", "order", wait=True, what=f"order {n}")
    told = 0
    for _ in range(ORDERS):
        message = await proc.receive(type="told")
        told += 1
        await message.done()
    late = await proc.call(pid, "close", wait=True, now=True)
    stored = await proc.call(store, "all")
    await proc.wait(pid)
    await proc.kill(store, 9)
    await proc.wait(store)
    return {"stored": stored, "told": told, "late": late}


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that senders wait."""
    monkeypatch.setattr(limits, "MAILBOX_MESSAGES_MAX", 3)


def shard() -> VirtualShard:
    return VirtualShard({"root": root, "clerk": clerk, "Store": Store}, {}, pledge=("ipc", "proc"))


def lived(world: VirtualShard, stop_at: int = 0) -> Any:
    """One life: what the root left, or None where it stopped before."""

    async def to_its_end(kernel: Kernel) -> Any:
        pid = 1 if kernel.table.get(1) is not None else world.spawn(kernel, "root")
        return await kernel.operator.wait_ended(pid)

    return world.run(to_its_end, stop_at)


def events_of(world: VirtualShard) -> Iterator[ev.Event]:
    """All that is in its journal."""
    return (event for entry in world.entries() for event in entry.events)


def faults(events: Iterable[ev.Event]) -> Iterator[str]:
    """What the events of a conversation say that must not be."""
    sent: set[int] = set()
    done: dict[int, int] = {}
    for event in events:
        match event:
            case ev.MessageSent() | ev.MessageHeld():
                if event.number in sent:
                    yield f"message {event.number} was sent twice"
                sent.add(event.number)
            case ev.MessageTaken() if event.number in done:
                yield f"message {event.number} was taken after it was done"
            case ev.MessageDone() if event.number:
                done[event.number] = done.get(event.number, 0) + 1
            case ev.MessageDead() if event.reason != "ended":
                yield f"message {event.number} is dead: {event.reason}"
            case _:
                pass
    yield from (f"message {number} was done {times} times" for number, times in done.items() if times > 1)
    unfinished = sent - done.keys()
    if len(unfinished) != 1:  # the close that nobody asked for
        yield f"{sorted(unfinished)} were not done"


def test_a_conversation_stopped_at_any_append_loses_no_message_and_does_none_twice() -> None:
    whole = shard()
    try:
        assert lived(whole)["result"] == EXPECTED
        assert not list(faults(events_of(whole)))
        entries = len(whole.entries())
        held = {type(e) for e in whole.events(ev.MessageHeld, ev.MessageAdmitted, ev.MessageAwaited, ev.ProcessFailed)}
        assert len(held) == 4  # else it does not try what it is there for
    finally:
        whole.loop.close()
    for stop_at in range(1, entries):
        world = shard()
        try:
            assert lived(world, stop_at) is None
            ended = lived(world)
            assert ended["result"] == EXPECTED, stop_at
            assert not list(faults(events_of(world))), stop_at
            post = fold_from_start(world.store.reader()).state.post
            assert not any((post.lines.of, post.lines.senders, post.lines.due, post.choosy)), stop_at
        finally:
            world.loop.close()


@pytest.mark.parametrize("every", [3, 5])
def test_it_ends_as_well_where_every_life_is_short(every: int) -> None:
    world = shard()
    try:
        stop_at, ended = every, None
        for _ in range(200):
            ended = lived(world, stop_at)
            if ended is not None:
                break
            stop_at += every
        assert ended is not None
        assert ended["result"] == EXPECTED
        assert not list(faults(events_of(world)))
    finally:
        world.loop.close()
