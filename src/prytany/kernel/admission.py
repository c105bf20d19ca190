"""Admission: when a tool that was asked for may begin.

The step between the gate and the intent's effect, for tools: the turns at resources. That of models, with places,
rates and budgets at once, is `models.turns`. Nothing begins before the entry that says so (`tool.started`) is durable:
so a call that still waits when the machine stops is not in doubt, it waits on.
"""

from __future__ import annotations

from typing import Any, Protocol

from prytany.abi import events as ev
from prytany.abi.errors import KernelPanic
from prytany.abi.values import pack
from prytany.kernel.effects import Effects
from prytany.kernel.effects.tool import TOOL_RUN, ToolRun, abandoned_events, doubt_events
from prytany.kernel.ledger import Ledger
from prytany.process.process import Process, State
from prytany.process.table import Table
from prytany.scheduling.turns import HOLD, ToolCall, Turns, parse_key


class Core(Protocol):
    """The kernel, as admission sees it."""

    ledger: Ledger
    effects: Effects
    closing: bool

    @property
    def table(self) -> Table:
        """The process table."""
        ...

    @property
    def turns(self) -> Turns:
        """Open tool calls."""
        ...

    def arguments(self, process: Process, n: int) -> Any:
        """The arguments of an open call; None when it is closed for want of them."""
        ...


class Admission:
    """See the module."""

    def __init__(self, kernel: Core) -> None:
        self._k = kernel
        self.held = False
        """Nothing more is admitted: the kernel is to stop."""

    def fill(self) -> None:
        """Admit every call whose turn has come, oldest first. Costs what is admitted, whoever waits.

        Raises:
            KernelPanic: it failed; that is nobody's doing for whose sake it is done.
        """
        due = self._k.turns.due
        try:
            while due and not (self._k.closing or self.held):
                pid, n = parse_key(next(iter(due)))
                call = self._k.turns.get(pid, n)
                if call is not None and call.effect == HOLD:
                    self._hold(pid, n, call)
                else:
                    self._k.ledger.commit((ev.ToolStarted(pid, n),), {})
        except Exception as error:
            raise KernelPanic("calls whose turn has come could not be admitted") from error

    def _hold(self, pid: int, n: int, call: ToolCall) -> None:
        ledger, value = self._k.ledger, pack(n)
        digest = ledger.digest(value)
        closed = ev.CallClosed(pid, n, "", digest, ledger.table.require(pid).tail)
        ledger.commit((ev.ToolHeld(pid, n, call.tool, call.wanted), closed), {digest: value})

    def start(self, pid: int, n: int) -> None:
        """The effect begins, if its start is durable and it is still open."""
        process = self._k.table.get(pid)
        call = self._k.turns.get(pid, n)
        if process is None or n not in process.open or call is None or not self._may_have_begun(call):
            return
        if (args := self._k.arguments(process, n)) is None:
            return
        self._k.effects.start(process, n, TOOL_RUN, ToolRun(call.tool, args.arguments, call.effect))

    def abandoned(self, process: Process, n: int) -> tuple[ev.Event, ...]:
        """What is recorded of open call `n`, where it ends without its result: the doubt, if it may have happened."""
        call = self._k.turns.get(process.pid, n)
        if call is None or call.effect in ("pure", "keyed") or not self._may_have_begun(call):
            return ()
        return abandoned_events(process, n)

    def _may_have_begun(self, call: ToolCall) -> bool:
        return 0 < call.started <= self._k.ledger.journal.durable

    def come_back(self) -> None:
        """After a crash: what may be made again begins again, or when its process goes on; what may not is in doubt,
        and the rest waits on."""
        for pid, calls in list(self._k.turns.calls.items()):
            for n, call in list(calls.items()):
                process = self._k.table.require(pid)
                if not call.started or process.open[n].doubt:
                    continue
                if call.effect in ("pure", "keyed"):
                    if process.state is not State.STOPPED:
                        self.start(pid, n)
                else:
                    self._k.ledger.commit(doubt_events(pid, n), {})
        self._k.effects.paced.come_back()
        self.fill()
