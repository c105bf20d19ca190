"""Memory pressure: what `scheduling.pressure` decides, carried out.

Who stands still for it has lost its worker, and so its memory; what it has open goes on, and it comes back by replay.
An entry of the journal stops them, and another lets them go on. Whoever was stopped by a person stays so; whom a person
lets go on is left alone. What an earlier kernel had stopped for it goes on in this one, unless it is as bad here.
"""

from __future__ import annotations

from typing import Protocol

from prytany.abi import events as ev
from prytany.abi.qos import Qos
from prytany.kernel.effects import Effects
from prytany.kernel.ledger import Ledger
from prytany.ports.memory import PRESSURE, Sample
from prytany.process.process import Process, State
from prytany.process.table import Table
from prytany.scheduling.pressure import Level, Pressure


class Core(Protocol):
    """The kernel, as memory pressure sees it."""

    ledger: Ledger
    effects: Effects
    closing: bool

    @property
    def table(self) -> Table:
        """The process table."""
        ...


def qos_of(process: Process) -> Qos:
    """The class of service of a process."""
    return Qos(getattr(process, "qos", Qos.UTILITY))


class MemoryPressure:
    """See the module."""

    def __init__(self, kernel: Core) -> None:
        self._k = kernel
        self._room = Pressure()
        self._adopted = False

    @property
    def level(self) -> Level:
        """How far it has come."""
        return self._room.level

    def holds(self, process: Process) -> bool:
        """Whether one that is ready may not begin now; it stands still then."""
        if self._room.level is Level.CALM or not self._room.holds(process.pid, qos_of(process)):
            return False
        self._k.ledger.commit((ev.ProcessPaused(process.pid, PRESSURE),), {}, payer=0)
        return True

    def look(self, sample: Sample | None) -> None:
        """Do what a look at the machine leads to."""
        if self._k.closing:
            return
        if not self._adopted:
            self._adopt()
        actions = self._room.look(sample, self._running)
        table = self._k.table
        events: list[ev.Event] = [ev.ProcessPaused(pid, PRESSURE) for pid in actions.pause]
        for pid in actions.go_on:
            process = table.get(pid)
            if process is not None and process.state is State.STOPPED and process.reason == PRESSURE:
                events.append(ev.ProcessContinued(pid))
        if self._room.level is not Level.CALM:
            self._k.effects.contexts.squeeze()
        if events:
            self._k.ledger.commit(events, {}, payer=0)

    def _adopt(self) -> None:
        self._adopted = True
        for process in self._k.table.processes.values():
            if process.state is State.STOPPED and process.reason == PRESSURE:
                self._room.paused[process.pid] = qos_of(process)

    def _running(self, qos: Qos) -> list[int]:
        """Once a level: it looks at every process."""
        found: list[int] = []
        for process in self._k.table.processes.values():
            if process.alive and process.state is not State.STOPPED:
                if process.pid in self._room.paused:
                    self._room.spare(process.pid)
                elif qos_of(process) is qos:
                    found.append(process.pid)
        return found
