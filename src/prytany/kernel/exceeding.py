"""Budgets that run out: who stops, who is told, and how it goes on.

A process that no budget can pay for stops with its reason, and keeps what it has; its parent is told by CHLD, and
people by a notice. When somebody adds to the account, everybody who was stopped for want of it goes on, and asks again.

An account's time is up whether or not anybody asks for anything: one alarm rings for the first of them. Who is begun
or continued where it is up stops again in the same step, before anything of it runs. The alarm rings at once where an
endpoint took more than was set aside, and leaves an account in debt.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import Protocol

from prytany.abi import events as ev
from prytany.abi.budgets import Bounds, Budget
from prytany.abi.errors import Einval, Enoent
from prytany.abi.signals import Signal
from prytany.abi.supervision import GROUP
from prytany.kernel.accounts import accounts_of, below, stopped_by
from prytany.kernel.alarm import Alarm
from prytany.kernel.ledger import Ledger
from prytany.ports.clock import Clock
from prytany.process.process import Process, State
from prytany.process.table import Table
from prytany.scheduling.budgets import Amount, Budgets
from prytany.scheduling.scheduler import Scheduler
from prytany.scheduling.spending import BREACH, Verdict, debts, time_breach

REASON = "budget: "
"""What the reason of a process begins with that was stopped for one."""
AT_ONCE = 256
"""Processes that one entry stops."""


class Turns(Protocol):
    """Turns at models, as this sees them."""

    @property
    def scheduler(self) -> Scheduler:
        """What waits."""
        ...


class Core(Protocol):
    """The kernel, as this sees it."""

    ledger: Ledger
    budgets: Budgets
    closing: bool

    @property
    def model_turns(self) -> Turns:
        """Who waits for models."""
        ...

    @property
    def table(self) -> Table:
        """The process table."""
        ...

    def lost(self, task: asyncio.Task[None]) -> None:
        """A task has ended; what it raised stops the kernel."""
        ...


def exceeded(table: Table, process: Process, verdict: Verdict) -> tuple[ev.Event, ...]:
    """`process` stops, for a breach; its parent is told, where it runs."""
    events: list[ev.Event] = [
        ev.BudgetExceeded(
            process.pid, verdict.account, verdict.kind, verdict.bound, verdict.left, verdict.a_minute
        ),
        ev.ProcessPaused(process.pid, verdict.reason),
    ]  # fmt: skip
    parent = table.get(process.parent)
    if parent is not None and parent.state is State.RUNNING and parent.kind != GROUP:
        events.append(ev.ProcessSignalled(parent.pid, Signal.CHLD, process.pid, parent.tail))
    return tuple(events)


class Exceeding:
    """See the module."""

    def __init__(self, kernel: Core, clock: Clock) -> None:
        self._k = kernel
        self._alarm = Alarm(clock, self._ring, kernel.lost)
        self._ends: list[tuple[int, str]] = []
        """When the time of accounts is up, by time; one that has another by now is passed over."""
        self._owed: list[Verdict] = []
        """Of accounts that are in debt, and below which nobody was stopped yet."""

    def begin(self) -> None:
        """A kernel goes on: what was bounded in time still is, and whose time was up meanwhile does not go on."""
        for name in self._k.budgets.accounts:
            self.look(name)
        self._ring()

    def look(self, name: str) -> None:
        """An account was bounded anew."""
        account = self._k.budgets.get(name)
        if account is not None and account.ends_ns:
            heapq.heappush(self._ends, (account.ends_ns, name))
            self._alarm.set(self._ends[0][0])

    def goes_on(self, process: Process) -> bool:
        """Whether a process that was begun or continued may run: else its time was up before, and it stops again."""
        verdict = time_breach(self._k.budgets, accounts_of(self._k.ledger.state, process), self._k.ledger.now_ns())
        if verdict is None or not process.alive or process.state is State.STOPPED:
            return True
        self._k.ledger.commit(exceeded(self._k.table, process, verdict), {}, reserve=True)
        return False

    def overran(self, pid: int, n: int, used: ev.ModelUsed) -> None:
        """Call `n` took more than was set aside for it, which is about to be recorded: where that leaves an account in
        debt, all below it stop."""
        tokens = used.prompt_tokens + used.completion_tokens
        self._owed += debts(self._k.budgets, pid, n, Amount(tokens, used.cost_usd_micros, 1))
        if self._owed:
            self._alarm.set(self._k.ledger.now_ns())

    async def close(self) -> None:
        """Nobody is stopped any more."""
        await self._alarm.close()

    def grant(self, name: str, budget: Budget, *, uid: int) -> None:
        """Bound an account from now on; what was spent stays. Whoever was stopped for want of it goes on.

        Raises:
            Enoent: whose account that would be is not there.
        """
        if not self._there(name):
            raise Enoent(f"nobody is there whose account {name[:40]!r} would be")
        granted = ev.BudgetGranted(name, budget.total, budget.minute, -1 - uid)
        new = name not in self._k.budgets.accounts
        self._record("budget", name, granted, uid)
        if new:
            self._bind(name)

    def add(self, name: str, more: Bounds, *, uid: int) -> None:
        """Raise an account's bounds. Whoever was stopped for want of it goes on.

        Raises:
            Enoent: there is no such account.
            Einval: it has no such bound, or nothing is added.
        """
        account = self._k.budgets.get(name)
        if account is None:
            raise Enoent(f"there is no account {name[:40]!r}; it is not bounded")
        added = [key for key in Bounds.__struct_fields__ if getattr(more, key) > 0]
        if not added:
            raise Einval("nothing is added")
        if unbounded := [key for key in added if getattr(account.total, key) < 0]:
            raise Einval(f"{name} is not bounded in {unbounded[0]}")
        self._record("budget add", name, ev.BudgetAdded(name, more, -1 - uid), uid)

    def _record(self, command: str, name: str, event: ev.BudgetGranted | ev.BudgetAdded, uid: int) -> None:
        kind, _, number = name.partition(":")
        subject = int(number) if kind != "tenant" else 0
        stopped = [p for p in below(self._k.ledger.state, name) if stopped_by(p) == name]
        events = [ev.ProcessContinued(p.pid) for p in stopped]
        self._k.ledger.commit((ev.OperatorCommanded(uid, command, subject), event, *events), {}, reserve=True)

    def _bind(self, name: str) -> None:
        """What waits for its turn below a new account was made before there was one, and is to be paid from it."""
        state, scheduler = self._k.ledger.state, self._k.model_turns.scheduler
        for process in below(state, name):
            waiting = [call.seq for call in process.open.values() if call.queued_ns]
            accounts = accounts_of(state, process) if waiting else ()
            for key in waiting:
                scheduler.bound(key, accounts)

    def _there(self, name: str) -> bool:
        kind, _, number = name.partition(":")
        if kind == "tenant":
            return number == "0"
        process = self._k.table.get(int(number)) if number.isdecimal() and len(number) < 16 else None
        if process is None or kind not in ("process", "tree", "run"):
            return False
        return kind != "run" or process.run == process.pid

    def _ring(self) -> None:
        now_ns, owed = self._k.ledger.now_ns(), self._owed
        self._owed = []
        for verdict in owed:
            self._stop(verdict)
        while self._ends and self._ends[0][0] <= now_ns and not self._k.closing:
            ends_ns, name = heapq.heappop(self._ends)
            account = self._k.budgets.get(name)
            if account is not None and account.ends_ns == ends_ns:
                self._stop(Verdict(BREACH, name, "wall_ms", account.total.wall_ms))
        self._alarm.set(self._ends[0][0] if self._ends else None)

    def _stop(self, verdict: Verdict) -> None:
        """All who go on below an account."""
        if verdict.account not in self._k.budgets.accounts or self._k.closing:
            return
        goes_on = [p for p in below(self._k.ledger.state, verdict.account) if p.state is not State.STOPPED]
        for at in range(0, len(goes_on), AT_ONCE):
            events = [event for p in goes_on[at : at + AT_ONCE] for event in exceeded(self._k.table, p, verdict)]
            self._k.ledger.commit(events, {}, reserve=True)
