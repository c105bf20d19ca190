"""Reactions: what a durable entry means for the outside. Here alone, and for what is durable alone, anything leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from prytany.abi import events as ev
from prytany.abi.values import NIL
from prytany.abi.wire import PIECE
from prytany.kernel.admission import Admission
from prytany.kernel.deadlocks import Deadlocks
from prytany.kernel.effects.running import ENDLESS
from prytany.kernel.faults import TAKES_AWAY, contain, named, tell
from prytany.kernel.gate import denied_value
from prytany.kernel.handlers.process import exit_value
from prytany.kernel.ledger import Durable, Ledger
from prytany.kernel.letting_in import LettingIn
from prytany.kernel.pressure import MemoryPressure
from prytany.kernel.record import Item
from prytany.kernel.recovery import Recovery
from prytany.kernel.simple_reactions import SIMPLE
from prytany.kernel.simple_reactions import Core as Simple
from prytany.process.process import Process, State
from prytany.process.table import Table

MODELS = frozenset({"model_chat", "model_embed"})
DEADLINES = frozenset({"timer_wait", *ENDLESS})
"""Calls that a time ends, by itself or beside something else."""
BegunAgain = ev.ProcessExeced | ev.ProcessUpgraded | ev.ProcessReverted | ev.ProcessHandedOff
Watcher = Callable[[int, int, Sequence[ev.Event]], None]
"""Told of every durable entry: number, time, events. What `run` shows as progress comes from here."""


class Sessions(Protocol):
    """Sessions, as reactions see them."""

    def ended(self, pid: int, reason: str) -> None:
        """A process has ended."""
        ...


class Core(Simple, Protocol):
    """The kernel, as reactions see it."""

    ledger: Ledger
    admission: Admission
    recovery: Recovery
    closing: bool

    @property
    def table(self) -> Table:
        """The process table."""
        ...

    @property
    def sessions(self) -> Sessions:
        """What ends with whom."""
        ...

    def fail(self) -> None:
        """Take no input any more."""
        ...

    def arguments(self, process: Process, n: int) -> Any:
        """The arguments of an open call; None when it is closed for want of them."""
        ...


class Reactions:
    """Answers leave, effects and workers start, workers end."""

    def __init__(self, kernel: Core, watch: Watcher | None) -> None:
        self._k = kernel
        self._watch = watch
        self.ended: dict[int, list[asyncio.Future[dict[str, Any]]]] = {}
        """Who waits outside for the end of a process."""
        self.pressure, self.deadlocks = MemoryPressure(kernel), Deadlocks(kernel)
        self._in = LettingIn(kernel, self.pressure.holds)
        self.fill, self.line_up = self._in.fill, self._in.line_up

    def react(self, entry: Durable) -> None:
        """Do what a durable entry means for the outside. What fails is seen to as `faults` says, and not raised."""
        if self._k.closing:
            return
        for event in entry.events:
            reaction = _REACTIONS.get(type(event))
            if reaction is not None:
                try:
                    reaction(self, entry, event)
                except Exception as error:
                    self._failed(event, error)
                    if self._k.closing:
                        return
        if self._watch is not None and entry.time_ns:
            try:
                self._watch(entry.seq, entry.time_ns, entry.events)
            except Exception as error:
                self._watch = None
                tell(error, "who watches is not told any more")

    def _failed(self, event: ev.Event, error: Exception) -> None:
        pid = getattr(event, "pid", 0)
        contain(self._k, self, pid, error, named(event), whole=type(event) not in TAKES_AWAY)

    def _deliver(self, pid: int, item: Item, seq: int) -> None:
        live = self._k.workers.live.get(pid)
        if live is None:
            self.come_back(pid)
        elif seq <= live.upto:
            return  # its record was read up to there
        elif live.cursor is None:
            live.send(item.n, item.time_ns, item.errno, item.value)
        else:
            live.cursor.add(item)
            self._k.workers.advance(live)

    def come_back(self, pid: int) -> None:
        """Something waits for a process that has no worker: it comes back when there is a place for it."""
        process = self._k.table.get(pid)
        if process is None or process.state is not State.RUNNING:
            return
        if self._k.places.holds(pid):
            self._k.workers.wake(pid)
        else:
            self._k.places.ask(pid, process.qos)
            self.fill()

    def on_done(self, entry: Durable, e: ev.CallDone) -> None:
        """An answer leaves."""
        if self.deadlocks.inline:
            self.deadlocks.told(e.pid)
        self._deliver(e.pid, Item(e.n, entry.time_ns, e.errno, entry.contents.get(e.result, NIL)), entry.seq)

    def on_opened(self, entry: Durable, e: ev.CallOpened) -> None:
        """An effect begins."""
        process = self._k.table.get(e.pid)
        if process is None or e.n not in process.open:
            return  # closed again by the time it was durable
        self._place(process)
        begins = e.call not in MODELS or any(type(event) is ev.ModelReserved for event in entry.events)
        if begins and not process.open[e.n].paced:
            self._k.effects.start(process, e.n, e.call, entry.work)
        if e.pid not in self._k.workers.live and not process.idle:
            self.come_back(e.pid)  # stopped and continued meanwhile: before this was durable, it could not come
        self.deadlocks.opened(e.pid, e.call)

    def on_closed(self, entry: Durable, e: ev.CallClosed) -> None:
        """An effect ends, and its answer leaves."""
        self._k.effects.cancel(e.pid, e.n)
        self._k.model_sparing.closed(e.pid, e.n, entry.seq, e.errno)
        self._k.model_turns.left(e.pid, e.n)
        process = self._k.table.get(e.pid)
        if process is not None and process.alive:
            self._place(process)
            self._deliver(e.pid, Item(e.n, entry.time_ns, e.errno, entry.contents.get(e.result, NIL)), entry.seq)
            self.deadlocks.told(e.pid)
        self._k.admission.fill()

    def on_tool_started(self, entry: Durable, e: ev.ToolStarted) -> None:
        """A tool's effect begins."""
        if (process := self._k.table.get(e.pid)) is not None:
            self._place(process)
        self._k.admission.start(e.pid, e.n)

    def on_paced(self, entry: Durable, e: ev.CallPaced) -> None:
        """A call waits for its agent's rate, and needs no place; or it begins."""
        process = self._k.table.get(e.pid)
        call = process.open.get(e.n) if process is not None else None
        if process is None or call is None:
            return
        self._place(process)
        if process.state is State.RUNNING and not call.doubt and e.n not in process.incidents:
            self._start(process, e.n)
        self._k.admission.fill()

    def on_piece(self, entry: Durable, e: ev.CallPiece) -> None:
        """A piece of a stream leaves."""
        self._deliver(e.pid, Item(e.n, entry.time_ns, PIECE, entry.contents[e.piece]), entry.seq)

    def on_reserved(self, entry: Durable, e: ev.ModelReserved) -> None:
        """A model call that waited has its turn, or one is made again; what begins at once begins with its intent."""
        process = self._k.table.get(e.pid)
        call = process.open.get(e.n) if process is not None else None
        if process is None or call is None or call.seq == entry.seq:
            return
        self._place(process)
        if not self._k.model_turns.begun(call.seq):
            self._start(process, e.n)

    def begin_open(self, process: Process, before: int) -> None:
        """Begin the effects of all that was opened before entry `before`, where they are not under way: it comes back,
        or was stopped. What was opened since has its own reaction.
        """
        for n, call in list(process.open.items()):
            if call.settled:
                # A retry that was ordered while nothing ran: from here on a crash is a doubt again.
                self._k.ledger.commit((ev.CallSettled(process.pid, n, call.settled),), {})
            elif not call.doubt and n not in process.incidents and call.seq < before:
                self._begin(process, n)

    def begin_deadlines(self, process: Process) -> None:
        """After a crash, of a process that is stopped: its times pass as they do while a kernel lives, and what was
        lost is paid. What else it has open waits until it goes on.
        """
        self._k.recovery.charge_lost(process)
        for n, call in list(process.open.items()):
            if call.call in DEADLINES:
                self._start(process, n)

    def _begin(self, process: Process, n: int) -> None:
        reserved = self._k.recovery.bound(process, n)
        if n not in process.open:
            return  # what it was asked cannot be read
        if reserved is None:
            self._start(process, n)
        elif process.open[n].queued_ns or not self._k.effects.under_way(process.pid, n):
            self._k.recovery.reserve(process, n, reserved)

    def _start(self, process: Process, n: int) -> None:
        call = process.open[n]
        if call.paced:
            self._k.effects.paced.go_on(process, n)
            return
        if call.call == "tool_call":
            self._k.admission.start(process.pid, n)
            return
        if not self._k.effects.has(call.call):
            return
        if call.call in ENDLESS:
            self._k.effects.start(process, n, call.call, None)
            return
        if (args := self._k.arguments(process, n)) is not None:
            self._k.effects.start(process, n, call.call, args)

    def on_settled(self, entry: Durable, e: ev.CallSettled) -> None:
        """An effect begins again."""
        process = self._k.table.get(e.pid)
        if e.choice == "retry" and process is not None and e.n in process.open:
            self._place(process)
            self._k.effects.cancel(e.pid, e.n)
            self._begin(process, e.n)
            self._k.admission.fill()

    def on_incident(self, entry: Durable, e: ev.IncidentOpened) -> None:
        """Who waits for a person needs no place."""
        self._k.notices.news()
        if (process := self._k.table.get(e.pid)) is not None:
            self._place(process)

    def on_denied(self, entry: Durable, e: ev.CallsDenied) -> None:
        """A refusal leaves."""
        self._k.notices.news()
        live = self._k.workers.live.get(e.pid)
        if live is not None:
            self._deliver(
                e.pid,
                Item(e.ns[0], entry.time_ns or live.last_ns, e.errno, denied_value(e.call, e.cause)),
                entry.seq or live.upto + 1,
            )
        elif entry.time_ns:  # else it is not recorded, and will be denied again
            self.come_back(e.pid)

    def on_signalled(self, entry: Durable, e: ev.ProcessSignalled) -> None:
        """A signal leaves."""
        self._deliver(e.pid, Item(-e.signal, entry.time_ns, "", NIL), entry.seq)

    def on_ready(self, entry: Durable, e: ev.ProcessReady | ev.ProcessContinued) -> None:
        """Somebody wants to run."""
        process = self._k.table.get(e.pid)
        if process is not None and not self._k.exceeding.goes_on(process):
            return
        if process is not None and process.state is State.RUNNING:
            self.begin_open(process, entry.seq)
            if not process.idle:
                self.come_back(e.pid)
        elif process is not None and process.state is State.READY:
            self._in.ready(process)
        self._k.restarts.schedule(e.pid)
        self.fill()

    def on_started(self, entry: Durable, e: ev.ProcessStarted) -> None:
        """A worker starts, and whoever could not yet is next."""
        self._in.started(e.pid)

    def on_stopped(self, entry: Durable, e: ev.ProcessPaused) -> None:
        """A worker is taken away."""
        self._k.workers.kill(e.pid)
        self._k.model_turns.stopped(e.pid)
        self._k.effects.paced.stopped(e.pid)
        self._k.places.release(e.pid)
        self.fill()

    def on_exited(self, entry: Durable, e: ev.ProcessExited) -> None:
        """Everything of the process ends."""
        self._k.effects.cancel_all(e.pid)
        self._k.model_turns.left_all(e.pid)
        self._k.effects.contexts.let_go(e.pid)
        self._k.workers.kill(e.pid)
        self._k.places.release(e.pid)
        left = entry.contents.get(e.result, b"")
        for ended in self.ended.pop(e.pid, ()):
            if not ended.done():
                ended.set_result(exit_value(e, left))
        self._k.sessions.ended(e.pid, e.reason)
        self._k.admission.fill()
        self.fill()
        self._k.notices.news()

    def on_failed(self, entry: Durable, e: ev.ProcessFailed | ev.ProcessCycled) -> None:
        """An incarnation is gone, and the next waits for its time."""
        self._k.effects.cancel_all(e.pid)
        self._k.model_turns.left_all(e.pid)
        self._k.workers.kill(e.pid)
        self._k.places.release(e.pid)
        self._k.restarts.schedule(e.pid)
        self._k.admission.fill()
        self.fill()
        self._k.notices.news()

    def on_begun_again(self, entry: Durable, e: BegunAgain) -> None:
        """A program, or that of another agent, begins again where it stands."""
        self._k.effects.cancel_all(e.pid)
        self._k.model_turns.left_all(e.pid)
        self._k.workers.kill(e.pid)
        if (process := self._k.table.get(e.pid)) is not None:
            self._k.places.changed(e.pid, process.qos)
            self._place(process)
            self._k.workers.wake(e.pid)
        self._k.admission.fill()

    def on_scheduled(self, entry: Durable, e: ev.ProcessScheduled) -> None:
        """Its calls that wait are put into another order, and it has another share of the machine."""
        if (process := self._k.table.get(e.pid)) is not None:
            self._k.model_turns.scheduled(process)
            self._k.effects.paced.scheduled(process)
            self._k.places.changed(e.pid, process.qos)
            self._k.workers.weigh(process)
            self.fill()

    def on_simple(self, entry: Durable, e: ev.Event) -> None:
        """One part of the kernel is told."""
        SIMPLE[type(e)](self._k, entry, e)

    def _place(self, process: Process) -> None:
        live = self._k.workers.live.get(process.pid)
        if live is None or live.cursor is not None:
            return  # it has a place until it is back, if it comes; then it is settled
        self._k.places.update(process)
        if live.outdated:
            self._k.workers.renew(live)
        if self._k.workers.too_many:
            self._k.workers.put_away()
        if self._k.places.asked:
            self.fill()


_REACTIONS: dict[type, Callable[[Reactions, Durable, Any], None]] = {
    ev.CallDone: Reactions.on_done,
    ev.CallOpened: Reactions.on_opened,
    ev.CallClosed: Reactions.on_closed,
    ev.ToolStarted: Reactions.on_tool_started,
    ev.CallPaced: Reactions.on_paced,
    ev.CallPiece: Reactions.on_piece,
    ev.CallSettled: Reactions.on_settled,
    ev.IncidentOpened: Reactions.on_incident,
    ev.CallsDenied: Reactions.on_denied,
    ev.ModelReserved: Reactions.on_reserved,
    ev.ProcessScheduled: Reactions.on_scheduled,
    ev.ProcessSignalled: Reactions.on_signalled,
    ev.ProcessReady: Reactions.on_ready,
    ev.ProcessContinued: Reactions.on_ready,
    ev.ProcessStarted: Reactions.on_started,
    ev.ProcessPaused: Reactions.on_stopped,
    ev.ProcessExited: Reactions.on_exited,
    ev.ProcessFailed: Reactions.on_failed,
    ev.ProcessCycled: Reactions.on_failed,
    ev.ProcessExeced: Reactions.on_begun_again,
    ev.ProcessUpgraded: Reactions.on_begun_again,
    ev.ProcessReverted: Reactions.on_begun_again,
    ev.ProcessHandedOff: Reactions.on_begun_again,
    **dict.fromkeys(SIMPLE, Reactions.on_simple),
}
