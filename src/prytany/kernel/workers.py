"""Workers: who has one, and how one is brought to where its process stands.

Every start of a worker is a replay; that of a new process is the replay of an empty record. So the machine that lost
power, the process that was put away and the process that begins all come the same way.

When there are more workers than there may be, those go whose process has waited longest: nothing is lost with them that
the record does not hold, and they come back when something reaches their process. A worker goes only when it has taken
all that it was sent and all that it asked is durable, so that nobody can tell from the record that it went.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from prytany.abi import events as ev
from prytany.abi.errors import Ereplay, KernelError, KernelPanic
from prytany.kernel.ledger import TENANT, Ledger
from prytany.kernel.live import Live
from prytany.kernel.places import Places
from prytany.kernel.record import Record, read_record
from prytany.kernel.replay import Cursor
from prytany.kernel.start_item import StartItems
from prytany.kernel.trap import Trap
from prytany.kernel.turn import others_first
from prytany.ports.runner import Host, Runner, Worker
from prytany.ports.store import Reader, StoreError
from prytany.process.process import Process, State
from prytany.process.table import Table


class Owner(Host, Protocol):
    """The kernel, as its workers' keeper sees it."""

    ledger: Ledger
    places: Places
    trap: Trap
    reader: Reader
    closing: bool

    @property
    def table(self) -> Table:
        """The process table."""
        ...

    def content(self, digest: bytes, seq: int = 0) -> bytes:
        """Stored content, by its digest; `seq` is the entry that names it, where it may lie in its row."""
        ...

    def environment(self, python: str) -> str:
        """What the environment of an interpreter is now."""
        ...

    def end(self, pid: int, status: int, signal: int, reason: str, cpu_us: int = 0) -> None:
        """The process terminates by something other than its own call."""
        ...

    def note(self, events: tuple[ev.Event, ...]) -> None:
        """Record events."""
        ...

    def lost(self, task: asyncio.Task[None]) -> None:
        """A task has ended; what it raised stops the kernel."""
        ...

    def settled(self, pid: int) -> None:
        """The worker of `pid` stands where its process stands."""
        ...


class Workers:
    """The workers of one kernel."""

    def __init__(self, kernel: Owner, runners: dict[str, Runner], most: int) -> None:
        self._kernel = kernel
        self._runners = runners
        self.start_items = StartItems(kernel)
        self.most = most
        """Beyond so many, some are put away."""
        self.live: dict[int, Live] = {}
        self._starting: set[asyncio.Task[None]] = set()
        self._reading = asyncio.Lock()
        self._inline: set[int] = set()  # who has a worker that costs nothing and is never put away
        self._warned: set[int] = set()  # of a changed environment; once in a kernel's life
        self._taken: dict[int, int] = {}  # items that were handed to the worker of a process that has none now
        self.away: dict[int, int] = {}
        """Who lost its worker while that had nothing left to do, to where its record stood then."""
        self.losses: dict[int, tuple[int, int]] = {}
        """Where processes stood when they lost their workers, and how many times they did there."""
        self.leaving: dict[int, list[Live]] = {}
        """Workers that were killed and are not gone yet, by pid, which may have been woken meanwhile."""

    def wake(self, pid: int) -> None:
        """Bring the process back, unless it is here."""
        process = self._kernel.table.get(pid)
        if pid in self.live or process is None or process.state is not State.RUNNING or self._kernel.closing:
            return
        if process.tail > self._kernel.ledger.journal.durable:
            return  # the reaction to that entry comes here again
        live = self.live[pid] = Live(process, Cursor())
        self.away.pop(pid, None)
        task = asyncio.ensure_future(self._start(process, live, process.cut_seq, process.cut_ns))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        task.add_done_callback(self._kernel.lost)
        if self.too_many:
            self.put_away()

    async def _start(self, process: Process, live: Live, cut_seq: int, cut_ns: int) -> None:
        cursor = live.cursor
        assert cursor is not None
        try:
            if process.untouched and live.upto == process.tail:
                record = Record(process.started_ns, [], {})
            else:
                async with self._reading:
                    record = await self._read(live, cut_seq, cut_ns)
            item = self.start_items.make(process)
        except Exception as error:  # whatever it is, it is about this process
            if self._came_to_nothing(live):
                self._unread(process, error)
            return
        if live.leaving:
            self._left_one(live.pid)
            return  # nobody waits for it any more
        # Where nobody knows what was taken, all that is recorded counts as taken; with nothing recorded, nothing does.
        everything = 1 + len(record.items) if record.asked or record.items else 0
        cursor.load(record, self._taken.pop(process.pid, everything))
        try:
            worker = await self._runners[process.kind].start(process.pid, item, self._kernel, process.qos)
        except Exception as error:  # whatever it is, the process is not lost with it, nor its place
            if self._came_to_nothing(live):
                self._taken[process.pid] = cursor.quiet
                self._unstarted(process, error)
            return
        live.worker = worker
        if live.leaving:
            worker.kill()
            return
        if not live.in_steps:
            self._inline.add(process.pid)
        if not cursor.quiet:
            worker.hear()
        self._warn(process, worker)
        live.send(0, cursor.record.start_ns, "", item)
        self.advance(live)

    async def _read(self, live: Live, cut_seq: int, cut_ns: int) -> Record:
        """The record up to `live.upto`. A long one must not keep the loop, so others have turns in between."""
        k = self._kernel
        for record in read_record(k.reader, TENANT, live.pid, live.upto, cut_seq, cut_ns, k.ledger.digest):
            if record is not None:
                return record
            await others_first()
        raise AssertionError("the record comes last")

    def _warn(self, process: Process, worker: Worker) -> None:
        """Say that what the program imports may not be what it was; what it does is held against the record as ever."""
        if process.untouched:
            return  # it begins in what was looked at for its spawn
        now = self._kernel.environment(process.python) if process.environment else ""
        if now != process.environment and process.pid not in self._warned:
            self._warned.add(process.pid)
            worker.log(f"its environment was {process.environment} when it began, and is {now} now\n")

    def _came_to_nothing(self, live: Live) -> bool:
        """There will be no worker. Whether that is for its process to know, which may have ended or begun again."""
        if live.leaving:
            self._left_one(live.pid)
        if self.live.get(live.pid) is not live:
            return False
        del self.live[live.pid]
        return self._concerns(live)

    def _unread(self, process: Process, error: Exception) -> None:
        """What brings it back is missing or damaged. It is kept for a person, who can put that in place or end it."""
        if isinstance(error, KernelError):
            why = error.message
        else:
            why = str(error) if isinstance(error, StoreError) else type(error).__name__
            told = {"message": f"the record of process {process.pid} cannot be read", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)
        reason = f"its record cannot be read: {why}"
        self._kernel.note((ev.ProcessPaused(process.pid, reason), ev.IncidentOpened(process.pid, "record")))

    def _unstarted(self, process: Process, error: Exception) -> None:
        """A process that has done nothing ends with it; one that has done something is kept for a person to see to."""
        why = error.message if isinstance(error, KernelError) else type(error).__name__
        reason = f"no worker could be started: {why}"
        if process.untouched:
            self._kernel.end(process.pid, 1, 0, reason)
        else:
            self._kernel.note((ev.ProcessPaused(process.pid, reason), ev.IncidentOpened(process.pid, "worker")))

    def taken(self, live: Live) -> bool:
        """A frame comes during replay; False when the process was stopped for it."""
        assert live.cursor is not None
        try:
            live.cursor.on_taken(live.delivered)
        except Ereplay as error:
            self._diverged(live, error)
            return False
        return True

    def replayed(self, live: Live, n: int, name: str, argument: bytes) -> bool:
        """A call made during replay; False when the process was stopped for it."""
        assert live.cursor is not None
        try:
            live.cursor.on_call(n, name, argument, self._kernel.ledger.digest)
        except Ereplay as error:
            self._diverged(live, error)
            return False
        return True

    def advance(self, live: Live) -> None:
        """Send what is due, and go live at the frontier."""
        cursor = live.cursor
        assert cursor is not None
        if live.worker is None:
            return  # what is due goes out when it is there
        if cursor.turns_new(live.delivered):
            live.worker.hear()
        for item in cursor.due(ahead=live.in_steps):
            live.send(item.n, item.time_ns, item.errno, item.value)
        try:
            if not cursor.at_frontier(live.delivered):
                return
        except Ereplay as error:
            self._diverged(live, error)
            return
        live.cursor = None
        live.worker.hear()  # if it is not heard yet: what is printed from here on is new in any case
        live.worker.at_frontier()
        live.frame_end = live.last_n
        for n, name, argument in cursor.beyond:
            self._kernel.trap.call(live, n, name, argument)
        self._kernel.settled(live.pid)
        if self.too_many:
            self.put_away()

    def weigh(self, process: Process) -> None:
        """Its class has changed. Where the machine does not let its worker weigh more, it has another when it waits."""
        live = self.live.get(process.pid)
        if live is not None:
            live.outdated = live.worker is not None and not live.worker.weigh(process.qos)
            self.renew(live)

    def renew(self, live: Live) -> None:
        """Put a worker away that does not weigh what it should, if nobody can tell: the next one will."""
        if live.outdated and live.pid in self._kernel.places.idle and self._may_leave(live):
            self.kill(live.pid)

    @property
    def too_many(self) -> bool:
        """Whether some have to be put away."""
        return len(self.live) - len(self._inline) > self.most

    def put_away(self) -> None:
        """Let go of those that wait, the longest first, until there are as few as may be; KernelPanic if it fails."""
        idle = self._kernel.places.idle
        over = len(self.live) - len(self._inline) - self.most
        leaving: list[int] = []
        absent: list[int] = []
        for pid in idle:
            live = self.live.get(pid)
            if live is None:
                absent.append(pid)
            elif self._may_leave(live):
                leaving.append(pid)
                if len(leaving) == over:
                    break
        for pid in (*absent, *leaving):
            del idle[pid]
        try:
            for pid in leaving:
                self.kill(pid)
        except Exception as error:
            raise KernelPanic("who waits could not be put away") from error

    def _may_leave(self, live: Live) -> bool:
        if live.cursor is not None or not live.in_steps:
            return False
        if live.delivered != live.sent or live.pid in self._kernel.ledger.denials.waiting:
            return False
        process = self._kernel.table.get(live.pid)
        if process is None or process.state is not State.RUNNING:
            return False  # it has ended, and that is not durable yet
        return bool(process.open) and process.tail <= self._kernel.ledger.journal.durable

    def _diverged(self, live: Live, error: Ereplay) -> None:
        # Both sides go to the process's log: the journal holds no content.
        if live.worker is not None:
            live.worker.log(f"EREPLAY: {error.message}\n")
        self.kill(live.pid)
        if self._concerns(live):
            self._kernel.note((ev.ProcessPaused(live.pid, "EREPLAY"), ev.IncidentOpened(live.pid, "replay")))

    def _concerns(self, live: Live) -> bool:
        """Whether its process goes on in it; that it was ended or stopped need not be durable yet."""
        process = self._kernel.table.get(live.pid)
        return process is not None and process.state is State.RUNNING and process.epoch == live.epoch

    def kill(self, pid: int) -> None:
        """End the worker of `pid`, if there is one; its process is not judged by it."""
        live = self.forget(pid)
        if live is not None:
            self.leaving.setdefault(pid, []).append(live)
            live.kill()
        process = self._kernel.table.get(pid)
        if live is not None and process is not None and live.epoch == process.epoch and live.quiet(process):
            self.away[pid] = process.tail
        if process is None or not process.alive:
            self.away.pop(pid, None)
            self._warned.discard(pid)
            self._taken.pop(pid, None)
            self.losses.pop(pid, None)
            self.start_items.drop(pid)
        elif live is not None and live.epoch != process.epoch:
            self._taken[pid] = 0  # it begins again: nothing that it prints was printed before
        elif live is not None and not (live.cursor is not None and live.cursor.reading):
            quiet = live.cursor.quiet if live.cursor is not None else 0
            self._taken[pid] = quiet or live.sent - live.cut

    def left(self, pid: int) -> Live | None:
        """A worker of `pid` that was killed is gone: which."""
        return self._left_one(pid)

    def _left_one(self, pid: int) -> Live | None:
        lives = self.leaving.get(pid)
        if lives is None:
            return None
        live = lives.pop()
        if not lives:
            del self.leaving[pid]
        return live

    def lost(self, live: Live) -> None:
        """The worker of `live` is gone through no act of its program.

        It may have been in the middle of a step: what it printed in that comes again, rather than not at all.
        """
        pid, cursor = live.pid, live.cursor
        self.kill(pid)
        self._left_one(pid)  # nothing more is heard of it
        if pid in self._taken and not (cursor is not None and (cursor.reading or cursor.quiet)):
            self._taken[pid] = max(live.delivered - live.cut, 0)

    def forget(self, pid: int) -> Live | None:
        """The worker of `pid` is gone."""
        self._inline.discard(pid)
        return self.live.pop(pid, None)

    async def close(self) -> None:
        """End all."""
        for pid in list(self.live):
            self.kill(pid)
        for task in list(self._starting):
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        for runner in self._runners.values():
            await runner.close()
