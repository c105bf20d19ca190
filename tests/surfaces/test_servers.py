"""Servers in real confined workers: replay within an activation, upgrades, exec, and a worker that dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prytany.abi import events as ev
from prytany.abi.errors import KernelError
from prytany.system.shard import Shard

PROGRAM = """
import asyncio, os, random, uuid
from prytany import Process, Server, agent

class Counter(Server):
    pledge = "ipc"
    state: int = 0

    async def on_add(self, n: int) -> int:
        print(f"adding {n}")
        loop = asyncio.get_running_loop()
        leftover = asyncio.ensure_future(asyncio.sleep(1000))
        for step in range(3):
            seen = [random.random(), uuid.uuid4().hex, str(uuid.uuid1()), loop.time(), os.urandom(4).hex()]
            await self.proc.nop(repr(seen).encode())
        self.state += n
        return self.state

    async def on_die(self) -> None:
        os._exit(3)

@agent(pledge="ipc proc")
async def main(proc):
    counter = await proc.spawn(Counter, restarts=2)
    said = [await proc.call(counter, "add", n=n) for n in (1, 2, 3)]
    try:
        await proc.call(counter, "die")
    except OSError:
        pass
    except Exception as error:
        said.append(error.errno)
    said.append(await proc.call(counter, "add", n=0))  # the message is put aside, and it goes on
    await proc.kill(counter)
    said.append((await proc.wait(counter)).status)
    return said

@agent(pledge="ipc proc")
async def rounds(proc, most):
    state = proc.state or {"round": 0, "seen": []}
    state["seen"].append(uuid.uuid4().hex)
    if state["round"] == most:
        return [state["round"], len(set(state["seen"])), proc.pid]
    sleeping = asyncio.ensure_future(asyncio.sleep(1000))
    await proc.nop()
    await proc.exec({**state, "round": state["round"] + 1})
"""


async def lives(home: Path, target: str, stop: Callable[[ev.Event], bool], args: list[Any]) -> tuple[Any, int]:
    """Run `target` in one kernel after the other, each closed at the first event that `stop` picks; and how many."""
    count, seen = 0, 0
    while True:
        count += 1
        stopped = asyncio.get_running_loop().create_future()

        def watch(seq: int, time_ns: int, events: Any, stopped: Any = stopped) -> None:
            nonlocal seen
            if any(isinstance(event, ev.IncidentOpened) for event in events) and not stopped.done():
                stopped.set_exception(AssertionError("a replay went another way than what was recorded"))
            if seq > seen and any(stop(event) for event in events) and not stopped.done():
                seen = seq
                stopped.set_result(None)

        shard = await Shard.open(home, {}, watch=watch, unconfined=False)
        try:
            if not shard.kernel.table.processes:
                shard.kernel.operator.spawn(target, args, {}, uid=0)
            ended = asyncio.ensure_future(shard.kernel.operator.wait_ended(1))
            await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return ended.result(), count
            ended.cancel()
            stopped.result()
        finally:
            await shard.close()


def test_an_activation_is_replayed_to_the_same_calls_from_the_last_state(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    nops = iter((False, True, False, False, False, True, False, False, True) + (False,) * 100)

    def stop(event: ev.Event) -> bool:
        return isinstance(event, ev.CallDone) and event.call == "nop" and next(nops)

    ended, count = asyncio.run(lives(tmp_path / "home", f"{program}:main", stop, []))
    assert ended["result"] == [1, 3, 6, "EPIPE", 6, 143]
    assert count >= 3, "it was stopped in the middle; what it still does while its kernel closes is not stopped at"
    assert (tmp_path / "home" / "logs" / "2.log").read_text().split("\n")[:3] == ["adding 1", "adding 2", "adding 3"]


def test_exec_begins_again_with_a_state_and_other_randomness(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    execs = iter((False, True, False, False))
    ended, count = asyncio.run(
        lives(tmp_path / "home", f"{program}:rounds", lambda e: isinstance(e, ev.ProcessExeced) and next(execs), [3])
    )
    assert ended["result"] == [3, 4, 1]
    assert count == 2


OLD = """
from prytany import Server, agent

class Names(Server):
    pledge = "ipc"
    state: list[str] = []

    async def on_add(self, name: str) -> list[str]:
        self.state.append(name)
        return self.state

@agent(pledge="ipc proc")
async def main(proc):
    names = await proc.spawn(Names)
    said = []
    while (order := await proc.receive()).body["name"] != "stop":
        said.append(await proc.call(names, "add", name=order.body["name"]))
        await order.done()
    return said
"""
NEW = """
from prytany import Server

class Names(Server):
    pledge = "ipc"
    version = 1
    state: dict[str, int] = {}

    @classmethod
    def migrate(cls, state, version):
        assert version == 0
        return {name: len(name) for name in state}

    async def on_add(self, name: str) -> dict[str, int]:
        self.state[name] = len(name)
        return self.state
"""
BROKEN = NEW.replace("assert version == 0", "raise ValueError('no way')")


async def upgraded(folder: Path) -> tuple[Any, list[ev.Event]]:
    """A server is moved while it works: to a broken version, to a new one in another file, and to what it runs."""
    program = folder / "program.py"
    program.write_text(OLD)
    seen: list[ev.Event] = []
    news = asyncio.Event()

    def watch(seq: int, time_ns: int, events: Any) -> None:
        seen.extend(events)
        news.set()

    async def until(found: Callable[[], bool]) -> None:
        while not found():
            news.clear()
            await news.wait()

    def count(kind: type, pid: int) -> int:
        return sum(isinstance(e, kind) and getattr(e, "pid", getattr(e, "receiver", 0)) == pid for e in seen)

    shard = await Shard.open(folder / "home", {}, watch=watch)
    operator = shard.kernel.operator
    try:
        assert operator.spawn(f"{program}:main", [], {}, uid=0) == 1
        operator_says = ["ada", "grace", "stop"]
        operator.send(1, "order", {"name": operator_says[0]}, uid=0)
        await until(lambda: count(ev.MessageDone, 2) == 2 and count(ev.MessageDone, 1) == 1)
        program.write_text(OLD + BROKEN)
        operator.upgrade(2, uid=0)
        await until(lambda: count(ev.ProcessReverted, 2) == 1)
        assert shard.kernel.table.require(2).program == f"{program}:Names"
        (folder / "other.py").write_text(NEW)
        operator.upgrade(2, f"{folder}/other.py:Names", uid=0)
        operator.send(1, "order", {"name": operator_says[1]}, uid=0)
        operator.send(1, "order", {"name": operator_says[2]}, uid=0)
        ended = await operator.wait_ended(1)
        assert shard.kernel.table.require(2).program == f"{folder}/other.py:Names"
        try:
            operator.upgrade(2, uid=0)
        except KernelError as error:
            return [ended["result"], error.errno], seen
        return None, seen
    finally:
        await shard.close()


def test_a_server_moves_to_new_code_between_messages_and_stays_where_that_cannot_take_its_state(tmp_path: Path) -> None:
    said, seen = asyncio.run(upgraded(tmp_path))
    assert said == [[["ada"], {"ada": 3, "grace": 5}], "EINVAL"]
    assert [e.kind for e in seen if isinstance(e, ev.IncidentOpened)] == ["upgrade"]
