"""Progress: a program that does nothing of its own for too long, while nothing holds it up, has failed.

What counts is what is in its record: a call, or an answer that reached it. It is held up while the kernel has not
answered it: a model, a tool, a person, a message, a time, a budget, a place. So it is stuck where it has taken no item
that it was sent (it computes, or hangs in a loop), or has nothing open and is still there.

Nothing is counted while it runs: at an alarm, the time of the last entry of its record is looked up.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Protocol

from prytany.abi import events as ev
from prytany.abi.supervision import GROUP
from prytany.kernel.alarm import Alarm
from prytany.kernel.ledger import Ledger
from prytany.kernel.outcome import Context
from prytany.kernel.workers import Workers
from prytany.ports.clock import Clock
from prytany.ports.store import Reader, StoreError
from prytany.process.process import Process, State


class Core(Context, Protocol):
    """The kernel, as this sees it."""

    ledger: Ledger
    reader: Reader
    workers: Workers
    closing: bool

    def end(self, pid: int, status: int, signal: int, reason: str, cpu_us: int = 0) -> None:
        """The process terminates by something other than its own call."""
        ...


class Progress:
    """Looks at each process of which it was said when its time is up."""

    def __init__(self, kernel: Core, clock: Clock, lost: Callable[[asyncio.Task[None]], None]) -> None:
        self._k = kernel
        self._alarm = Alarm(clock, self._ring, lost)
        self._at: list[tuple[int, int]] = []
        self._since: dict[int, int] = {}
        """Since when each is looked at: it was held up until then, or not looked at."""

    def begin(self) -> None:
        """A kernel goes on; who comes back has its time from now on."""
        for pid in self._k.state.trees.children:
            self.look(pid)

    def look(self, pid: int) -> None:
        """A process was made."""
        child = self._k.state.trees.children.get(pid)
        if child is not None and child.progress_ms:
            now_ns = self._k.now_ns()
            self._since[pid] = now_ns
            self._again(pid, now_ns + child.progress_ms * 1_000_000)
            self._alarm.set(self._at[0][0])

    async def close(self) -> None:
        """Nobody is looked at any more."""
        await self._alarm.close()

    def _again(self, pid: int, at_ns: int) -> None:
        heapq.heappush(self._at, (at_ns, pid))

    def _ring(self) -> None:
        now_ns = self._k.now_ns()
        while self._at and self._at[0][0] <= now_ns and not self._k.closing:
            self._due(heapq.heappop(self._at)[1], now_ns)
        self._alarm.set(self._at[0][0] if self._at else None)

    def _due(self, pid: int, now_ns: int) -> None:
        p, child = self._k.table.get(pid), self._k.state.trees.children.get(pid)
        if p is None or child is None or not p.alive:
            self._since.pop(pid, None)
            return
        within_ns = child.progress_ms * 1_000_000
        last_ns = now_ns if self._held_up(p) else max(self._since.get(pid, 0), self._last_ns(p, now_ns))
        if now_ns - last_ns >= within_ns:
            self._k.end(pid, 1, 0, f"no progress within {child.progress_ms / 1000:g} s")
            last_ns = now_ns
        self._since[pid] = last_ns
        self._again(pid, last_ns + within_ns)

    def _held_up(self, p: Process) -> bool:
        live = self._k.workers.live.get(p.pid)
        if p.state is not State.RUNNING or p.kind == GROUP or live is None or live.cursor is not None or p.incidents:
            return True
        return bool(p.open) and not (live.in_steps and live.delivered < live.sent)

    def _last_ns(self, p: Process, now_ns: int) -> int:
        """The time of the last entry of its record."""
        try:
            row = self._k.reader.row(p.tail)
        except StoreError:
            return now_ns
        return ev.decode_entry(row.record).time_ns if row is not None else now_ns
