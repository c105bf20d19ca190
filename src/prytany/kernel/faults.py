"""Faults: exceptions that nobody expected, in the reaction to a durable entry, or in a worker's frame.

The rule:

- What was done for one process is contained. The process is paused with an incident `fault` that names the exception,
  what it was at and where; its worker is ended at once, since it may have been handed a half of something. Its record
  is whole: `retry` brings it back by replay, and begins again what it had asked for. The answers of all others leave.
- A process that has ended, or is paused for a fault already, has nothing more to lose: it is told to the operator.
- All else fails loudly, as a KernelPanic does: where something was being taken away (a process paused, ended, begun
  again), half of what it held may be left, and where places, turns or who is put away were seen to, it was nobody's
  doing. The journal is given up, the kernel takes no input any more, and what is durable is folded again by the next.
- Who watches is not told any more once watching failed; nothing depends on it.

What is contained changes the state by an entry alone, so that a fold of the journal knows of it. The words of the
exception may be content: they go to the operator and to the process's log, and not into the journal.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from prytany.abi import events as ev
from prytany.abi.errors import KernelError, KernelPanic
from prytany.kernel.admission import Admission
from prytany.kernel.ledger import Ledger
from prytany.kernel.workers import Workers
from prytany.process.table import Table

KIND = "fault"
TAKES_AWAY = frozenset({
    ev.ProcessPaused, ev.IncidentOpened, ev.ProcessExited, ev.ProcessReaped, ev.ProcessFailed, ev.ProcessExeced,
    ev.ProcessCycled, ev.ProcessUpgraded, ev.ProcessReverted, ev.ProcessHandedOff,
})  # fmt: skip
"""Events whose reaction cannot be left half done."""


class Core(Protocol):
    """The kernel, as a fault meets it."""

    ledger: Ledger
    admission: Admission
    workers: Workers
    closing: bool

    @property
    def table(self) -> Table:
        """The process table."""
        ...

    def fail(self) -> None:
        """Take no input any more."""
        ...


class Filling(Protocol):
    """Who lets in whom there is a place for."""

    def fill(self) -> None:
        """Let them in."""
        ...


def tell(error: BaseException, message: str) -> None:
    """Tell the operator, with the traceback."""
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})


def panic(k: Core, error: BaseException, message: str) -> None:
    """Fail loudly: the state is thrown away, and goes on from the journal."""
    if not k.closing and k.ledger.journal.failure is None:
        tell(error, f"the kernel stops: {message}")
        k.fail()
        k.ledger.journal.give_up(error)


def contain(k: Core, places: Filling, pid: int, error: Exception, at: str, *, whole: bool = True) -> None:
    """What becomes of `error`, which came up for process `pid` (0: for none) `at` something; see the module.

    `whole` says that nothing was being taken away.
    """
    if k.closing or k.ledger.journal.failure is not None:
        if not isinstance(error.__cause__ if isinstance(error, KernelPanic) else error, KernelError):
            tell(error, f"the kernel failed at {at}")  # else it says no more than why the kernel stops
        return
    if not whole or not pid or isinstance(error, KernelPanic):
        panic(k, error, f"it failed at {at}")
        return
    tell(error, f"a fault at {at} of process {pid}")
    try:
        live = k.workers.live.get(pid)
        if live is not None and live.worker is not None:
            with suppress(Exception):
                live.worker.log(f"prytany: a fault at {at}: {type(error).__name__}: {error}\n")
        k.workers.kill(pid)
        process = k.table.get(pid)
        if process is not None and process.alive and process.incidents.get(0) != KIND:
            reason = f"a fault at {at}: {type(error).__name__} in {_where(error)}"
            k.ledger.commit((ev.ProcessPaused(pid, reason), ev.IncidentOpened(pid, KIND)), {}, reserve=True)
        k.admission.fill()
        places.fill()
    except Exception as second:
        panic(k, second, f"it could not contain a fault at {at}")


def _where(error: BaseException) -> str:
    """The line that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else "?"


def named(event: ev.Event) -> str:
    """An event's name, without its version."""
    return str(event.__struct_config__.tag).partition("/")[0]
