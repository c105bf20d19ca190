"""A store that is full at any append: the kernel stops, nothing acknowledged is lost, and with room it all goes on."""

from __future__ import annotations

import asyncio

from prytany.abi import events as ev
from prytany.drivers.stores.memory import MemoryStore
from tests.simulation.fleet import Fleet

RESULT = [f"answer to {name} one / answer to {name} two" for name in "abc"]
RESERVE_BYTES = 600
STEP_BYTES = 160


def small_store(capacity_bytes: int) -> MemoryStore:
    return MemoryStore(capacity_bytes=capacity_bytes, reserve_bytes=RESERVE_BYTES)


def with_room(store: MemoryStore) -> MemoryStore:
    larger = MemoryStore()
    reader = store.reader()
    larger.commit(list(reader.rows(1)), list(reader.bodies()))
    return larger


def test_a_kernel_that_finds_no_room_at_any_append_loses_and_doubles_nothing() -> None:
    stopped, capacity_bytes = 0, RESERVE_BYTES
    while True:
        capacity_bytes += STEP_BYTES
        fleet = Fleet()
        fleet.store = small_store(capacity_bytes)
        ended = asyncio.run(fleet.live())
        durable = list(fleet.store.reader().rows(1))
        if ended is None:
            stopped += 1
            assert asyncio.run(fleet.live()) is None, "going on with no more room came to an end"
            asked = fleet.model.asked.total()
            fleet.store = with_room(fleet.store)
            ended = asyncio.run(fleet.live())
            assert ended is not None
            answered = [e for entry in fleet.entries() for e in entry.events if isinstance(e, ev.ModelUsed)]
            assert fleet.model.asked.total() >= asked
            assert len(answered) >= 6
        assert ended["result"] == RESULT, f"{capacity_bytes} bytes"
        assert list(fleet.store.reader().rows(1))[: len(durable)] == durable
        closed = [(e.pid, e.n) for entry in fleet.entries() for e in entry.events if isinstance(e, ev.CallClosed)]
        assert len(closed) == len(set(closed))
        if fleet.store.size_bytes() < capacity_bytes - RESERVE_BYTES:
            break
    assert stopped > 20


def test_a_kernel_without_room_asks_no_model_again() -> None:
    capacity_bytes = RESERVE_BYTES
    while True:
        capacity_bytes += STEP_BYTES
        fleet = Fleet()
        fleet.store = small_store(capacity_bytes)
        asyncio.run(fleet.live())
        asked = fleet.model.asked.total()
        if asked:
            break
    for _ in range(3):
        # What is left of the reserve is smaller than a kernel's first entry: nothing may begin.
        fleet.store._capacity_bytes = fleet.store.size_bytes() + RESERVE_BYTES
        assert asyncio.run(fleet.live()) is None
        assert fleet.model.asked.total() == asked
