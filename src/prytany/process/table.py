"""The process table: a fold of the journal's process and call events.

`apply` never decides; a handler decided before the event was made. It raises KernelPanic on an event that cannot
follow what came before, since that is a bug of ours or a damaged journal, and going on would spread it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import KernelPanic
from prytany.abi.signals import Signal
from prytany.process.process import WAITS, OpenCall, Process, Reservation, State, Usage


class Table(msgspec.Struct):
    """All processes of a shard, zombies included. Invariant: `ready` holds exactly the ready ones, oldest first."""

    processes: dict[int, Process] = {}
    ready: dict[int, None] = {}
    running: dict[int, None] = {}
    restarting: dict[int, int] = {}
    """Who failed and begins again, to the time when."""
    incidents: dict[str, int] = {}
    """`pid:kind:call` of what needs a person, to the time it came up."""
    next_number: int = 1
    time_ns: int = 0
    journal_bytes: int = 0  # what the tenant put into the journal: records and contents
    before_ns: int = 0
    """The time of the event before."""

    def get(self, pid: int) -> Process | None:
        """The process, or None when there is none of that pid."""
        return self.processes.get(pid)

    def require(self, pid: int) -> Process:
        """The process; a pid that events name and the table lacks is a panic."""
        process = self.processes.get(pid)
        if process is None:
            raise KernelPanic(f"an event names process {pid}, which is not in the table")
        return process

    def descends(self, pid: int, ancestor: int) -> bool:
        """Whether `pid` stands below `ancestor`."""
        process = self.processes.get(pid)
        while process is not None:
            if process.parent == ancestor:
                return True
            process = self.processes.get(process.parent)
        return False

    def apply(self, seq: int, time_ns: int, event: ev.Event) -> None:
        """Fold one event of entry `seq`."""
        self.before_ns, self.time_ns = self.time_ns, time_ns
        fold = _FOLDS.get(type(event))
        if fold is not None:
            fold(self, seq, event)


def _record(process: Process, seq: int, prev: int) -> None:
    # Several events of one entry may belong to one record; the link of all of them goes to the entry before.
    if prev != process.tail and seq != process.tail:
        raise KernelPanic(f"the record of process {process.pid} links to entry {prev}, and its tail is {process.tail}")
    process.tail = seq


def _spawned(table: Table, seq: int, e: ev.ProcessSpawned) -> None:
    parent = table.processes.get(e.parent)
    table.processes[e.pid] = Process(
        pid=e.pid, parent=e.parent, run=e.run, name=e.name, kind=e.kind, program=e.program, source=e.source,
        argument=e.argument, pledge=e.pledge, unveil=e.unveil, seed=e.seed, model=e.model,
        python=e.python, environment=e.environment,
        depth=parent.depth + 1 if parent else 0, spawned_ns=table.time_ns, spawned_seq=seq, restarts=e.restarts,
    )  # fmt: skip
    if parent is not None:
        parent.children[e.pid] = None
    table.next_number += 1


def _ready(table: Table, seq: int, e: ev.ProcessReady) -> None:
    process = table.require(e.pid)
    process.state, process.reason, process.incarnation = State.READY, "", e.incarnation
    process.tail = process.idle_seq = process.unasked = process.cut_unasked = 0
    table.restarting.pop(e.pid, None)
    process.history_from, process.refused_from = process.usage.calls, process.usage.denials
    process.warned.clear()
    table.ready[e.pid] = None


def _started(table: Table, seq: int, e: ev.ProcessStarted) -> None:
    process = table.require(e.pid)
    if table.ready.pop(e.pid, 0) == 0:
        raise KernelPanic(f"process {e.pid} started and was not ready")
    _record(process, seq, e.prev)
    process.state = State.RUNNING
    process.started_ns = process.started_ns or table.time_ns  # its wall time runs through incarnations
    process.account(table.time_ns)
    table.running[e.pid] = None


def _paused(table: Table, seq: int, e: ev.ProcessPaused) -> None:
    process = table.require(e.pid)
    table.ready.pop(e.pid, None)
    table.running.pop(e.pid, None)
    table.restarting.pop(e.pid, None)
    process.state, process.reason = State.STOPPED, e.reason
    process.account(table.time_ns, goes_on=False)


def _continued(table: Table, seq: int, e: ev.ProcessContinued) -> None:
    process = table.require(e.pid)
    _forget_incident(table, process, 0)
    process.reason = ""
    if process.tail:
        process.state = State.RUNNING
        process.account(table.time_ns)
        table.running[e.pid] = None
    else:
        process.state = State.READY
        table.ready[e.pid] = None


def _signalled(table: Table, seq: int, e: ev.ProcessSignalled) -> None:
    process = table.require(e.pid)
    _record(process, seq, e.prev)
    process.unasked += 1
    if e.signal in (Signal.INT, Signal.TERM):
        process.asked = e.signal


def _close_all(table: Table, process: Process) -> None:
    for call in process.open.values():
        if call.reserved is not None:
            _reserve(process.usage, call.reserved, -1)
        if call.call == "process_wait" and (child := table.processes.get(call.subject)) is not None:
            child.waiters.pop(process.pid, None)
    process.open.clear()
    process.busy = 0
    for n in list(process.incidents):
        if n:
            _forget_incident(table, process, n)


def _failed(table: Table, seq: int, e: ev.ProcessFailed) -> None:
    process = table.require(e.pid)
    _close_all(table, process)
    table.ready.pop(e.pid, None)
    table.running.pop(e.pid, None)
    table.restarting[e.pid] = e.until_ns
    process.state, process.reason, process.incarnation = State.WAITING, f"restart: {e.reason}", e.incarnation
    process.usage.cpu_us += e.cpu_us
    process.account(table.time_ns, goes_on=False)
    process.failures += 1
    process.epoch += 1
    process.tail = process.asked = process.cut_seq = process.cut_ns = process.base = 0


def _cut(table: Table, process: Process, seq: int, base: int) -> None:
    process.cut_seq, process.cut_ns, process.base = seq, table.time_ns, base
    process.cut_unasked = process.unasked


def _begins_again(table: Table, process: Process, seq: int, prev: int) -> None:
    _record(process, seq, prev)
    _close_all(table, process)
    _cut(table, process, seq, 0)
    process.epoch += 1
    if process.state is State.RUNNING:
        process.account(table.time_ns)


def _execed(table: Table, seq: int, e: ev.ProcessExeced) -> None:
    process = table.require(e.pid)
    _begins_again(table, process, seq, e.prev)
    process.snapshot, process.snapshot_seq = e.state, seq


def _activation_done(table: Table, seq: int, e: ev.MessageDone) -> None:
    if e.state:
        process = table.require(e.pid)
        _cut(table, process, seq, e.n)
        process.snapshot, process.snapshot_seq, process.previous = e.state, seq, b""


def _upgrading(table: Table, seq: int, e: ev.ProcessUpgrading) -> None:
    table.require(e.pid).pending = e.source


def _upgraded(table: Table, seq: int, e: ev.ProcessUpgraded) -> None:
    process = table.require(e.pid)
    _begins_again(table, process, seq, e.prev)
    process.pending, process.previous, process.source = b"", process.source, e.source


def _reverted(table: Table, seq: int, e: ev.ProcessReverted) -> None:
    process = table.require(e.pid)
    _begins_again(table, process, seq, e.prev)
    process.source, process.previous = process.previous, b""
    process.usage.cpu_us += e.cpu_us


def _warned(table: Table, seq: int, e: ev.ProcessWarned) -> None:
    table.require(e.pid).warned[e.what] = e.value


def _reserve(usage: Usage, reserved: Reservation, sign: int) -> None:
    usage.reserved_prompt_tokens += sign * reserved.prompt_tokens
    usage.reserved_completion_tokens += sign * reserved.completion_tokens
    usage.reserved_usd_micros += sign * reserved.cost_usd_micros


def _exited(table: Table, seq: int, e: ev.ProcessExited) -> None:
    process = table.require(e.pid)
    _close_all(table, process)
    table.ready.pop(e.pid, None)
    table.running.pop(e.pid, None)
    table.restarting.pop(e.pid, None)
    process.state, process.reason, process.status, process.signal = State.TERMINATED, e.reason, e.status, e.signal
    process.result, process.ended_ns, process.ended_seq = e.result, table.time_ns, seq
    process.usage.cpu_us += e.cpu_us
    process.account(table.time_ns, goes_on=False)
    for n in list(process.incidents):
        _forget_incident(table, process, n)


def _reaped(table: Table, seq: int, e: ev.ProcessReaped) -> None:
    process = table.processes.pop(e.pid)
    parent = table.processes.get(process.parent)
    if parent is not None:
        parent.children.pop(e.pid, None)
        parent.below.add(process.usage)
        parent.below.add(process.below)
    for child in process.children:
        # Orphans belong to the kernel from here on.
        if (orphan := table.processes.get(child)) is not None:
            orphan.parent = 0


def _done(table: Table, seq: int, e: ev.CallDone) -> None:
    process = table.require(e.pid)
    _record(process, seq, e.prev)
    process.usage.calls += 1


def _opened(table: Table, seq: int, e: ev.CallOpened) -> None:
    process = table.require(e.pid)
    _record(process, seq, e.prev)
    process.usage.calls += 1
    process.open[e.n] = OpenCall(e.call, e.argument, seq, e.subject, False, table.time_ns)
    if e.idle:
        process.idle_seq = seq
    if e.call not in WAITS:
        process.busy += 1
    process.account(table.time_ns)
    if e.call == "process_wait":
        table.require(e.subject).waiters[e.pid] = e.n


def _tool_called(table: Table, seq: int, e: ev.ToolCalled) -> None:
    table.require(e.pid).open[e.n].tool = e.tool


def _closed(table: Table, seq: int, e: ev.CallClosed) -> None:
    process = table.require(e.pid)
    _record(process, seq, e.prev)
    call = process.open.pop(e.n, None)
    if call is None:
        raise KernelPanic(f"call {e.n} of process {e.pid} was closed and is not open")
    if call.call not in WAITS:
        process.busy -= 1
    process.account(table.time_ns)
    if call.reserved is not None:
        _reserve(process.usage, call.reserved, -1)
    if process.incidents:
        _forget_incident(table, process, e.n)
    if call.call == "process_wait" and (child := table.processes.get(call.subject)) is not None:
        child.waiters.pop(e.pid, None)


def _piece(table: Table, seq: int, e: ev.CallPiece) -> None:
    process = table.require(e.pid)
    _record(process, seq, e.prev)
    call = process.open.get(e.n)
    if call is None:
        raise KernelPanic(f"a piece of call {e.n} of process {e.pid}, which is not open")
    call.pieces += 1
    process.unasked += 1


def _doubted(table: Table, seq: int, e: ev.CallDoubted) -> None:
    table.require(e.pid).open[e.n].doubt = True


def _settled(table: Table, seq: int, e: ev.CallSettled) -> None:
    call = table.require(e.pid).open[e.n]
    if e.later:
        call.settled = e.choice
    else:
        call.doubt, call.settled = False, ""


def _denied(table: Table, seq: int, e: ev.CallsDenied) -> None:
    process = table.require(e.pid)
    _record(process, seq, e.prev)
    key = f"{e.call} {e.errno}"
    process.denied[key] = process.denied.get(key, 0) + len(e.ns)
    process.usage.denials += len(e.ns)


def _reserved(table: Table, seq: int, e: ev.ModelReserved) -> None:
    process = table.require(e.pid)
    reserved = Reservation(e.model, e.prompt_tokens, e.completion_tokens, e.cost_usd_micros)
    call = process.open[e.n]
    if call.reserved is not None:
        _reserve(process.usage, call.reserved, -1)
    call.reserved, call.asking = reserved, True
    _reserve(process.usage, reserved, 1)


def _used(table: Table, seq: int, e: ev.ModelUsed) -> None:
    process = table.get(e.pid)
    if process is None:
        return  # a late result of a process that was reaped is still recorded
    usage = process.usage
    usage.model_calls += 1
    usage.prompt_tokens += e.prompt_tokens
    usage.completion_tokens += e.completion_tokens
    usage.cost_usd_micros += e.cost_usd_micros
    usage.model_us += e.took_us


def _forgotten(table: Table, seq: int, e: ev.ContentForgotten) -> None:
    table.journal_bytes -= e.freed_bytes
    if (process := table.get(e.pid)) is not None:
        process.forgotten = True


def _accounted(table: Table, seq: int, e: ev.ProcessAccounted) -> None:
    # A worker may outlive its process's place in the table; what it took then counts for the run.
    if (process := table.get(e.pid)) is not None:
        process.usage.cpu_us += e.cpu_us
    elif (root := table.get(e.run)) is not None:
        root.below.cpu_us += e.cpu_us


def _kernel_started(table: Table, seq: int, e: ev.KernelStarted) -> None:
    # While no kernel ran, nothing ran or waited.
    down_ns = table.time_ns - table.before_ns if table.before_ns else 0
    for pid in table.running:
        table.require(pid).mark_ns += down_ns


def _incident(table: Table, seq: int, e: ev.IncidentOpened) -> None:
    process = table.get(e.pid)
    if process is None or not process.alive or (e.n and e.n not in process.open):
        return  # it came up too late: nothing waits for it any more
    _forget_incident(table, process, e.n)
    process.incidents[e.n] = e.kind
    if e.n:
        process.open[e.n].asking = False
    table.incidents[f"{e.pid}:{e.kind}:{e.n}"] = table.time_ns


def _seen_to(table: Table, seq: int, e: ev.IncidentClosed) -> None:
    process = table.get(e.pid)
    if process is not None and process.incidents.get(e.n) == e.kind:
        _forget_incident(table, process, e.n)


def _forget_incident(table: Table, process: Process, n: int) -> None:
    kind = process.incidents.pop(n, None)
    if kind is not None:
        del table.incidents[f"{process.pid}:{kind}:{n}"]


_FOLDS: dict[type, Callable[[Table, int, ev.Event], None]] = {
    ev.ProcessSpawned: _spawned,  # type: ignore[dict-item]
    ev.ProcessReady: _ready,  # type: ignore[dict-item]
    ev.ProcessStarted: _started,  # type: ignore[dict-item]
    ev.ProcessPaused: _paused,  # type: ignore[dict-item]
    ev.ProcessContinued: _continued,  # type: ignore[dict-item]
    ev.ProcessSignalled: _signalled,  # type: ignore[dict-item]
    ev.ProcessWarned: _warned,  # type: ignore[dict-item]
    ev.ProcessExited: _exited,  # type: ignore[dict-item]
    ev.ProcessReaped: _reaped,  # type: ignore[dict-item]
    ev.ProcessFailed: _failed,  # type: ignore[dict-item]
    ev.ProcessExeced: _execed,  # type: ignore[dict-item]
    ev.ProcessUpgrading: _upgrading,  # type: ignore[dict-item]
    ev.ProcessUpgraded: _upgraded,  # type: ignore[dict-item]
    ev.ProcessReverted: _reverted,  # type: ignore[dict-item]
    ev.MessageDone: _activation_done,  # type: ignore[dict-item]
    ev.ProcessAccounted: _accounted,  # type: ignore[dict-item]
    ev.KernelStarted: _kernel_started,  # type: ignore[dict-item]
    ev.CallDone: _done,  # type: ignore[dict-item]
    ev.CallOpened: _opened,  # type: ignore[dict-item]
    ev.ToolCalled: _tool_called,  # type: ignore[dict-item]
    ev.CallClosed: _closed,  # type: ignore[dict-item]
    ev.CallPiece: _piece,  # type: ignore[dict-item]
    ev.CallDoubted: _doubted,  # type: ignore[dict-item]
    ev.CallSettled: _settled,  # type: ignore[dict-item]
    ev.CallsDenied: _denied,  # type: ignore[dict-item]
    ev.ModelReserved: _reserved,  # type: ignore[dict-item]
    ev.ModelUsed: _used,  # type: ignore[dict-item]
    ev.ContentForgotten: _forgotten,  # type: ignore[dict-item]
    ev.IncidentOpened: _incident,  # type: ignore[dict-item]
    ev.IncidentClosed: _seen_to,  # type: ignore[dict-item]
}
