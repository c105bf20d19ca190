"""Deadlocks: looked for when a process has come to wait, named, and broken at one of those who wait.

Who is chosen, of those in the circle: the lowest class of service first; of these, whose call began last; the process
of the highest number. Its call ends with EDEADLK, which names the circle, and the others go on when it lets go of what
they wait for. A circle that goes on without it is broken again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from prytany.abi import events as ev
from prytany.abi.values import pack_error
from prytany.ipc.wait_for import Calls, Need, Wait, find_deadlock
from prytany.kernel.ledger import Ledger
from prytany.kernel.waiting.edge import Look, named
from prytany.kernel.waiting.explain import OF_CALL
from prytany.kernel.waiting.needs import NEEDS, behind
from prytany.kernel.workers import Workers
from prytany.process.process import Process, State

INLINE_TURNS = 16
"""Of the loop, after which an inline program that made no further call is taken to wait: it never says that it does."""
NAMED_MAX = 20
"""Of one circle that its error describes; all of them are numbered."""


class Core(Protocol):
    """The kernel, as this sees it."""

    ledger: Ledger
    workers: Workers
    closing: bool


class Deadlocks:
    """See the module."""

    def __init__(self, kernel: Core) -> None:
        self._k = kernel
        self._soon: deque[tuple[int, int]] = deque()
        """Inline processes, each behind the turn at which it is looked at."""
        self._turn = 0
        self.inline = set[int]()
        """Inline processes that waited for others when they were looked at last: an answer may be all that they do."""

    def opened(self, pid: int, call: str) -> None:
        """A call of a process is open."""
        if call in NEEDS:
            self.look(pid)

    def look(self, pid: int) -> None:
        """A process may have come to wait: break the deadlocks that this makes, if any."""
        live = self._k.workers.live.get(pid)
        if live is None or live.in_steps:
            self._break(pid)
        else:
            self.inline.add(pid)
            self._look_soon(pid)

    def told(self, pid: int) -> None:
        """A call of it has ended, and others are open: an inline program may do nothing of that, and never say so."""
        if pid in self.inline:
            self._look_soon(pid)

    def come_back(self) -> None:
        """After a crash: those who wait, and have nothing to come back for."""
        for pid in list(self._k.ledger.table.running):
            process = self._k.ledger.table.get(pid)
            if process is not None and process.idle:
                self._break(pid)

    def _look_soon(self, pid: int) -> None:
        if not self._soon:
            asyncio.get_running_loop().call_soon(self._turns)
        self._soon.append((self._turn + INLINE_TURNS, pid))

    def _turns(self) -> None:
        self._turn += 1
        while self._soon and self._soon[0][0] <= self._turn:
            self._break(self._soon.popleft()[1])
        if self._soon and not self._k.closing:
            asyncio.get_running_loop().call_soon(self._turns)

    def _break(self, pid: int) -> None:
        while not self._k.closing:
            process = self._k.ledger.table.get(pid)
            if process is None or not process.open:
                self.inline.discard(pid)
                return
            circle = find_deadlock(pid, self._calls_of, partial(behind, self._k.ledger.state))
            if circle is None:
                return
            self._refuse(circle)

    def _calls_of(self, pid: int) -> Calls | None:
        """What a process waits for; None where it can go on, or nobody knows."""
        process = self._k.ledger.table.get(pid)
        if process is None or not process.open or not self._quiet(process):
            return None
        found: dict[int, Sequence[Need]] = {}
        for n, call in process.open.items():
            of = NEEDS.get(call.call)
            needs = of(self._k.ledger.state, process, n, call) if of is not None else None
            if not needs or call.doubt or n in process.incidents:
                return None
            found[n] = needs
        return found

    def _quiet(self, process: Process) -> bool:
        """Whether nothing happens in its program until a call of it ends."""
        if process.state not in (State.RUNNING, State.STOPPED):
            return False
        live = self._k.workers.live.get(process.pid)
        if live is None:
            return process.tail in (process.idle_seq, self._k.workers.away.get(process.pid, 0)) and process.tail > 0
        return live.quiet(process)

    def _refuse(self, circle: list[Wait]) -> None:
        ledger = self._k.ledger
        pid, n = max(circle, key=self._rank)
        process = ledger.table.require(pid)
        said = [self._said(wait) for wait in circle[:NAMED_MAX]]
        detail: dict[str, object] = {"cycle": said, "pids": [wait.pid for wait in circle]}
        value = pack_error(f"{len(circle)} wait for each other, and this one was chosen: {'; '.join(said)}", detail)
        found = ev.DeadlockFound(pid, n, [wait.pid for wait in circle], [wait.n for wait in circle])
        digest = ledger.digest(value)
        closed = ev.CallClosed(pid, n, "EDEADLK", digest, process.tail)
        ledger.commit((found, closed), {digest: value})  # what only waits is charged nothing, and leaves no doubt

    def _rank(self, wait: Wait) -> tuple[int, int, int]:
        process = self._k.ledger.table.require(wait.pid)
        return process.qos, process.open[wait.n].seq, wait.pid

    def _said(self, wait: Wait) -> str:
        look, process = (
            Look(self._k.ledger.state, None, self._k.ledger.now_ns()),
            self._k.ledger.table.require(wait.pid),
        )
        call = process.open[wait.n]
        cause = next(found for of in OF_CALL if (found := of(look, process, wait.n, call)) is not None)
        return f"{named(look, wait.pid)} waits for {cause.text}"
