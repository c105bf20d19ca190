"""Losses: workers that are gone through no act of their programs, as when their zygote dies and takes them along.

The same incarnation comes back by replay, as after a crash of the machine: nothing of it is judged by the loss, and
nothing in the journal shows it. A process that waits comes back when something reaches it. One that is lost again and
again where it stands is ended, since it may be what ends its zygote.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from prytany.abi import limits
from prytany.kernel.ledger import Ledger
from prytany.kernel.live import Live
from prytany.kernel.places import Places
from prytany.kernel.reactions import Reactions
from prytany.kernel.workers import Workers
from prytany.process.process import State
from prytany.process.table import Table


class Core(Protocol):
    """The kernel, as losses see it."""

    ledger: Ledger
    places: Places
    workers: Workers
    reactions: Reactions
    closing: bool

    @property
    def table(self) -> Table:
        """The process table."""
        ...

    def end(self, pid: int, status: int, signal: int, reason: str, cpu_us: int = 0) -> None:
        """The process terminates by something other than its own call."""
        ...


def lose(k: Core, live: Live, reason: str) -> None:
    """The worker of `live` is lost; bring its process back, or end it after `limits.WORKER_LOSSES_MAX` in one place."""
    pid = live.pid
    k.workers.lost(live)
    process = k.table.get(pid)
    if process is None or process.state is not State.RUNNING or process.epoch != live.epoch:
        return  # what was decided about it meanwhile says how it goes on
    at, times = k.workers.losses.get(pid, (0, 0))
    times = times + 1 if at == process.tail else 1
    if times >= limits.WORKER_LOSSES_MAX:
        k.end(pid, 1, 0, f"its worker was lost {times} times, and it came no further in between: {reason}")
        return
    if pid in k.ledger.denials.waiting:
        k.ledger.commit((), {}, flush=pid)  # they were answered: they belong to what it comes back to
    k.workers.losses[pid] = process.tail, times
    _come_back(k, pid)


def _come_back(k: Core, pid: int) -> None:
    """Once its record is durable to the last entry; what is read of it before would be less than what it has done."""
    process = k.table.get(pid)
    if process is None or process.state is not State.RUNNING or k.closing or pid in k.workers.live:
        return
    if process.tail > k.ledger.journal.durable:
        k.ledger.journal.wait_durable(process.tail).add_done_callback(lambda done: _again(k, pid, done))
    elif process.idle:
        k.places.update(process)
        k.reactions.fill()
    else:
        k.reactions.come_back(pid)


def _again(k: Core, pid: int, durable: asyncio.Future[None]) -> None:
    if not durable.cancelled() and durable.exception() is None:
        _come_back(k, pid)
