"""Wakes: who waited for something that an entry made free, and goes on.

A room's fold keeps who is due: whose wait ended by what the journal says, whoever brought that about, a call, a kill
or a crash. Deciding that they go on is the kernel's, in entries of their own right behind the one that freed them. A
room with such waits names a `Fill` here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from prytany.abi.errors import KernelPanic
from prytany.kernel.filling import fill_mailbox
from prytany.kernel.ledger import Ledger
from prytany.kernel.outcome import Context
from prytany.kernel.pipe_fills import fill_pipe


class Core(Context, Protocol):
    """The kernel, as wakes see it."""

    ledger: Ledger
    closing: bool


Fill = Callable[[Core], bool]
"""Commits one entry for somebody who is due in a room; False where nobody is. Costs nothing then."""

FILLS: tuple[Fill, ...] = (fill_mailbox, fill_pipe)


class Wakes:
    """See the module."""

    def __init__(self, kernel: Core) -> None:
        self._k = kernel
        self._filling = False
        if FILLS:
            kernel.ledger.wake = self.fill

    def fill(self) -> None:
        """Let all go on who are due, in any room.

        Raises:
            KernelPanic: it failed; that is nobody's doing for whose sake it is done.
        """
        if self._filling:
            return
        self._filling = True
        try:
            for fill in FILLS:
                while not self._k.closing and fill(self._k):
                    pass
        except Exception as error:
            raise KernelPanic("who waited and can go on could not be told") from error
        finally:
            self._filling = False
