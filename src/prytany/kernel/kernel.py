"""The kernel of one shard: it routes, checks, orders and supervises.

    on_frame ─▶ trap ─▶ ledger.commit ─▶ (durable) ─▶ react: answers leave, effects and workers start, workers end
    effects, on_exit ─────────▲

It runs in one event loop, on one thread; every method here is called there. It knows its drivers by their ports alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.kernel.effects import Effects, Outside
from prytany.kernel.handlers.process import exit_events, exit_value, signal_events
from prytany.kernel.ledger import Durable, Ledger
from prytany.kernel.outcome import Program
from prytany.kernel.places import Places
from prytany.kernel.replay import NIL, Item, denied_value
from prytany.kernel.trap import Trap, decode_arguments
from prytany.kernel.workers import Workers
from prytany.ports.runner import Call, Runner
from prytany.ports.store import Reader
from prytany.process.process import Process, State
from prytany.process.table import Table

_pack = msgspec.msgpack.encode
Watcher = Callable[[int, int, Sequence[ev.Event]], None]
"""Told of every durable entry: number, time, events. What `run` shows as progress comes from here."""


class Kernel:
    """See the module."""

    def __init__(
        self,
        ledger: Ledger,
        outside: Outside,
        runners: dict[str, Runner],
        reader: Reader,
        find_program: Callable[[str, str], Program],
        entropy: Callable[[int], bytes],
        *,
        running_max: int,
        watch: Watcher | None = None,
    ) -> None:
        self.ledger = ledger
        self.outside = outside
        self.reader = reader
        self._entropy = entropy
        self._find_program = find_program
        self.places = Places(running_max)
        self.effects = Effects(outside, self)
        self.trap = Trap(ledger, self)
        self.workers = Workers(self, runners)
        self.closing = False
        self._watch = watch
        self._ended: dict[int, list[asyncio.Future[dict[str, Any]]]] = {}

    # What handlers may look at (outcome.Context).

    @property
    def table(self) -> Table:
        """The process table."""
        return self.ledger.table

    def digest(self, content: bytes) -> bytes:
        """The keyed digest of `content`."""
        return self.ledger.digest(content)

    def entropy(self, size: int) -> bytes:
        """Random bytes; what is drawn goes into an event."""
        return self._entropy(size)

    def find_program(self, target: str, beside: str) -> Program:
        """Resolve a program's name; raises Enoent."""
        return self._find_program(target, beside)

    def has_model(self, name: str) -> bool:
        """Whether there is a model of that name."""
        return name in self.outside.models

    def content_of(self, pid: int) -> bytes:
        """What a terminated process left, packed."""
        process = self.table.require(pid)
        return self.content(process.result, process.ended_seq)

    def content(self, digest: bytes, seq: int = 0) -> bytes:
        """Stored content, by its digest; `seq` is the entry that names it, where it may lie in its row."""
        if not digest:
            return b""
        held = self.ledger.undurable(digest)
        return self.workers.content(digest, seq) if held is None else held

    # Inputs.

    def spawn(
        self, program: str, args: list[Any], kwargs: dict[str, Any], *, kind: str = "python", uid: int = -1,
        name: str = "", pledge: list[str] | None = None, unveil: dict[str, str] | None = None, model: str = "",
    ) -> int:  # fmt: skip
        """The operator starts a root process; its pid. Raises Enoent when there is no such program."""
        found = self.find_program(program, "")
        argument = _pack([args, kwargs])
        pid = self.table.next_number
        spawned = ev.ProcessSpawned(
            pid=pid, parent=0, run=pid, name=name or found.name, kind=kind, program=found.program,
            source=self.digest(found.source), argument=self.digest(argument),
            pledge=sorted(found.pledge if pledge is None else pledge), unveil=unveil or {}, seed=self.entropy(32),
            uid=uid, model=model,
        )  # fmt: skip
        contents = {self.digest(argument): argument}
        self.ledger.commit((spawned, ev.ProcessReady(pid, 1)), contents, (found.source,))
        return pid

    def signal(self, pid: int, signal: int, uid: int) -> None:
        """The operator signals a process."""
        events, contents = signal_events(self, self.table.require(pid), signal, -1 - uid)
        self._commit(events, contents)

    async def wait_ended(self, pid: int) -> dict[str, Any]:
        """The durable end of a process: pid, status, signal, reason, result, error."""
        process = self.table.require(pid)
        if process.state is State.TERMINATED:
            return exit_value(process, self.content_of(pid))
        ended: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._ended.setdefault(pid, []).append(ended)
        return await ended

    def on_frame(self, pid: int, delivered: int, calls: Sequence[Call]) -> None:
        """A worker's frame; see ports.runner."""
        live = self.workers.live.get(pid)
        if live is None or live.leaving or self.closing:
            return
        live.delivered = delivered
        for n, name, args in calls:
            if n != live.last_n + 1:
                self.workers.kill(pid)
                self.end(pid, 1, 0, f"its worker numbered a call {n} after {live.last_n}")
                return
            live.last_n = n
            if live.cursor is None:
                self.trap.call(live, n, name, bytes(args))
            elif not self.workers.replayed(live, n, name, bytes(args)):
                return
        if live.cursor is not None:
            self.workers.advance(live)

    def on_exit(self, pid: int, status: int, signal: int, reason: str, cpu_us: int) -> None:
        """A worker is gone; see ports.runner."""
        live = self.workers.forget(pid)
        if live is None or live.leaving or self.closing:
            return
        self.end(pid, status, signal, reason, cpu_us)

    def end(self, pid: int, status: int, signal: int, reason: str, cpu_us: int = 0) -> None:
        """The process terminates by something other than its own call."""
        process = self.table.get(pid)
        if process is not None and process.alive:
            self._commit(*exit_events(self, process, status, signal, reason, b"", cpu_us))

    def complete(self, pid: int, n: int, errno: str, value: bytes, events: tuple[ev.Event, ...]) -> None:
        """An effect's result."""
        process = self.table.get(pid)
        if self.closing or process is None or n not in process.open:
            return
        result = b"" if value == NIL else self.digest(value)
        closed = ev.CallClosed(pid, n, errno, result, process.tail)
        self.ledger.commit((*events, closed), {result: value} if result else {})

    def note(self, events: tuple[ev.Event, ...]) -> None:
        """Events of an effect that is still going on."""
        if not self.closing:
            self.ledger.commit(events, {})

    def _commit(self, events: Sequence[ev.Event], contents: Sequence[bytes]) -> None:
        if events:
            self.ledger.commit(events, {self.digest(content): content for content in contents})

    # Reactions: only here, and only to what is durable, does anything leave.

    def react(self, entry: Durable) -> None:
        """Do what a durable entry means for the outside."""
        if self.closing:
            return
        for event in entry.events:
            reaction = _REACTIONS.get(type(event))
            if reaction is not None:
                reaction(self, entry, event)
        if self._watch is not None and entry.time_ns:
            self._watch(entry.seq, entry.time_ns, entry.events)

    def _deliver(self, pid: int, item: Item, seq: int) -> None:
        live = self.workers.live.get(pid)
        if live is None:
            self.workers.wake(pid)
        elif seq <= live.upto:
            return  # its record was read up to there
        elif live.cursor is None:
            live.send(*item)
        else:
            live.cursor.add(item)
            self.workers.advance(live)

    def on_done(self, entry: Durable, e: ev.CallDone) -> None:
        """An answer leaves."""
        self._deliver(e.pid, Item(e.n, entry.time_ns, e.errno, entry.contents.get(e.result, NIL)), entry.seq)

    def on_opened(self, entry: Durable, e: ev.CallOpened) -> None:
        """An effect begins."""
        process = self.table.get(e.pid)
        if process is None or e.n not in process.open:
            return  # closed again by the time it was durable
        self._place(process)
        self.effects.start(process, e.n, e.call, decode_arguments(e.call, entry.contents[e.argument]))

    def on_closed(self, entry: Durable, e: ev.CallClosed) -> None:
        """An effect ends, and its answer leaves."""
        self.effects.cancel(e.pid, e.n)
        process = self.table.get(e.pid)
        if process is not None and process.alive:
            self._place(process)
            self._deliver(e.pid, Item(e.n, entry.time_ns, e.errno, entry.contents.get(e.result, NIL)), entry.seq)

    def on_denied(self, entry: Durable, e: ev.CallsDenied) -> None:
        """A refusal leaves."""
        live = self.workers.live.get(e.pid)
        if live is not None:
            self._deliver(
                e.pid,
                Item(e.ns[0], entry.time_ns or live.last_ns, e.errno, denied_value(e.call)),
                entry.seq or live.upto + 1,
            )

    def on_signalled(self, entry: Durable, e: ev.ProcessSignalled) -> None:
        """A signal leaves."""
        self._deliver(e.pid, Item(-e.signal, entry.time_ns, "", NIL), entry.seq)

    def on_ready(self, entry: Durable, e: ev.ProcessReady | ev.ProcessContinued) -> None:
        """Somebody wants to run."""
        process = self.table.get(e.pid)
        if process is not None and process.state is State.RUNNING:
            self.workers.wake(e.pid)
        self._fill()

    def on_started(self, entry: Durable, e: ev.ProcessStarted) -> None:
        """A worker starts."""
        self.workers.wake(e.pid)

    def on_stopped(self, entry: Durable, e: ev.ProcessPaused) -> None:
        """A worker is taken away."""
        self.workers.kill(e.pid)
        self.places.release(e.pid)
        self._fill()

    def on_exited(self, entry: Durable, e: ev.ProcessExited) -> None:
        """Everything of the process ends."""
        self.effects.cancel_all(e.pid)
        self.workers.kill(e.pid)
        self.places.release(e.pid)
        left = entry.contents.get(e.result, b"")
        if (process := self.table.get(e.pid)) is not None:
            for ended in self._ended.pop(e.pid, ()):
                if not ended.done():
                    ended.set_result(exit_value(process, left))
        self._fill()

    def on_reaped(self, entry: Durable, e: ev.ProcessReaped) -> None:
        """Nobody asks for it again."""
        self.places.release(e.pid)

    def _place(self, process: Process) -> None:
        self.places.update(process)
        if self.table.ready:
            self._fill()

    def _fill(self) -> None:
        """Let in whom there is a place for, oldest first."""
        while self.table.ready and self.places.free > 0:
            process = self.table.require(next(iter(self.table.ready)))
            self.ledger.commit((ev.ProcessStarted(process.pid, process.tail),), {})
            self.places.update(process)

    # Life.

    def begin(self, version: str, os_pid: int) -> None:
        """Go on where the journal stands: effects begin again, processes come back by replay."""
        self.ledger.commit((ev.KernelStarted(version, os_pid),), {})
        for key in list(self.table.incidents):
            pid, kind, n = key.split(":")
            # Tried again: it comes up again if it must.
            self.ledger.commit((ev.IncidentClosed(int(pid), kind, int(n)),), {})
        for running in list(self.table.running):
            self._come_back(self.table.require(running))
        self._fill()

    def _come_back(self, process: Process) -> None:
        self.places.update(process)
        for n, call in process.open.items():
            self.effects.start(
                process, n, call.call, decode_arguments(call.call, self.content(call.argument, call.seq))
            )
        if self.places.holds(process.pid):
            self.workers.wake(process.pid)

    async def close(self) -> None:
        """Stop at once; everything goes on from the journal next time."""
        self.closing = True
        await self.effects.close()
        await self.workers.close()
        await self.ledger.journal.close()


_REACTIONS: dict[type, Callable[[Kernel, Durable, Any], None]] = {
    ev.CallDone: Kernel.on_done,
    ev.CallOpened: Kernel.on_opened,
    ev.CallClosed: Kernel.on_closed,
    ev.CallsDenied: Kernel.on_denied,
    ev.ProcessSignalled: Kernel.on_signalled,
    ev.ProcessReady: Kernel.on_ready,
    ev.ProcessContinued: Kernel.on_ready,
    ev.ProcessStarted: Kernel.on_started,
    ev.ProcessPaused: Kernel.on_stopped,
    ev.ProcessExited: Kernel.on_exited,
    ev.ProcessReaped: Kernel.on_reaped,
}
