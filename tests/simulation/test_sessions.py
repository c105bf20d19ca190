"""Sessions: what ends with them, when nobody is left, and after a crash at any entry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.control import SESSION_ENDED
from prytany.abi.errors import Eagain, Einval, Enoent, Esrch, KernelError
from prytany.abi.signals import Signal
from prytany.drivers.stores.memory import MemoryStore
from prytany.kernel.fleets import Agent
from prytany.kernel.outcome import Program
from prytany.kernel.sessions import LEFT, NOBODY, fleet_up
from prytany.supervision.sessions import Session
from tests.simulation.fleet import StoppingStore
from tests.simulation.stepped import Calls, Life

UID = 1234
GRACE_MS = 1_000
MS = 1_000_000
TERMINATED: Calls = [("process_exit", 143, None, {"type": "SIGTERM", "message": "ended by SIGTERM", "traceback": ""})]
"""What a worker says whose program TERM ended."""


def listening() -> Generator[Calls, tuple[int, Any], None]:
    """Answers each message, and ends when it is told to."""
    n, item = yield [("message_receive", 0)]
    while n != -Signal.TERM:
        n, item = yield [("message_done", item["message"], None, f"heard {item['body']}", "")]
        if n == -Signal.TERM:
            break
        n, item = yield [("message_receive", 0)]
    yield TERMINATED


def parent() -> Generator[Calls, tuple[int, Any], None]:
    """Starts another, and ends when it is told to."""
    yield [("process_spawn", ":obedient", [], {}, "", None, 0, None)]
    yield from obedient()


def obedient() -> Generator[Calls, tuple[int, Any], None]:
    """Ends when it is told to."""
    n = 0
    while n != -Signal.TERM:
        n, _ = yield []
    yield TERMINATED


def deaf() -> Generator[Calls, tuple[int, Any], None]:
    """Starts another, and ends when it is killed."""
    yield [("process_spawn", ":still", [], {}, "", None, 0, None)]
    yield from still()


def still() -> Generator[Calls, tuple[int, Any], None]:
    """Hears nothing."""
    while True:
        yield []


def fragile() -> Generator[Calls, tuple[int, Any], None]:
    """Ends at the first word."""
    yield [("message_receive", 0)]
    yield [("process_exit", 1, None, None)]


PROGRAMS = {
    ":listening": listening,
    ":deaf": deaf,
    ":still": still,
    ":parent": parent,
    ":obedient": obedient,
    ":fragile": fragile,
}


def begin(life: Life, function: str = "listening", *, kept: bool = False, grace_ms: int = GRACE_MS) -> int:
    kernel = life.kernel
    program = Program("friend", "friend", b"# friend", ("ipc", "proc"))
    if kernel.fleets.staying("talk") is None:
        agent = Agent("friend", "python", program, spawns=["friend"])
        kernel.fleet_operator.declare("talk", [agent], models={}, tools=[], resolved=b"{}", uid=UID, stays=True)
    fleet = fleet_up(kernel, "talk")
    return kernel.sessions.open(fleet, "friend", function, uid=UID, user="Ada", kept=kept, grace_ms=grace_ms)


def session(life: Life, number: int = 1) -> Session:
    return life.kernel.sessions.get(number)


def living(test: Callable[[Life], Awaitable[Any]], store: MemoryStore | None = None) -> MemoryStore:
    async def run() -> MemoryStore:
        life = Life(store or MemoryStore(), PROGRAMS, 8)
        await test(life)
        return await life.stop()

    return asyncio.run(asyncio.wait_for(run(), 20))


def commands_of(store: MemoryStore) -> list[str]:
    entries = (ev.decode_entry(row.record) for row in store.reader().rows(1))
    return [e.command for x in entries for e in x.events if isinstance(e, ev.OperatorCommanded)]


async def pass_ms(life: Life, ms: int) -> None:
    life.clock.pass_to(life.clock.time_ns + ms * MS)
    await life.settled()


def test_one_that_nobody_attends_is_closed_after_its_grace_time_with_its_agent() -> None:
    async def test(life: Life) -> None:
        number = begin(life)
        await life.settled()
        await pass_ms(life, GRACE_MS // 2)
        assert session(life).open
        await pass_ms(life, GRACE_MS)
        assert (session(life).reason, session(life).open) == (NOBODY, False)
        assert session(life).closed_ns
        ended = await life.ended(number)
        assert (ended["status"], ended["reason"], ended["error"]) == (0, SESSION_ENDED, None)

    store = living(test)
    assert commands_of(store) == ["fleet talk"], "nobody commanded that it ends"


def test_who_attends_keeps_it_and_who_is_gone_without_a_word_is_waited_for() -> None:
    async def test(life: Life) -> None:
        begin(life)
        async with life.kernel.sessions.attend(1), life.kernel.sessions.attend(1):
            await life.settled()
            await pass_ms(life, 10 * GRACE_MS)
            assert session(life).open
        await pass_ms(life, GRACE_MS // 2)
        async with life.kernel.sessions.attend(1):  # back in time
            await pass_ms(life, 10 * GRACE_MS)
            assert session(life).open
        await pass_ms(life, GRACE_MS + 1)
        assert session(life).reason == NOBODY

    living(test)


def test_the_last_who_says_that_they_go_closes_it_and_nobody_before() -> None:
    async def test(life: Life) -> None:
        begin(life)
        sessions = life.kernel.sessions
        async with AsyncExitStack() as first, AsyncExitStack() as second:
            closed = [await first.enter_async_context(sessions.attend(1))]
            closed.append(await second.enter_async_context(sessions.attend(1)))
            assert not sessions.leave(1, uid=UID)
            await second.aclose()
            assert session(life).open
            assert sessions.leave(1, uid=UID)
            await asyncio.wait(closed[:1])
        assert session(life).reason == LEFT
        assert (sessions.attended, sessions._leaving, sessions._waiting) == ({}, {}, {})

    living(test)


def test_one_that_is_kept_waits_for_ever_until_it_is_kept_no_more() -> None:
    async def test(life: Life) -> None:
        begin(life, kept=True)
        sessions = life.kernel.sessions
        async with sessions.attend(1):
            assert not sessions.leave(1, uid=UID)
        await life.settled()
        await pass_ms(life, 1_000 * GRACE_MS)
        assert session(life).open
        sessions.keep(1, False, uid=UID)
        await life.settled()
        await pass_ms(life, GRACE_MS + 1)
        assert not session(life).open

    living(test)


def test_what_does_not_end_in_time_is_killed_with_all_that_it_started() -> None:
    async def test(life: Life) -> None:
        begin(life, "deaf", kept=True)
        await life.until(lambda: 2 in life.kernel.table.running)
        life.kernel.sessions.end(1, uid=UID, reason="enough")
        life.kernel.sessions.end(1, uid=UID, reason="again")  # changes nothing
        await life.settled()
        assert life.kernel.table.require(1).alive
        await pass_ms(life, limits.SESSION_CLOSE_MS + 1)
        assert (await life.ended(1))["signal"] == Signal.KILL
        assert not any(p.alive for p in life.kernel.table.processes.values())
        assert session(life).reason == "enough"
        with pytest.raises(Esrch, match="has ended: enough"):
            life.kernel.sessions.end(1, uid=UID, reason="late")

    living(test)


def test_who_ends_with_the_session_was_not_killed_and_who_was_cut_off_for_it_has_not_succeeded() -> None:
    async def test(life: Life) -> None:
        begin(life, "parent", kept=True)
        await life.until(lambda: 2 in life.kernel.table.running)
        life.kernel.sessions.end(1, uid=UID, reason="enough")
        await life.ended(1)
        await life.settled()

    entries = [ev.decode_entry(row.record) for row in living(test).reader().rows(1)]
    exits = {
        e.pid: (e.status, e.signal, e.reason) for x in entries for e in x.events if isinstance(e, ev.ProcessExited)
    }
    assert exits == {1: (0, 0, SESSION_ENDED), 2: (143, 0, SESSION_ENDED)}


def test_who_is_terminated_by_somebody_was_and_the_session_says_so() -> None:
    async def test(life: Life) -> None:
        begin(life, kept=True)
        await life.settled()
        life.kernel.operator.signal(1, Signal.TERM, uid=UID)
        ended = await life.ended(1)
        assert (ended["status"], ended["reason"]) == (143, "ended by SIGTERM")
        await life.until(lambda: bool(session(life).closed_ns))
        assert session(life).reason == "its agent ended: ended by SIGTERM"

    living(test)


@pytest.mark.parametrize("stopped", [False, True])
def test_one_whose_agent_does_not_run_ends_at_once(stopped: bool) -> None:
    async def test(life: Life) -> None:
        begin(life, kept=True)
        if stopped:
            await life.settled()
            life.kernel.operator.signal(1, Signal.STOP, uid=UID)
        life.kernel.sessions.end(1, uid=UID, reason="enough")
        ended = await life.ended(1)
        assert (ended["status"], ended["signal"], ended["reason"]) == (0, 0, SESSION_ENDED)

    living(test)


def test_the_end_of_its_agent_closes_it_whoever_is_there() -> None:
    async def test(life: Life) -> None:
        begin(life, "fragile", kept=True)
        async with life.kernel.sessions.attend(1) as closed:
            life.kernel.operator.send(1, "say", {"text": "hello"}, uid=UID)
            await closed
        assert session(life).reason == "its agent ended: returned"

    living(test)


def test_when_it_was_last_spoken_in_is_told() -> None:
    async def test(life: Life) -> None:
        begin(life, kept=True)
        await life.settled()
        assert (session(life).spoken_ns, session(life).spoken_seq) == (0, 0)
        life.kernel.operator.send(1, "say", {"text": "hello"}, uid=UID)
        asked_ns = session(life).spoken_ns
        await life.settled()
        assert session(life).begun_ns < asked_ns < session(life).spoken_ns
        (entry,) = [e for e in map(life.kernel.reader.row, [session(life).spoken_seq]) if e is not None]
        assert any(isinstance(e, ev.MessageSent) for e in ev.decode_entry(entry.record).events)

    living(test)


def test_what_cannot_be_opened_or_is_not_there_changes_nothing() -> None:
    async def test(life: Life) -> None:
        begin(life)
        sessions = life.kernel.sessions

        def opening(agent: str = "friend", user: str = "Ada", grace_ms: int = 0) -> None:
            sessions.open(1, agent, "listening", uid=UID, user=user, kept=False, grace_ms=grace_ms)

        for wrong in ({"user": ""}, {"user": "x" * 129}, {"grace_ms": -1}, {"grace_ms": 1 << 60}):
            with pytest.raises(Einval):
                opening(**wrong)
        with pytest.raises(Enoent):
            opening(agent="nobody")
        with pytest.raises(Enoent, match="there are talk"):
            fleet_up(life.kernel, "walk")
        for number in (2, 0, -1, 1 << 80):
            with pytest.raises(Esrch):
                sessions.leave(number, uid=UID)
        assert len(life.kernel.ledger.state.sessions.sessions) == 1

    living(test)


def test_there_are_so_many_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SESSIONS_MAX", 1)

    async def test(life: Life) -> None:
        begin(life, kept=True)
        with pytest.raises(Eagain):
            begin(life)
        life.kernel.sessions.end(1, uid=UID, reason="enough")
        await life.ended(1)
        await life.until(lambda: bool(session(life).closed_ns))
        begin(life)

    living(test)


def test_the_next_kernel_waits_for_its_people_again_and_kills_what_was_told_to_end() -> None:
    async def first(life: Life) -> None:
        begin(life, kept=True)
        begin(life)
        begin(life, "deaf", kept=True)
        await life.until(lambda: 4 in life.kernel.table.running)
        life.kernel.sessions.end(3, uid=UID, reason="enough")

    async def second(life: Life) -> None:
        await life.settled()
        assert session(life, 2).open
        await pass_ms(life, limits.SESSION_CLOSE_MS + 1)
        assert [session(life, n).reason for n in (1, 2, 3)] == ["", NOBODY, "enough"]
        assert [life.kernel.table.require(n).alive for n in (1, 2, 3)] == [True, False, False]

    living(second, living(first))


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_crash_at_any_entry_leaves_nothing_that_runs_for_nobody(after_commit: bool) -> None:
    async def whole(life: Life) -> None:
        try:
            begin(life, "deaf" if stop_at % 2 else "listening")
            await life.settled()
            life.kernel.operator.send(1, "say", {"text": "hello"}, uid=UID)
            await life.settled()
            life.kernel.sessions.end(1, uid=UID, reason="enough")
            await life.settled()
            await pass_ms(life, limits.SESSION_CLOSE_MS + 1)
        except KernelError:
            assert life.failed.done()

    async def after(life: Life) -> None:
        await life.settled()
        await pass_ms(life, GRACE_MS + 1)
        await life.settled()
        await pass_ms(life, limits.SESSION_CLOSE_MS + 1)
        state = life.kernel.ledger.state
        assert not any(p.alive for p in state.table.processes.values())
        assert all(s.closed_ns for s in state.sessions.sessions.values())
        assert state.sessions.live == 0

    stop_at = 1
    while True:
        store = StoppingStore(None, stop_at, after_commit=after_commit)
        living(whole, store)
        stopped = store.reader().head()
        living(after, StoppingStore(store, 0, after_commit=False))
        if stopped is not None and stopped.seq < stop_at - 1:
            break
        stop_at += 1
    assert stop_at > 10
