"""Bytes a second: which file and tool calls begin now, and which wait for their turn at a rate.

A rate is an agent's, or that of its whole fleet, as its file declares them, for all their processes and what they
spawn together: whoever starts more of itself gets no more. Whose turn it is at them, `scheduling.flow` says. That a
call waits is an event in the entry that opens it, and that it does no longer is another; so it is seen where processes
are listed, gives its place up meanwhile, and waits on after a crash. The queue itself is not recorded: it is the open
calls that wait, in the order of their entries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, Protocol, cast

from prytany.abi import events as ev
from prytany.abi.values import pack
from prytany.ports.clock import Clock
from prytany.process.process import Process, State
from prytany.process.table import Table
from prytany.scheduling.flows import Flows, Rated, Standing
from prytany.scheduling.sharing import Wanted
from prytany.supervision.fleets import Fleets

WRITING = "file_write"
"""The call whose result is nothing that flows."""


class Owner(Protocol):
    """The kernel, as paced calls see it."""

    closing: bool

    @property
    def fleets(self) -> Fleets:
        """What operators declared that agents are."""
        ...

    @property
    def table(self) -> Table:
        """The process table."""
        ...

    def now_ns(self) -> int:
        """The kernel's time."""
        ...

    def arguments(self, process: Process, n: int) -> Any:
        """The arguments of an open call; None when it is closed for want of them."""
        ...

    def note(self, events: tuple[ev.Event, ...]) -> None:
        """Record events."""
        ...

    def lost(self, task: asyncio.Task[None]) -> None:
        """A task has ended; what it raised stops the kernel."""
        ...


class Paced:
    """See the module."""

    def __init__(self, clock: Clock, owner: Owner) -> None:
        self._clock = clock
        self._k = owner
        self._flows = Flows()
        self._timer: asyncio.Task[None] | None = None
        self._until_ns = 0

    def ask(self, process: Process, n: int, taken: Any, *, brings: bool) -> tuple[ev.Event, ...]:
        """What is recorded of a call that takes `taken`: nothing where it begins now. Asked once, when it is opened.

        Args:
            process: whose it is.
            n: its number.
            taken: what flows with it: bytes, or what is packed for a tool.
            brings: whether its result is counted.
        """
        rated = self._rated(process)
        if rated is None:
            return ()
        wanted = Wanted(size_of(taken), brings, process.weight)
        begins = self._flows.ask(rated, (process.pid, n), wanted, self._k.now_ns())
        self._set_timer()
        return () if begins else (ev.CallPaced(process.pid, n, True),)

    def brought(self, pid: int, n: int, value: bytes) -> None:
        """An effect has its result, or its error. Costs a look where nobody has a rate."""
        if self._flows and self._flows.settle((pid, n), len(value), self._k.now_ns()):
            self._release()

    def left(self, pid: int, n: int) -> None:
        """A call has ended."""
        if self._flows:
            self._flows.leave(pid, n, self._k.now_ns())
            self._set_timer()

    def left_all(self, pid: int) -> None:
        """A process has ended, or begun again."""
        if self._flows:
            self._flows.leave_all(pid, self._k.now_ns())
            self._set_timer()

    def changed(self) -> None:
        """A fleet or an agent has another rate."""
        if self._flows:
            self._flows.change(self._rates_of, self._k.now_ns())
            self._release()

    def scheduled(self, process: Process) -> None:
        """It has another class or weight: so have its calls that wait."""
        if not self._flows:
            return
        now_ns = self._k.now_ns()
        for n in self._flows.waiting_of(process.pid):
            self._flows.leave(process.pid, n, now_ns)
            if n in process.open:
                self._wait(process, n, now_ns)
        self._release()

    def stopped(self, pid: int) -> None:
        """A process was stopped: what of it waits does so no longer, until it goes on; else its turn would come
        meanwhile, and all that stood still would begin at once."""
        if not self._flows:
            return
        for n in self._flows.waiting_of(pid):
            self._flows.leave(pid, n, self._k.now_ns())
        self._set_timer()

    def go_on(self, process: Process, n: int) -> None:
        """Open call `n` waits again, if it does not."""
        if not self._flows.has(process.pid, n):
            self._wait(process, n, self._k.now_ns())
            self._release()

    def standing(self, pid: int, n: int) -> Standing | None:
        """What a call waits for; None where it does not wait here."""
        return self._flows.standing(pid, n, self._k.now_ns())

    def come_back(self) -> None:
        """What waited when the last kernel ended waits on, in order."""
        going = (p for p in self._k.table.processes.values() if p.state is not State.STOPPED)
        waited = [(call.seq, p, n) for p in going for n, call in p.open.items() if call.paced]
        now_ns = self._k.now_ns()
        for _, process, n in sorted(waited, key=lambda one: one[0]):
            self._wait(process, n, now_ns)
        self._release()

    async def close(self) -> None:
        """Stop; the next kernel goes on."""
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.gather(self._timer, return_exceptions=True)

    def _wait(self, process: Process, n: int, now_ns: int) -> None:
        if (args := self._k.arguments(process, n)) is not None:
            rated = self._rated(process) or Rated(None, None, 0, 0, process.qos)
            wanted = Wanted(size_of(taken_by(args)), process.open[n].call != WRITING, process.weight)
            self._flows.wait(rated, (process.pid, n), wanted, now_ns)

    def _rated(self, process: Process) -> Rated | None:
        """Who it belongs to, with their rates; None where there are none. Costs a look where it is of no fleet."""
        member = self._k.fleets.members.get(process.pid)
        if member is None:
            return None
        fleet = self._k.fleets.fleets[member.fleet]
        agent = fleet.agents.get(member.agent)
        agent_rate = agent.bytes_per_second if agent is not None else 0
        if not (agent_rate or fleet.bytes_per_second):
            return None
        return Rated(member.fleet, member.agent, fleet.bytes_per_second, agent_rate, process.qos)

    def _rates_of(self, number: Hashable) -> tuple[int, Callable[[Hashable], int]]:
        """A fleet's rate, and its agents' by name; none where it is gone."""
        fleet = self._k.fleets.fleets.get(cast("int", number))
        if fleet is None:
            return 0, lambda name: 0
        agents = fleet.agents
        return fleet.bytes_per_second, lambda name: agents[str(name)].bytes_per_second if name in agents else 0

    def _release(self) -> None:
        """Let those begin whose turn it is."""
        if self._k.closing:
            return
        due = self._flows.due(self._k.now_ns())
        table = self._k.table
        events: list[ev.Event] = []
        for pid, n in due:
            process = table.get(pid)
            call = process.open.get(n) if process is not None else None
            if call is not None and call.paced:
                events.append(ev.CallPaced(pid, n, False))
        if events:
            self._k.note(tuple(events))
        self._set_timer()

    def _set_timer(self) -> None:
        """One for all of them, for the first."""
        until_ns = self._flows.next_ns()
        if (
            until_ns is None
            or self._k.closing
            or (self._timer is not None and not self._timer.done() and self._until_ns <= until_ns)
        ):
            return
        if self._timer is not None and self._timer is not asyncio.current_task():
            self._timer.cancel()
        self._until_ns = until_ns
        self._timer = asyncio.get_running_loop().create_task(self._wake(until_ns))
        self._timer.add_done_callback(self._k.lost)

    async def _wake(self, until_ns: int) -> None:
        await self._clock.sleep_until(until_ns)
        self._timer = None
        self._release()


def taken_by(args: Any) -> Any:
    """What of a call's arguments flows: what a tool is given, or what is written."""
    return getattr(args, "arguments", None) or getattr(args, "data", b"")


def size_of(taken: Any) -> int:
    """Bytes of that."""
    return len(taken) if isinstance(taken, bytes) else len(pack(taken))
