"""The kernel of one shard: it routes, checks, orders and supervises.

    on_frame ─▶ trap ─▶ ledger.commit ─▶ (durable) ─▶ react: answers leave, effects and workers start, workers end
    effects, on_exit ─────────▲

It runs in one event loop, on one thread; every method here is called there. It knows its drivers by their ports alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eio, KernelError
from prytany.abi.ids import Pid, format_pid
from prytany.abi.values import NIL, pack_error
from prytany.journal.bodies import Stored
from prytany.kernel.accounts import accounts_of
from prytany.kernel.admission import Admission
from prytany.kernel.effects import Effects, Outside
from prytany.kernel.effects.finished import Finished
from prytany.kernel.exceeding import Exceeding
from prytany.kernel.faults import contain, panic
from prytany.kernel.finding import Finding
from prytany.kernel.fleets import FleetOperator
from prytany.kernel.gate import denied_value
from prytany.kernel.handlers.incarnation import end_events
from prytany.kernel.ledger import TENANT, Durable, Ledger
from prytany.kernel.letting_go import let_go
from prytany.kernel.live import Live
from prytany.kernel.losses import lose
from prytany.kernel.model_sparing import ModelSparing
from prytany.kernel.models.routes import ModelRoutes
from prytany.kernel.models.turns import ModelTurns
from prytany.kernel.notices import Notices
from prytany.kernel.operator import Operator
from prytany.kernel.outcome import Program, Programs
from prytany.kernel.places import Places
from prytany.kernel.processor import Processor
from prytany.kernel.quotas import DEFAULT_QUOTAS, Quotas
from prytany.kernel.reactions import Reactions, Watcher
from prytany.kernel.recovery import Recovery
from prytany.kernel.restarts import Restarts
from prytany.kernel.sessions import SessionOperator
from prytany.kernel.settle import TRIED_AGAIN
from prytany.kernel.toolbox import Toolbox
from prytany.kernel.trap import Trap, decode_arguments
from prytany.kernel.triggers import Triggers
from prytany.kernel.wakes import Wakes
from prytany.kernel.workers import Workers
from prytany.ports.model import Model
from prytany.ports.runner import Call, Runner
from prytany.ports.store import Reader, StoreError
from prytany.ports.tool import Tools
from prytany.process.process import Process, State
from prytany.scheduling.turns import Turns


class Kernel:
    """See the module."""

    def __init__(
        self,
        ledger: Ledger,
        outside: Outside,
        runners: dict[str, Runner],
        reader: Reader,
        find_program: Callable[..., Program],
        entropy: Callable[[int], bytes],
        *,
        running_max: int,
        workers_max: int = limits.WORKERS_MAX,
        watch: Watcher | None = None,
        quotas: Quotas = DEFAULT_QUOTAS,
        environment: Callable[[str], str] = lambda python: "",
        programs: Programs | None = None,
    ) -> None:
        self.ledger, self.table, self.state = ledger, ledger.table, ledger.state
        self.outside, self.reader, self._entropy, state = outside, reader, entropy, ledger.state
        self.post, self.contexts, self.fleets, self.budgets = state.post, state.contexts, state.fleets, state.budgets
        found = Finding(find_program, programs, self.content, environment)
        self.find_program, self.known_program, self.look_up = found.find_program, found.known_program, found.look_up
        self.environment = found.environment
        self.places = Places(running_max, self.now_ns)
        self._tools = Toolbox(ledger.state.grants, outside.tools, ledger.digest)
        self.model_turns = ModelTurns(self, outside.clock)
        self.model_endpoints = self.model_turns.endpoints
        self.model_routes, self.model_sparing = ModelRoutes(self), ModelSparing(self)
        self.exceeding = Exceeding(self, outside.clock)
        self.quotas = quotas
        self.effects = Effects(outside, self)
        self.paced, self.admission, self.wakes = self.effects.paced, Admission(self), Wakes(self)
        self.trap = Trap(ledger, self, quotas)
        self.recovery = Recovery(self)
        self.workers = Workers(self, runners, workers_max)
        self.processor = Processor(self)
        self.restarts = Restarts(outside.clock, self)
        self.notices = Notices(self, outside.couriers, outside.clock, outside.home)
        self.closing = self.draining = False
        self.idle = False
        """Opened to be looked at and steered, and not to run anything."""
        self.reactions = Reactions(self, watch)
        self.operator = Operator(self)
        self.fleet_operator = FleetOperator(self)
        self.sessions, self.triggers = SessionOperator(self), Triggers(self, outside.clock, outside.watch)

    # What handlers may look at (outcome.Context).

    def now_ns(self) -> int:
        """The kernel's time."""
        return self.ledger.now_ns()

    def digest(self, content: bytes) -> bytes:
        """The keyed digest of `content`."""
        return self.ledger.digest(content)

    def shared_digest(self, content: bytes) -> bytes:
        """The same, of content that many entries name."""
        return self.ledger.shared.digest(content)

    def entropy(self, size: int) -> bytes:
        """Random bytes; what is drawn goes into an event."""
        return self._entropy(size)

    def model(self, process: Process, name: str) -> Model | None:
        """What `process` means by that name; "" is its own model. No process means one of a fleet that it is not of."""
        return self.outside.models.get(self.endpoint_name(process, name))

    def endpoint_name(self, process: Process, name: str) -> str:
        """The kernel's name of what `process` means by that name."""
        return self.fleets.model_of(process.pid, name) if name else process.model

    def endpoint(self, name: str) -> Model | None:
        """The model of which that is the kernel's name."""
        return self.outside.models.get(name)

    def accounts_of(self, process: Process) -> Sequence[str]:
        """The budgets that a process stands below."""
        return accounts_of(self.ledger.state, process)

    def asked_model(self, process: Process, n: int, name: str) -> Model | None:
        """The model that open call `n` has its turn at; `name` is what its caller calls it."""
        reserved = process.open[n].reserved
        return self.endpoint(reserved.endpoint) if reserved is not None else self.model(process, name)

    def unfinished(self, process: Process, n: int) -> tuple[ev.Event, ...]:
        """What is recorded of a call that ends now, without its answer: what a model's is charged, a tool's doubt."""
        return (
            self.effects.models.unfinished(process, n, "cancelled")
            or self.recovery.lost(process, n)
            or self.admission.abandoned(process, n)
        )

    @property
    def tools(self) -> Toolbox:
        """What each process may call."""
        return self._tools

    def loaded_tools(self, run: int, name: str) -> Tools | None:
        """The file of a tool, as it was granted to a run."""
        return self._tools.loaded(run, name)

    @property
    def turns(self) -> Turns:
        """Which tool calls are open, and who waits for a resource."""
        return self.ledger.state.turns

    def content_of(self, pid: int) -> bytes:
        """What a terminated process left, packed."""
        process = self.table.require(pid)
        if process.forgotten and process.result:
            raise Eio(f"what process {format_pid(Pid(pid))} left was forgotten, by an operator's command")
        return self.content(process.result, process.ended_seq)

    def content(self, digest: bytes, seq: int = 0) -> bytes:
        """Stored content, by its digest; `seq` is the entry that names it, where it may lie in its row."""
        if not digest:
            return b""
        held = None if 0 < seq <= self.ledger.journal.durable else self.ledger.undurable(digest)
        if held is not None:
            return held
        row = self.reader.row(seq) if seq else None
        packed = row.bodies if row is not None else b""
        return Stored(self.reader, TENANT, packed, "the journal", self.digest).read(digest)

    # Inputs.

    def on_frame(self, pid: int, delivered: int, calls: Sequence[Call]) -> None:
        """A worker's frame; see ports.runner."""
        live = self.workers.live.get(pid)
        if live is None or live.leaving or self.closing:
            return
        if not live.delivered <= delivered <= live.sent:
            self._misbehaves(live, f"its worker said that it took {delivered} items of {live.sent}")
            return
        try:
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
            elif not calls:
                self.reactions.deadlocks.look(pid)
        except Exception as error:
            contain(self, self.reactions, pid, error, "a frame")

    def _misbehaves(self, live: Live, reason: str) -> None:
        self.workers.kill(live.pid)
        self.end(live.pid, 1, 0, reason)

    def on_left(self, pid: int, cpu_us: int) -> None:
        """A worker that was ended is gone; see ports.runner. What it took is recorded to the last, when closing too."""
        live = self.workers.left(pid)
        if live is not None and self.ledger.journal.failure is None:
            self.processor.ended(live, cpu_us)

    def on_exit(self, pid: int, status: int, signal: int, reason: str, cpu_us: int) -> None:
        """A worker is gone; see ports.runner."""
        live = self.workers.forget(pid)
        process = self.table.get(pid)
        if live is None or live.leaving or self.closing or process is None or process.epoch != live.epoch:
            return
        try:
            self.processor.ended(live, cpu_us)
            self.end(pid, status, signal, reason)
        except Exception as error:
            contain(self, self.reactions, pid, error, "the end of its worker")

    def on_lost(self, pid: int, reason: str) -> None:
        """A worker is gone through no act of its program; see ports.runner."""
        live = self.workers.live.get(pid)
        if live is not None and not live.leaving and not self.closing:
            try:
                lose(self, live, reason)
            except Exception as error:
                contain(self, self.reactions, pid, error, "the loss of its worker")

    def end(self, pid: int, status: int, signal: int, reason: str, cpu_us: int = 0) -> None:
        """The process terminates by something other than its own call."""
        process = self.table.get(pid)
        if process is not None and process.alive and not self.closing:
            events, contents = end_events(self, process, status, signal, reason, b"", cpu_us)
            named = {self.digest(content): content for content in contents}
            self.ledger.commit(events, named, payer=pid, reserve=True)

    def complete(self, pid: int, n: int, errno: str, value: bytes, made: Finished) -> None:
        """An effect's result. Without it, what it would have changed is not recorded; what it took always is."""
        process = self.table.get(pid)
        if self.closing or process is None or n not in process.open:
            return
        if len(value) > limits.OVERDRAFT_BYTES_MAX and (cause := self.quotas.full(process, self.table, len(value))):
            errno, value = "EDQUOT", denied_value("", cause)
        result = b"" if value == NIL else self.digest(value)
        closed = ev.CallClosed(pid, n, errno, result, process.tail)
        changes = () if errno else made.events
        contents, shared = {result: value} if result else {}, () if errno else made.shared
        if changes:
            contents |= {self.digest(content): content for content in made.contents}
        self.ledger.commit((*made.used, *changes, closed), contents, shared, payer=pid)

    def arguments(self, process: Process, n: int) -> Any:
        """The arguments of an open call whose effect is about to begin; None when they cannot be read, and then it is
        closed: what one process asked for must not keep the others.
        """
        call = process.open[n]
        try:
            return decode_arguments(call.call, self.content(call.argument, call.seq))
        except KernelError as error:
            why = pack_error(f"what it was asked cannot be read: {error.message}", error.detail)
        except StoreError as error:
            why = pack_error(f"what it was asked cannot be read: {error}")
        self.complete(process.pid, n, "EIO", why, Finished(None))
        return None

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
        if cause := self.quotas.full(process, self.table, len(value)):
            denied = denied_value("", cause)
            closed = ev.CallClosed(pid, n, "EDQUOT", self.digest(denied), process.tail)
            charges = self.effects.models.unfinished(process, n, "cancelled")
            self.ledger.commit((*charges, closed), {closed.result: denied}, payer=pid)
            return
        piece = self.digest(value)
        self.ledger.commit((ev.CallPiece(pid, n, piece, process.tail),), {piece: value})

    async def room(self, pid: int) -> None:
        """Return when the worker of `pid` can take more pieces; at once where there is none."""
        live = self.workers.live.get(pid)
        if live is not None:
            await live.wait_taken(limits.PIECES_AHEAD_MAX)

    def react(self, entry: Durable) -> None:
        """An entry is durable."""
        self.reactions.react(entry)

    # Life.

    def begin(self, version: str, os_pid: int) -> None:
        """Go on where the journal stands."""
        seq = self.ledger.commit((ev.KernelStarted(version, os_pid),), {})
        while long_ended := let_go(self.table, self.now_ns(), keep_ms=self.quotas.ended_run_ms):
            self.ledger.commit(long_ended, {})
        for key in list(self.table.incidents):
            pid, kind, n = key.split(":")
            if kind in TRIED_AGAIN:
                self.ledger.commit((ev.IncidentClosed(int(pid), kind, int(n)),), {})
        running = list(self.table.running)
        self.ledger.journal.wait_durable(seq).add_done_callback(lambda begun: self._go_on(begun, running))

    def _go_on(self, begun: asyncio.Future[None], running: list[int]) -> None:
        # Not before this is durable: what began again on a full disk would be paid for, and its result lost.
        if begun.cancelled() or begun.exception() is not None or self.closing:
            return
        try:
            self._come_back(running)
            self.notices.begin()
        except Exception as error:
            panic(self, error, "what stands in the journal could not be gone on with")

    def _come_back(self, running: list[int]) -> None:
        self.admission.come_back()
        self.exceeding.begin()
        for pid in running:
            process = self.table.get(pid)
            if process is not None and process.state is State.RUNNING:
                try:
                    self.reactions.begin_open(process, self.ledger.journal.durable + 1)
                except Exception as error:
                    contain(self, self.reactions, pid, error, "coming back")
                    continue
                if not process.idle:
                    self.places.ask(pid, process.qos)
        for process in list(self.table.processes.values()):
            if process.state is State.STOPPED:
                self.reactions.begin_deadlines(process)
        self.restarts.begin()
        self.wakes.fill()
        self.sessions.come_back()
        self.wakes.begin()
        self.triggers.begin()
        self.reactions.line_up()
        self.reactions.deadlocks.come_back()

    def settled(self, pid: int) -> None:
        """The worker of `pid` stands where its process stands."""
        process = self.table.get(pid)
        if process is not None:
            self.processor.begun(process)
            self.places.update(process)
            self.reactions.fill()
            self.reactions.deadlocks.look(pid)

    def lost(self, task: asyncio.Task[None]) -> None:
        """A task of the kernel's has ended. What it raised must not be lost with it: somebody would wait for ever."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(error, "a task failed")

    def failed(self, error: BaseException, at: str) -> None:
        """What nobody waits for has failed; that stops the kernel."""
        panic(self, error, at)

    def fail(self) -> None:
        """The journal is broken: take no input any more. What was acknowledged is in it, and goes on from there."""
        self.closing = True

    async def close(self) -> None:
        """Stop at once; everything goes on from the journal next time."""
        self.closing = True
        for part in (self.effects, self.model_turns, self.exceeding, self.restarts, self.notices, self.sessions):
            await part.close()
        await self.triggers.close()
        await self.workers.close()
        self.ledger.snapshots.save(self.ledger.journal)
        await self.ledger.journal.close()
