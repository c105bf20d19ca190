"""The kernel of one shard: it routes, checks, orders and supervises.

    on_frame ─▶ trap ─▶ ledger.commit ─▶ (durable) ─▶ react: answers leave, effects and workers start, workers end
    effects, on_exit ─────────▲

It runs in one event loop, on one thread; every method here is called there. It knows its drivers by their ports alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.kernel.effects import Effects, Outside
from prytany.kernel.handlers.process import exit_events
from prytany.kernel.ledger import Durable, Ledger
from prytany.kernel.live import Live
from prytany.kernel.operator import Operator
from prytany.kernel.outcome import Program
from prytany.kernel.places import Places
from prytany.kernel.reactions import Reactions, Watcher
from prytany.kernel.recovery import Recovery
from prytany.kernel.replay import NIL
from prytany.kernel.settle import TRIED_AGAIN
from prytany.kernel.trap import Trap
from prytany.kernel.workers import Workers
from prytany.memory.contexts import Contexts
from prytany.ports.model import Model
from prytany.ports.runner import Call, Runner
from prytany.ports.store import Reader
from prytany.process.process import Process
from prytany.process.table import Table

_pack = msgspec.msgpack.encode


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
        workers_max: int = limits.WORKERS_MAX,
        watch: Watcher | None = None,
        environment: Callable[[str], str] = lambda python: "",
    ) -> None:
        self.ledger = ledger
        self.outside = outside
        self.reader = reader
        self._entropy = entropy
        self._find_program = find_program
        self._environment = environment
        self.places = Places(running_max)
        self.effects = Effects(outside, self)
        self.recovery = Recovery(self)
        self.trap = Trap(ledger, self)
        self.workers = Workers(self, runners, workers_max)
        self.closing = False
        self.idle = False
        """Opened to be looked at and steered, and not to run anything."""
        self.reactions = Reactions(self, watch)
        self.operator = Operator(self)

    # What handlers may look at (outcome.Context).

    @property
    def table(self) -> Table:
        """The process table."""
        return self.ledger.table

    @property
    def contexts(self) -> Contexts:
        """Every process's contexts."""
        return self.ledger.state.contexts

    def digest(self, content: bytes) -> bytes:
        """The keyed digest of `content`."""
        return self.ledger.digest(content)

    def entropy(self, size: int) -> bytes:
        """Random bytes; what is drawn goes into an event."""
        return self._entropy(size)

    def find_program(self, target: str, beside: str) -> Program:
        """Resolve a program's name; raises Enoent."""
        return self._find_program(target, beside)

    def environment(self, python: str) -> str:
        """What the environment of an interpreter is now."""
        return self._environment(python)

    def model(self, name: str) -> Model | None:
        """The model of that name."""
        return self.outside.models.get(name)

    def unfinished(self, process: Process, n: int) -> tuple[ev.Event, ...]:
        """What a model call that ends now, without its answer, is charged."""
        return self.effects.models.unfinished(process, n, "cancelled")

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

    def on_frame(self, pid: int, delivered: int, calls: Sequence[Call]) -> None:
        """A worker's frame; see ports.runner."""
        live = self.workers.live.get(pid)
        if live is None or live.leaving or self.closing:
            return
        if not live.delivered <= delivered <= live.sent:
            self._misbehaves(live, f"its worker said that it took {delivered} items of {live.sent}")
            return
        live.delivered = delivered
        live.frame_end = live.last_n + len(calls)
        live.on_taken()
        if live.cursor is not None and not self.workers.taken(live):
            return
        for n, name, args in calls:
            if n != live.last_n + 1:
                self._misbehaves(live, f"its worker numbered a call {n} after {live.last_n}")
                return
            live.last_n = n
            if live.cursor is None:
                self.trap.call(live, n, name, bytes(args))
            elif not self.workers.replayed(live, n, name, bytes(args)):
                return
        if live.cursor is not None:
            self.workers.advance(live)

    def _misbehaves(self, live: Live, reason: str) -> None:
        self.workers.kill(live.pid)
        self.end(live.pid, 1, 0, reason)

    def on_left(self, pid: int, cpu_us: int) -> None:
        """A worker that was ended is gone; see ports.runner. What it took is recorded to the last, when closing too."""
        run = self.workers.left(pid)
        if cpu_us and run and self.ledger.journal.failure is None:
            self.ledger.commit((ev.ProcessAccounted(pid, run, cpu_us),), {})

    def on_exit(self, pid: int, status: int, signal: int, reason: str, cpu_us: int) -> None:
        """A worker is gone; see ports.runner."""
        if self.workers.forget(pid) is None or self.closing:
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

    def wait_durable(self, seq: int) -> Awaitable[None]:
        """Until entry `seq` can be read."""
        return self.ledger.journal.wait_durable(seq)

    def note(self, events: tuple[ev.Event, ...]) -> None:
        """Events of an effect that is still going on."""
        if not self.closing:
            self.ledger.commit(events, {})

    def piece(self, pid: int, n: int, value: bytes) -> None:
        """A streamed call gave a piece; it is delivered when it is durable."""
        process = self.table.get(pid)
        if self.closing or process is None or n not in process.open:
            return
        piece = self.digest(value)
        self.ledger.commit((ev.CallPiece(pid, n, piece, process.tail),), {piece: value})

    async def room(self, pid: int) -> None:
        """Return when the worker of `pid` can take more pieces; at once where there is none."""
        live = self.workers.live.get(pid)
        if live is not None:
            await live.wait_taken(limits.PIECES_AHEAD_MAX)

    def _commit(self, events: Sequence[ev.Event], contents: Sequence[bytes]) -> None:
        if events:
            self.ledger.commit(events, {self.digest(content): content for content in contents})

    def react(self, entry: Durable) -> None:
        """An entry is durable."""
        self.reactions.react(entry)

    # Life.

    def begin(self, version: str, os_pid: int) -> None:
        """Go on where the journal stands: effects begin again, processes come back by replay."""
        self.ledger.commit((ev.KernelStarted(version, os_pid),), {})
        for key in list(self.table.incidents):
            pid, kind, n = key.split(":")
            if kind in TRIED_AGAIN:
                self.ledger.commit((ev.IncidentClosed(int(pid), kind, int(n)),), {})
        for running in list(self.table.running):
            self._go_on(self.table.require(running))
        self.reactions.fill()

    def _go_on(self, process: Process) -> None:
        self.reactions.begin_open(process)
        if not process.idle:
            self.places.ask(process.pid)

    def settled(self, pid: int) -> None:
        """The worker of `pid` stands where its process stands."""
        process = self.table.get(pid)
        if process is not None:
            self.places.update(process)
            self.reactions.fill()

    async def close(self) -> None:
        """Stop at once; everything goes on from the journal next time."""
        self.closing = True
        await self.effects.close()
        await self.workers.close()
        self.ledger.snapshots.save(self.ledger.journal)
        await self.ledger.journal.close()
