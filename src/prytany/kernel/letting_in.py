"""Letting in: whoever has a place comes back, or begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import KernelPanic
from prytany.abi.supervision import GROUP
from prytany.kernel.ledger import Ledger
from prytany.kernel.places import Places
from prytany.kernel.workers import Workers
from prytany.process.process import Process
from prytany.process.table import Table


class Core(Protocol):
    """The kernel, as this sees it."""

    ledger: Ledger
    places: Places
    workers: Workers

    @property
    def table(self) -> Table:
        """The process table."""
        ...


class LettingIn:
    """Fills the places."""

    def __init__(self, kernel: Core, holds: Callable[[Process], bool]) -> None:
        """`holds` stops a process that may not begin now, and says so."""
        self._k = kernel
        self._holds = holds
        self._starting = 0  # starts that are not durable

    def line_up(self) -> None:
        """After a crash, whoever was ready asks for a place; then they are let in."""
        for pid in self._k.table.ready:
            self.ready(self._k.table.require(pid))
        self.fill()

    def ready(self, process: Process) -> None:
        """It wants to begin; a group is begun with its children (`kernel.trees`)."""
        if process.kind == GROUP:
            return
        self._k.places.ask(process.pid, process.qos, begins=True)

    def started(self, pid: int) -> None:
        """Its start is durable: its worker comes, and whoever could not begin yet is next. A group was not let in."""
        process = self._k.table.get(pid)
        if process is not None and process.kind == GROUP:
            return
        self._starting -= 1
        self._k.workers.wake(pid)
        if self._k.table.ready:
            self.fill()

    def fill(self) -> None:
        """Let in whom there is a place for.

        Raises:
            KernelPanic: it failed; that is nobody's doing for whose sake it is done.
        """
        table, places = self._k.table, self._k.places
        try:
            while (found := places.next(may_begin=self._starting < limits.STARTS_AT_ONCE)) is not None:
                if not found.begins:
                    self._k.workers.wake(found.pid)
                elif found.pid not in table.ready or self._holds(process := table.require(found.pid)):
                    places.release(found.pid)
                else:
                    self._k.ledger.commit((ev.ProcessStarted(process.pid, process.tail),), {})
                    self._starting += 1
                    places.update(process)
        except Exception as error:
            raise KernelPanic("those for whom there is a place could not be let in") from error
