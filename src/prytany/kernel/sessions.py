"""Sessions in the kernel: a person is given an agent, and when the session is closed, all that it started ends.

Who attends a session is known while their connection lives, and is no part of the journal. One that is not kept is
closed with the last who says that they go; where the last goes without a word, or the kernel begins and nobody is
there, it waits for its grace time first. Closing is recorded before anything is ended, so the next kernel goes on with
it. When its agent ends, by whatever, the rest of its run is killed and the session closed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.budgets import Budget
from prytany.abi.errors import Eagain, Einval, Enoent, Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.abi.qos import Qos
from prytany.abi.signals import Signal
from prytany.kernel.effects import Outside
from prytany.kernel.fleets import FleetOperator
from prytany.kernel.handlers.process import Decided, ending_events, signal_events
from prytany.kernel.operator import Core as OperatorCore
from prytany.process.process import Process
from prytany.supervision.sessions import Session, Sessions

NOBODY = "nobody was left in it"
LEFT = "left by the last who was in it"
LATE = "killed: it did not end in time"


class Core(OperatorCore, Protocol):
    """The kernel, as sessions see it."""

    outside: Outside
    fleet_operator: FleetOperator
    closing: bool

    def lost(self, task: asyncio.Task[None]) -> None:
        """A task has ended; what it raised stops the kernel."""
        ...


class SessionOperator:
    """What an operator can tell the kernel of sessions, and what happens to them by themselves."""

    def __init__(self, kernel: Core) -> None:
        self._k = kernel
        self.attended: Counter[int] = Counter()
        """By session: how many are there."""
        self._leaving: Counter[int] = Counter()
        """By session: how many of those have said that they go."""
        self._waiting: dict[int, list[asyncio.Future[None]]] = {}
        self._timers: dict[int, asyncio.Task[None]] = {}

    @property
    def _all(self) -> Sessions:
        return self._k.ledger.state.sessions

    def get(self, number: int) -> Session:
        """The session; raises Esrch."""
        session = self._all.sessions.get(number)
        if session is None:
            name = format_pid(Pid(number)) if number > 0 else str(number)
            raise Esrch(f"there is no session {name}, or it has ended and was let go")
        return session

    def ending(self, number: int) -> bool:
        """Whether there is one of that number that is being ended."""
        session = self._all.sessions.get(number)
        return session is not None and bool(session.closing_ns) and not session.closed_ns

    def open(
        self, fleet: int, agent: str, function: str, *, uid: int, user: str, kept: bool, grace_ms: int, model: str = "",
        tags: Sequence[str] = (), budget: Budget | None = None,
    ) -> int:  # fmt: skip
        """Start an agent for somebody to talk with; the session's number, and the process's.

        Args:
            fleet: the number of one that is up.
            agent: its name in the fleet.
            function: of the agent's program, the one that keeps a conversation.
            uid: the operator's.
            user: the name that they give.
            kept: it goes on without them.
            grace_ms: else, how long it waits for somebody who went without a word.
            model, tags, budget: as for `FleetOperator.start`. A person waits for it: its class is interactive.

        Raises:
            Einval: the name or the time have a wrong size.
            Eagain: there are too many sessions, or processes.
            Enoent, Epolicy: as `FleetOperator.start`.
        """
        k = self._k
        if not 0 < len(user.encode("utf-8", "surrogatepass")) <= limits.NAME_BYTES_MAX:
            raise Einval(f"a user's name has 1 to {limits.NAME_BYTES_MAX} bytes")
        if not 0 <= grace_ms <= limits.SESSION_GRACE_MS_MAX:
            raise Einval(f"a session's grace time is from 0 to {limits.SESSION_GRACE_MS_MAX} ms")
        if self._all.live >= limits.SESSIONS_MAX:
            raise Eagain(f"{limits.SESSIONS_MAX} sessions are the most; end one first")
        number = k.table.next_number
        name = k.fleet_operator.get(fleet).name
        opened = ev.SessionOpened(number, uid, user, name, agent, kept, grace_ms)
        k.fleet_operator.start(
            fleet, agent, [], {}, uid=uid, model=model, function=function, tags=tags, more=(opened,),
            qos=Qos.INTERACTIVE, budget=budget,
        )  # fmt: skip
        self._watch(number)
        return number

    @asynccontextmanager
    async def attend(self, number: int) -> AsyncGenerator[asyncio.Future[None]]:
        """Be there; gives what is done when the session is closed. Raises Esrch."""
        session = self.get(number)
        closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.attended[number] += 1
        self._waiting.setdefault(number, []).append(closed)
        if session.closed_ns:
            closed.set_result(None)
        self._watch(number)
        try:
            yield closed
        finally:
            self._gone(number, closed)

    def _gone(self, number: int, closed: asyncio.Future[None]) -> None:
        self._waiting[number].remove(closed)
        for counts in (self.attended, self._leaving):
            if counts[number] > 1:
                counts[number] -= 1
            else:
                del counts[number]
        if not self._waiting[number]:
            del self._waiting[number]
        if not self._k.closing:
            self._watch(number)

    def leave(self, number: int, *, uid: int) -> bool:
        """One of those who attend it goes, and says so; whether that closes it. Raises Esrch."""
        session = self.get(number)
        self._leaving[number] += 1
        left = self.attended[number] - self._leaving[number]
        if not self.attended[number]:
            del self._leaving[number]
        if not session.open or session.kept or left > 0:
            return False
        self.end(number, uid=uid, reason=LEFT)
        return True

    def keep(self, number: int, kept: bool, *, uid: int) -> None:
        """Let it outlive its people, or not. Raises Esrch."""
        session = self._living(number)
        if session.kept != kept:
            self._k.ledger.commit((ev.SessionKept(number, kept, uid),), {})
        self._watch(number)

    def end(self, number: int, *, uid: int, reason: str) -> None:
        """Tell its processes to end, unless they were; they are killed if they take too long. Raises Esrch."""
        if self._living(number).open:
            self._close(number, uid, reason, ev.OperatorCommanded(uid, "end session", number))

    def _close(self, number: int, uid: int, reason: str, *before: ev.Event) -> None:
        k = self._k
        closing = ev.SessionClosing(number, uid, reason)
        root = k.table.require(number)
        events, contents = ending_events(k, root, -1 - uid) if root.alive else ((), ())
        named = {k.digest(content): content for content in contents}
        k.ledger.commit((*before, closing, *events), named, reserve=True)
        for process in self._rest(number):
            self._commit(ending_events(k, process, -1))
        self._watch(number)

    def ended(self, pid: int, reason: str) -> None:
        """A process has ended: if a session began with it, that is closed, with all that is left of it."""
        session = self._all.sessions.get(pid)
        if session is not None and not session.closed_ns:
            self._kill_rest(pid, f"its session {format_pid(Pid(pid))} has ended")
            self._k.ledger.commit(
                (ev.SessionClosed(pid, session.reason or f"its agent ended: {reason}"),), {}, reserve=True
            )
            self._watch(pid)
        for closed in self._waiting.get(pid, ()):
            if not closed.done():
                closed.set_result(None)

    def come_back(self) -> None:
        """Go on with what an earlier kernel left: nobody is there yet, and who was being ended still is."""
        for number, session in list(self._all.sessions.items()):
            if not session.closed_ns:
                process = self._k.table.get(number)
                if process is None or not process.alive:
                    self.ended(number, process.reason if process is not None else "ended")
                else:
                    self._watch(number)

    async def close(self) -> None:
        """Stop; the next kernel goes on."""
        timers = list(self._timers.values())
        for timer in timers:
            timer.cancel()
        await asyncio.gather(*timers, return_exceptions=True)

    def _living(self, number: int) -> Session:
        session = self.get(number)
        if session.closed_ns:
            raise Esrch(f"session {format_pid(Pid(number))} has ended: {session.reason}")
        return session

    def _rest(self, number: int) -> Iterator[Process]:
        """What its agent started and is alive; to look for it takes the whole table, where there is anything."""
        table = self._k.table
        root = table.get(number)
        if root is None or not root.kin:
            return
        for pid in [p.pid for p in table.processes.values() if p.run == number and p.pid != number and p.alive]:
            process = table.get(pid)
            if process is not None and process.alive:  # the end of another may have taken it along
                yield process

    def _kill_rest(self, number: int, reason: str) -> None:
        for process in self._rest(number):
            self._kill(process, reason)

    def _kill(self, process: Process, reason: str) -> None:
        self._commit(signal_events(self._k, process, Signal.KILL, -1, reason))

    def _commit(self, decided: Decided) -> None:
        events, contents = decided
        self._k.ledger.commit(events, {self._k.digest(content): content for content in contents}, reserve=True)

    # Times.

    def _watch(self, number: int) -> None:
        """Let the time run, or no more, by which it is ended, as it stands now."""
        if (timer := self._timers.pop(number, None)) is not None:
            timer.cancel()
        session = self._all.sessions.get(number)
        if session is None or session.closed_ns or self._k.idle or self._k.closing:
            return
        if session.closing_ns:
            self._start(number, session.closing_ns + limits.SESSION_CLOSE_MS * 1_000_000)
        elif not session.kept and not self.attended[number]:
            self._start(number, self._k.now_ns() + session.grace_ms * 1_000_000)

    def _start(self, number: int, until_ns: int) -> None:
        task = self._timers[number] = asyncio.ensure_future(self._run_out(number, until_ns))
        task.add_done_callback(self._k.lost)

    async def _run_out(self, number: int, until_ns: int) -> None:
        await self._k.outside.clock.sleep_until(until_ns)
        session = self._all.sessions.get(number)
        if self._k.closing or session is None or session.closed_ns:
            return
        del self._timers[number]  # this task: what follows may set another
        if session.open:
            self._close(number, session.uid, NOBODY)
            return
        if (root := self._k.table.get(number)) is not None and root.alive:
            self._kill(root, LATE)
        self._kill_rest(number, LATE)


def fleet_up(k: Core, name: str) -> int:
    """The number of the fleet of that name that is up; raises Enoent."""
    found = k.fleets.staying(name)
    if found is None:
        there = ", ".join(sorted(fleet.name for fleet in k.fleets.fleets.values() if fleet.stays)) or "none"
        raise Enoent(f"there is no fleet {name[:100]!r} up; there are {there}")
    return found.number
