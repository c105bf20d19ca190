"""The client's methods about queues, budgets, classes, and what a process waits for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from prytany.abi import control
from prytany.abi.budgets import Bounds
from prytany.abi.errors import Eio


class SchedulingClient(ABC):
    """Part of `Client`."""

    async def queues(self) -> list[control.QueueRow]:
        """The queues at models; where no kernel runs, what the journal says of them."""
        rows: list[control.QueueRow] = await self._ask(control.ListQueues())
        return rows

    async def budgets(self, pid: int = 0) -> list[control.AccountRow]:
        """The accounts of a process, the narrowest first; or all (0), by name. Raises Esrch."""
        rows: list[control.AccountRow] = await self._ask(control.ListBudgets(pid))
        page = rows
        while not pid and len(page) == control.ROWS_MAX:
            page = await self._ask(control.ListBudgets(0, rows[-1].account))
            if page and page[0].account <= rows[-1].account:
                raise Eio("the kernel lists the same budgets again")
            rows += page
        return rows

    async def why(self, pid: int) -> list[control.CauseRow]:
        """What a process waits for, each followed by its causes. Raises Esrch."""
        rows: list[control.CauseRow] = await self._ask(control.ExplainProcess(pid))
        return rows

    async def add_budget(self, pid: int, of: str, more: Bounds) -> control.AccountRow:
        """Raise bounds of an account of a process; who was stopped for want of it goes on.

        Args:
            pid: the process; 0 where `of` is `tenant`.
            of: `process`, `tree`, `run` or `tenant`; "" is the one that stopped it, or else its run's.
            more: what is added.

        Raises:
            Esrch: there is no such process.
            Enoent: it is not bounded.
            Einval: it is not bounded in that, or nothing is added.
        """
        row: control.AccountRow = await self._ask(control.AddBudget(pid, of, more))
        return row

    async def grant_budget(self, pid: int, of: str, total: Bounds, minute: Bounds) -> control.AccountRow:
        """Bound an account anew; `KEPT` leaves a bound as it is. What was spent stays. Else as `add_budget`."""
        row: control.AccountRow = await self._ask(control.GrantBudget(pid, of, total, minute))
        return row

    async def schedule(self, pid: int, qos: str = "", weight: int = 0, deadline_ms: int = -1) -> control.Scheduled:
        """Give a process another class, weight or deadline, also for calls that wait.

        Args:
            pid: the process.
            qos: a class; "" for its own.
            weight: 0 for its own.
            deadline_ms: from now; 0 for none, -1 for its own.

        Raises:
            Esrch: there is no such process alive.
            Einval: there is no such class, or a number is out of range.
        """
        found: control.Scheduled = await self._ask(control.ScheduleProcess(pid, qos, weight, deadline_ms))
        return found

    @abstractmethod
    async def _ask(self, command: control.Command) -> Any: ...
