"""G5 in small: a server and two callers, and the kernel stops at every append, before and after it, and goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import KernelError
from prytany.kernel.folding import fold
from prytany.kernel.ledger import TENANT
from prytany.kernel.record import read_record
from prytany.ports.model import ModelAnswer, ModelRequest
from prytany.userland.process import Process
from prytany.userland.server import Server
from tests.simulation.fleet import CountingModel, Fleet


class Ledger(Server):
    """Keeps what it was told, by sender, and asks the model once a message."""

    state: dict[str, list[str]] = {}  # noqa: RUF012 each activation has its own copy

    async def on_keep(self, what: str) -> int:
        answer = await self.proc.llm(what)
        mine = self.state.setdefault(str(self.message.sender), [])
        mine.append(answer.removeprefix("answer to "))
        return len(mine)

    async def on_tell(self) -> dict[str, list[str]]:
        return self.state


async def caller(proc: Process, server: int, name: str) -> list[int]:
    await proc.send(server, "keep", what=f"{name}0")
    return [await proc.call(server, "keep", what=f"{name}{turn}") for turn in (1, 2)]


async def main(proc: Process) -> Any:
    server = await proc.spawn(Ledger)
    callers = [await proc.spawn(caller, server, name) for name in "ab"]
    said = [(await proc.wait(pid)).result for pid in callers]
    kept = await proc.call(server, "tell")
    await proc.kill(server, 9)
    return [said, sorted(kept.values())]


PROGRAMS = {"main": main, "caller": caller, "Ledger": Ledger}
EXPECTED = [[[2, 3], [2, 3]], [["a0", "a1", "a2"], ["b0", "b1", "b2"]]]


def fleet() -> Fleet:
    return Fleet("main", PROGRAMS)


def events(fleet: Fleet, kind: type) -> list[Any]:
    return [e for entry in fleet.entries() for e in entry.events if isinstance(e, kind)]


def undisturbed() -> Fleet:
    alone = fleet()
    ended = asyncio.run(alone.live())
    assert ended is not None
    assert ended["result"] == EXPECTED
    return alone


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_kernel_that_stops_at_any_append_loses_no_message_and_works_on_none_twice(after_commit: bool) -> None:
    head = undisturbed().store.reader().head()
    assert head is not None
    for stop_at in range(2, head.seq + 1):
        stopped = fleet()
        asyncio.run(stopped.live(stop_at, after_commit=after_commit))
        done = {e.number for e in events(stopped, ev.MessageDone)}
        asked = stopped.model.asked.copy()
        ended = asyncio.run(stopped.live())
        assert ended is not None, f"stopped at {stop_at}"
        assert ended["result"] == EXPECTED, f"stopped at {stop_at}"
        sent = [e.number for e in events(stopped, ev.MessageSent)]
        assert sent == list(range(1, 8)), f"stopped at {stop_at}"
        finished = [e.number for e in events(stopped, ev.MessageDone) if e.number]
        assert sorted(finished) == sent, f"a message was finished twice or never; stopped at {stop_at}"
        closed = [(e.pid, e.n) for e in events(stopped, ev.CallClosed)]
        assert len(closed) == len(set(closed)), f"a reply came twice; stopped at {stop_at}"
        # What was finished is not begun again: at most the one question that was open is asked again.
        assert sum((stopped.model.asked - asked).values()) <= 6 - len(done - {0}) + 1, f"stopped at {stop_at}"
        assert all(count <= 2 for count in stopped.model.asked.values())


def test_a_server_s_record_begins_again_at_each_message() -> None:
    alone = fleet()
    head = undisturbed().store.reader().head()
    assert head is not None
    asyncio.run(alone.live(head.seq - 6))
    state, _ = fold(alone.store.reader())
    server = next(p for p in state.table.processes.values() if p.name == "Ledger")
    done = [e for e in events(alone, ev.MessageDone) if e.pid == server.pid]
    assert server.base == done[-1].n
    assert server.snapshot == done[-1].state
    cut = next(
        number
        for number, entry in enumerate(alone.entries(), 1)
        if any(e is done[-1] or e == done[-1] for e in entry.events)
    )
    assert server.cut_seq == cut


class Fragile(Server):
    """Fails at some messages."""

    state: list[str] = []  # noqa: RUF012 the same

    async def on_keep(self, what: str) -> list[str]:
        self.state.append(what)
        if what == "poison":
            raise ValueError("no")
        if what == "hard" and self.message.attempt < 3:
            raise ValueError("not yet")
        return self.state


async def poisoner(proc: Process, restarts: int) -> list[Any]:
    server = await proc.spawn(Fragile, restarts=restarts)
    said: list[Any] = []
    for what in ("one", "hard", "poison", "two"):
        try:
            said.append(await proc.call(server, "keep", what=what))
        except KernelError as error:
            said.append([error.errno, error.detail.get("cause")])
    await proc.kill(server, 9)
    said.append((await proc.wait(server)).signal)
    return said


def test_a_failed_server_comes_back_with_its_last_state_and_the_message_in_hand() -> None:
    alone = Fleet("root", {"root": lambda proc: poisoner(proc, 5), "Fragile": Fragile})
    ended = asyncio.run(alone.live())
    assert ended is not None
    assert ended["result"] == [["one"], ["one", "hard"], ["EPIPE", "attempts"], ["one", "hard", "two"], 9]
    assert [e.incarnation for e in events(alone, ev.ProcessFailed)] == [2, 3, 4, 5, 6]
    assert [(e.receiver, e.reason) for e in events(alone, ev.MessageDead)] == [(2, "attempts")]


def test_a_server_out_of_restarts_ends_and_its_callers_are_told() -> None:
    async def root(proc: Process) -> list[Any]:
        server = await proc.spawn(Fragile, restarts=1)
        said: list[Any] = []
        for what in ("poison", "late"):
            try:
                await proc.call(server, "keep", what=what)
            except KernelError as error:
                said.append(error.errno)
        ended = await proc.wait(server)
        return [*said, ended.status, ended.error["type"] if ended.error else None]

    alone = Fleet("root", {"root": root, "Fragile": Fragile})
    ended = asyncio.run(alone.live())
    assert ended is not None
    assert ended["result"] == ["EPIPE", "ESRCH", 1, "ValueError"]


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_kernel_that_stops_while_a_server_is_restarted_goes_on_with_the_restart(after_commit: bool) -> None:
    programs = {"root": lambda proc: poisoner(proc, 5), "Fragile": Fragile}
    alone = Fleet("root", programs)
    asyncio.run(alone.live())
    expected = [["one"], ["one", "hard"], ["EPIPE", "attempts"], ["one", "hard", "two"], 9]
    for stop_at in range(2, len(alone.entries()) + 1):
        stopped = Fleet("root", programs)
        asyncio.run(stopped.live(stop_at, after_commit=after_commit))
        ended = asyncio.run(stopped.live())
        assert ended is not None, f"stopped at {stop_at}"
        assert ended["result"] == expected, f"stopped at {stop_at}"
        assert len(events(stopped, ev.ProcessFailed)) == 5


async def rounds(proc: Process) -> list[str]:
    told: list[str] = proc.state or []
    if len(told) == 3:
        return told
    answer = await proc.llm(f"round {len(told)}")
    await proc.exec([*told, answer])
    raise AssertionError("exec came back")


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_kernel_that_stops_around_an_exec_goes_on_in_the_history_that_is_durable(after_commit: bool) -> None:
    programs = {"rounds": rounds}
    alone = Fleet("rounds", programs)
    ended = asyncio.run(alone.live())
    expected = [f"answer to round {turn}" for turn in range(3)]
    assert ended is not None
    assert ended["result"] == expected
    assert alone.model.asked.total() == 3
    for stop_at in range(2, len(alone.entries()) + 1):
        stopped = Fleet("rounds", programs)
        asyncio.run(stopped.live(stop_at, after_commit=after_commit))
        ended = asyncio.run(stopped.live())
        assert ended is not None, f"stopped at {stop_at}"
        assert ended["result"] == expected, f"stopped at {stop_at}"
        assert stopped.model.asked.total() <= 4, f"stopped at {stop_at}"
        assert len(events(stopped, ev.ProcessExeced)) == 3


class Busy(Server):
    state: int = 0

    async def on_add(self) -> int:
        await self.proc.nop()
        self.state += 1
        return self.state


def test_coming_back_after_many_messages_replays_one_activation() -> None:
    async def root(proc: Process) -> int:
        server = await proc.spawn(Busy)
        total = 0
        for _ in range(300):
            total = await proc.call(server, "add")
        return total

    alone = Fleet("root", {"root": root, "Busy": Busy})
    asyncio.run(alone.live(1_200))
    process = alone.table().processes[2]
    *_, record = read_record(alone.store.reader(), TENANT, 2, process.tail, process.cut_seq, process.cut_ns)
    assert record is not None
    assert process.usage.calls > 500
    assert len(record.asked) <= 3
    ended = asyncio.run(alone.live())
    assert ended is not None
    assert ended["result"] == 300


class Stuck(CountingModel):
    """Never answers what is lost."""

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        if request.messages[-1]["content"] == "lost":
            self.asked["lost"] += 1
            await asyncio.get_running_loop().create_future()
        return await super().chat(request)


@pytest.mark.parametrize("how", ["exec", "fail"])
def test_a_history_that_ends_within_a_model_call_gives_its_reservation_back(how: str) -> None:
    async def root(proc: Process) -> str:
        if proc.state is not None or proc.history.incarnation > 1:
            return await proc.llm("found")

        async def ask() -> None:
            await proc.llm("lost")

        lost = asyncio.ensure_future(ask())
        for _ in range(20):
            await proc.nop()
        if how == "exec":
            await proc.exec(1)
        raise ValueError(str(lost))

    async def outer(proc: Process) -> Any:
        pid = await proc.spawn("inner", restarts=1)
        return (await proc.wait(pid)).result

    alone = Fleet("outer", {"outer": outer, "inner": root})
    alone.model = Stuck()
    ended = asyncio.run(alone.live())
    assert ended is not None
    assert ended["result"] == "answer to found"
    assert alone.model.asked == {"lost": 1, "found": 1}
    below = alone.table().processes[1].below
    assert (below.reserved_prompt_tokens, below.reserved_completion_tokens, below.model_calls) == (0, 0, 2)
    assert [e.cause for e in events(alone, ev.ModelUsed)] == ["cancelled", ""]
