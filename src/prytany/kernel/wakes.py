"""Wakes: who waited for something that an entry made free, and goes on.

A room's fold keeps who is due: whose wait ended by what the journal says, whoever brought that about, a call, a kill
or a crash. Deciding that they go on is the kernel's, in entries of their own right behind the one that freed them. A
room with such waits names a `Fill` here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from prytany.abi.errors import KernelPanic
from prytany.kernel import trees
from prytany.kernel.filling import fill_mailbox
from prytany.kernel.ledger import Ledger
from prytany.kernel.outcome import Context
from prytany.kernel.pipe_fills import fill_pipe
from prytany.kernel.pools import fill_pools
from prytany.kernel.state import ShardState
from prytany.kernel.topic_fills import fill_topics
from prytany.kernel.trigger_fills import Starter, fill_triggers
from prytany.kernel.waking import answer_segment, grant_lock


class Core(Context, Protocol):
    """The kernel, as wakes see it."""

    ledger: Ledger
    closing: bool
    draining: bool

    @property
    def fleet_operator(self) -> Starter:
        """What starts agents."""
        ...

    def lost(self, task: asyncio.Task[None]) -> None:
        """A task has ended; what it raised stops the kernel."""
        ...

    def failed(self, error: BaseException, at: str) -> None:
        """What nobody waits for has failed; that stops the kernel."""
        ...


Fill = Callable[[Core], bool]
"""Commits one entry for somebody who is due in a room; False where nobody is. Costs nothing then."""

FILLS: tuple[Fill, ...] = (
    fill_mailbox, grant_lock, answer_segment, trees.fill, fill_pools, fill_topics, fill_pipe, fill_triggers,
)  # fmt: skip


def somebody_is_due(state: ShardState) -> bool:
    """Whether any room has somebody. Asked after each entry, in place of all fills: a room of those has a line here."""
    topics = state.topics
    return bool(
        state.post.lines.due or state.locks.due or state.segments.due or state.trees.due or state.links.due
        or state.pools.due or topics.handing or topics.due or state.pipes.due or state.triggers.due
    )  # fmt: skip


AT_ONCE = 16
"""Entries, before others have a turn: each may see to a hundred who wait."""


class Wakes:
    """See the module."""

    def __init__(self, kernel: Core) -> None:
        self._k = kernel
        self._filling = self._later = False

    def begin(self) -> None:
        """From here on; and let go on who was due when an earlier kernel stopped."""
        if FILLS:
            self._k.ledger.wake = self.fill
            self.fill()

    def fill(self) -> None:
        """Let all go on who are due, in any room.

        Raises:
            KernelPanic: it failed; that is nobody's doing for whose sake it is done.
        """
        if not (self._filling or self._later) and somebody_is_due(self._k.state):
            self._fill()

    def _fill(self) -> None:
        self._filling = True
        committed = 0
        try:
            for fill in FILLS:
                while not self._k.closing and fill(self._k):
                    committed += 1
                    if committed == AT_ONCE:
                        self._later = True
                        asyncio.get_running_loop().call_soon(self._go_on)
                        return
        except Exception as error:
            raise KernelPanic("who waited and can go on could not be told") from error
        finally:
            self._filling = False

    def _go_on(self) -> None:
        self._later = False
        try:
            self._fill()
        except Exception as error:
            self._k.failed(error, "who waited could not go on")
