"""A deadline of a process that is stopped passes as it does while a kernel lives, when the machine went down too."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.signals import Signal
from prytany.drivers.stores.memory import MemoryStore
from prytany.process.process import State
from tests.simulation.looped import looped
from tests.simulation.steered import UID
from tests.simulation.stepped import Life

MINUTE_NS = 60_000_000_000
MINUTE_MS = 60_000


def sleeper(until_ns: int) -> Generator[Any, Any, None]:
    _, said = yield [("timer_wait", until_ns)]
    yield [("process_exit", 0, str(said), None)]


def receiver(until_ns: int) -> Generator[Any, Any, None]:
    _, said = yield [("message_receive", MINUTE_MS)]
    yield [("process_exit", 0, str(said), None)]


def caller(until_ns: int) -> Generator[Any, Any, None]:
    _, pid = yield [("process_spawn", "silent", [], {}, "", None)]
    _, said = yield [("message_call", pid, "x", None, MINUTE_MS)]
    yield [("process_exit", 0, str(said), None)]


def asker(until_ns: int) -> Generator[Any, Any, None]:
    yield [("model_chat", [{"role": "user", "content": "q"}], "", {})]


def silent() -> Generator[Any, Any, None]:
    yield [("timer_wait", 1 << 60)]


PROGRAMS: dict[str, Callable[..., Any]] = {
    "sleeper": sleeper, "receiver": receiver, "caller": caller, "silent": silent, "asker": asker,
}  # fmt: skip


def begun(store: MemoryStore) -> Life:
    life = Life(store, PROGRAMS, 9)
    find = life.kernel.find_program
    life.kernel.find_program = life.kernel.known_program = lambda *a, **k: find(*a, **k)._replace(
        pledge=("ipc", "model", "proc")
    )
    return life


def closed(life: Life, pid: int) -> list[str]:
    entries = (ev.decode_entry(row.record) for row in life.store.reader().rows(1))
    return [e.errno for entry in entries for e in entry.events if isinstance(e, ev.CallClosed) and e.pid == pid]


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("program", "errno"), [("sleeper", ""), ("receiver", "ETIMEDOUT"), ("caller", "ETIMEDOUT")])
@looped
async def test_a_deadline_passes_while_its_process_is_stopped(program: str, errno: str, crash: bool) -> None:
    life = begun(MemoryStore())
    until_ns = life.clock.time_ns + MINUTE_NS
    pid = life.spawn(program, until_ns)
    await life.settled()
    life.kernel.operator.signal(pid, Signal.STOP, uid=UID)
    await life.settled()
    if crash:
        life = begun(await life.stop())
        await life.settled()
    assert closed(life, pid) == []
    life.clock.pass_to(until_ns + MINUTE_NS)
    await life.settled()
    process = life.kernel.table.require(pid)
    assert (process.state, closed(life, pid)) == (State.STOPPED, [errno])
    if program == "receiver":
        life.kernel.operator.send(pid, "late", None, uid=UID)
        assert life.kernel.post.box(pid).waiting, "who has given up waiting is handed nothing"
    life.kernel.operator.signal(pid, Signal.CONT, uid=UID)
    assert (await life.ended(pid))["result"] == (errno or "None")
    assert closed(life, pid) == [errno]
    await life.stop()


@looped
async def test_what_costs_is_not_begun_again_before_its_process_goes_on() -> None:
    life = begun(MemoryStore())
    pid = life.spawn("asker", 0)
    await life.settled()
    life.kernel.operator.signal(pid, Signal.STOP, uid=UID)
    await life.settled()
    life = begun(await life.stop())
    life.model.gate.set()
    await life.settled()
    assert sum(life.model.asked.values()) == 0
    life.kernel.operator.signal(pid, Signal.CONT, uid=UID)
    await life.ended(pid)
    assert sum(life.model.asked.values()) == 1
    await life.stop()
