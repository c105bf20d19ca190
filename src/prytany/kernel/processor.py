"""Processor time: what workers take is recorded while they take it, and who goes beyond a budget stops.

A look reads the clocks of the workers that have a place, since no other takes any. It is recorded in steps that grow
with what a process took, so that an hour of it costs as many entries as a minute does; and at once where a budget is
passed. What is not recorded when the kernel dies is lost: at most `STEP_US` and a tenth, and never over a minute. What
a worker took since the last look comes with its end.

A budget bounds what is folded (`Account.processor_us`); a process overruns it by at most a look, for each processor
that it uses.
"""

from __future__ import annotations

from typing import Protocol

from prytany.abi import events as ev
from prytany.abi.budgets import process_account
from prytany.kernel.accounts import accounts_of
from prytany.kernel.exceeding import exceeded
from prytany.kernel.ledger import Ledger
from prytany.kernel.live import Live
from prytany.kernel.models.turns import ModelTurns
from prytany.kernel.places import Places
from prytany.kernel.workers import Workers
from prytany.ports.clock import Clock
from prytany.process.process import Process, State
from prytany.process.table import Table
from prytany.scheduling.spending import processor_breach
from prytany.supervision.fleets import NO_MEMBER

LOOK_NS = 500_000_000
STEP_US = 1_000_000
STEP_US_MAX = 60_000_000
SHARE = 10
"""A process's step is one such part of what is recorded of it."""


class Core(Protocol):
    """The kernel, as this sees it."""

    ledger: Ledger
    places: Places
    workers: Workers
    model_turns: ModelTurns
    closing: bool

    @property
    def table(self) -> Table:
        """The process table."""
        ...

    def now_ns(self) -> int:
        """Its time."""
        ...


class Processor:
    """What was taken and is not recorded yet, by pid."""

    def __init__(self, kernel: Core) -> None:
        self._k = kernel
        self._taken_us: dict[int, int] = {}

    async def watch(self, clock: Clock) -> None:
        """Look from time to time, for as long as the kernel lives."""
        while not self._k.closing:
            await clock.sleep_until(self._k.now_ns() + LOOK_NS)
            self.look()

    def begun(self, process: Process) -> None:
        """Its worker is where it stands: from here on it takes time, which may end up when it is known no more."""
        if (live := self._k.workers.live.get(process.pid)) is not None:
            state = self._k.ledger.state
            live.accounts, live.agent = accounts_of(state, process), state.fleets.members.get(live.pid, NO_MEMBER).agent

    def look(self) -> None:
        """Read the clocks of whoever works, record what is due, and stop who took more than it may."""
        if self._k.closing:
            return
        seen: list[tuple[Process, Live, int]] = []
        more_us: dict[str, int] = {}
        for pid in self._k.places.held():
            live, process = self._k.workers.live.get(pid), self._k.table.get(pid)
            if live is None or live.worker is None or process is None or process.epoch != live.epoch:
                continue
            taken_us = self._taken_us.pop(pid, 0) + live.worker.take_cpu_us()
            live.accounts = accounts_of(self._k.ledger.state, process)
            seen.append((process, live, taken_us))
            for account in live.accounts:
                more_us[account] = more_us.get(account, 0) + taken_us
        events: list[ev.Event] = []
        for process, live, taken_us in seen:
            breach = processor_breach(self._k.ledger.state.budgets, live.accounts, more_us)
            if taken_us and (breach is not None or taken_us >= _step_us(process)):
                events.append(ev.ProcessAccounted(process.pid, process.run, taken_us, list(live.accounts)))
            elif taken_us:
                self._taken_us[process.pid] = taken_us
            if breach is not None and process.state is State.RUNNING:
                events += exceeded(self._k.table, process, breach)
        if events:
            self._k.ledger.commit(tuple(events), {}, reserve=any(isinstance(e, ev.ProcessPaused) for e in events))

    def ended(self, live: Live, cpu_us: int) -> None:
        """A worker is gone, which took `cpu_us` more than was told."""
        taken_us = self._taken_us.pop(live.pid, 0) + cpu_us
        if taken_us:
            process = self._k.table.get(live.pid)
            accounts = live.accounts if process is None else accounts_of(self._k.ledger.state, process)
            member = self._k.ledger.state.fleets.members.get(live.pid, NO_MEMBER)
            was = live.agent if process is not None and member.agent != live.agent else ""
            if was:  # it was handed over since: what bounds the other agent is none of this one's
                accounts = [name for name in accounts if name != process_account(live.pid)]
            self._k.ledger.commit((ev.ProcessAccounted(live.pid, live.run, taken_us, list(accounts), was),), {})


def _step_us(process: Process) -> int:
    return min(max(STEP_US, process.usage.cpu_us // SHARE), STEP_US_MAX)
