"""What happens to a process from its spawn until it is reaped."""

from __future__ import annotations

from collections.abc import Callable

from prytany.abi import events as ev
from prytany.abi.errors import KernelPanic
from prytany.abi.signals import Signal
from prytany.process.calls import close_all
from prytany.process.incidents import forget_incident
from prytany.process.process import Process, State
from prytany.process.table import Estate, Table


def _spawned(table: Table, seq: int, e: ev.ProcessSpawned) -> None:
    parent = table.processes.get(e.parent)
    table.processes[e.pid] = Process(
        pid=e.pid, parent=e.parent, run=e.run, name=e.name, kind=e.kind, program=e.program, source=e.source,
        argument=e.argument, pledge=e.pledge, unveil=e.unveil, seed=e.seed, model=e.model,
        python=e.python, environment=e.environment, spawned_by=e.parent,
        depth=parent.depth + 1 if parent else 0, spawned_ns=table.time_ns, spawned_seq=seq, restarts=e.restarts,
        tags=e.tags, qos=e.qos, weight=e.weight, qos_most=e.qos, weight_most=e.weight,
    )  # fmt: skip
    if parent is not None:
        parent.children[e.pid] = None
    if e.pid != e.run and (root := table.processes.get(e.run)) is not None:
        root.kin += 1
    table.next_number += 1


def _ready(table: Table, seq: int, e: ev.ProcessReady) -> None:
    process = table.require(e.pid)
    process.state, process.reason, process.incarnation = State.READY, "", e.incarnation
    process.tail = process.idle_seq = process.unasked = process.cut_unasked = 0
    table.restarting.pop(e.pid, None)
    process.restart_ns = 0
    process.history_from, process.refused_from = process.usage.calls, process.usage.denials
    process.warned.clear()
    table.ready[e.pid] = None


def _started(table: Table, seq: int, e: ev.ProcessStarted) -> None:
    process = table.require(e.pid)
    if table.ready.pop(e.pid, 0) == 0:
        raise KernelPanic(f"process {e.pid} started and was not ready")
    process.link(seq, e.prev)
    process.state = State.RUNNING
    process.started_ns = process.started_ns or table.time_ns  # its wall time runs through incarnations
    process.account(table.time_ns)
    table.running[e.pid] = None


def _alive(table: Table, pid: int) -> Process:
    process = table.require(pid)
    if not process.alive:
        raise KernelPanic(f"process {pid} has ended, and an event would bring it back")
    return process


def _paused(table: Table, seq: int, e: ev.ProcessPaused) -> None:
    process = _alive(table, e.pid)
    table.ready.pop(e.pid, None)
    table.running.pop(e.pid, None)
    table.restarting.pop(e.pid, None)
    process.state, process.reason = State.STOPPED, e.reason
    process.account(table.time_ns, goes_on=False)


def _continued(table: Table, seq: int, e: ev.ProcessContinued) -> None:
    process = _alive(table, e.pid)
    if process.incidents.get(0) != "upgrade":  # that one stopped nothing
        forget_incident(table, process, 0)
    process.reason = ""
    if process.restart_ns:
        process.state, process.reason = State.WAITING, "restart"
        table.restarting[e.pid] = process.restart_ns
    elif process.tail:
        process.state = State.RUNNING
        process.account(table.time_ns)
        table.running[e.pid] = None
    else:
        process.state = State.READY
        table.ready[e.pid] = None


def _signalled(table: Table, seq: int, e: ev.ProcessSignalled) -> None:
    process = table.require(e.pid)
    process.link(seq, e.prev)
    process.unasked += 1
    if e.signal in (Signal.INT, Signal.TERM):
        process.asked = e.signal


def _warned(table: Table, seq: int, e: ev.ProcessWarned) -> None:
    table.require(e.pid).warned[e.what] = e.value


def _scheduled(table: Table, seq: int, e: ev.ProcessScheduled) -> None:
    process = _alive(table, e.pid)
    process.qos, process.weight, process.deadline_ns = e.qos, e.weight, e.deadline_ns
    if e.sender != e.pid:
        process.qos_most, process.weight_most = e.qos, e.weight


def _exited(table: Table, seq: int, e: ev.ProcessExited) -> None:
    process = table.require(e.pid)
    close_all(table, process)
    table.ready.pop(e.pid, None)
    table.running.pop(e.pid, None)
    table.restarting.pop(e.pid, None)
    process.state, process.reason, process.status, process.signal = State.TERMINATED, e.reason, e.status, e.signal
    process.result, process.ended_ns, process.ended_seq = e.result, table.time_ns, seq
    process.usage.cpu_us += e.cpu_us
    process.account(table.time_ns, goes_on=False)
    for n in list(process.incidents):
        forget_incident(table, process, n)
    if e.pid == process.run and not process.kin:
        table.ended[e.pid] = table.time_ns


def _reaped(table: Table, seq: int, e: ev.ProcessReaped) -> None:
    process = table.processes.pop(e.pid)
    parent, root = table.processes.get(process.parent), table.processes.get(process.run)
    if parent is not None:
        parent.children.pop(e.pid, None)
    if e.pid == process.run:
        table.ended.pop(e.pid, None)
        table.runs_let_go += 1
    elif root is not None:
        root.kin -= 1
        if not (root.kin or root.alive):
            table.ended[root.pid] = table.time_ns
    heir = parent or root  # what an orphan took counts for its run
    for took in (process.usage, process.below):
        (heir.below if heir is not None else table.past).add(took)
    if heir is not None:
        heir.reaped += 1 + process.reaped
    _orphan(table, process)


def _orphan(table: Table, process: Process) -> None:
    """Orphans of a process that was reaped belong to the kernel from here on, and stay in the trees that they stood
    in; in its own, too, where that was bounded."""
    upper = process.parent if process.parent in table.processes else process.above
    holder = table.under(upper)
    upper = upper if holder is not None else 0
    if holder is not None:
        holder.wards.pop(process.pid, None)
    orphans = [pid for pid in (*process.children, *process.wards) if table.under(pid) is not None]
    if process.bounded and orphans:
        estate = table.estates[process.pid] = Estate(upper)
        if holder is not None:
            holder.wards[process.pid] = None
        holder, upper = estate, process.pid
    for pid in orphans:
        orphan = table.under(pid)
        assert orphan is not None
        orphan.above = upper
        if isinstance(orphan, Process):
            orphan.parent = 0
        if holder is not None:
            holder.wards[pid] = None
    table.estates_ended = []
    while isinstance(holder, Estate) and not holder.wards:
        del table.estates[upper]
        table.estates_ended.append(upper)
        ended, upper = upper, holder.above
        holder = table.under(upper)
        if holder is not None:
            holder.wards.pop(ended, None)


def _granted(table: Table, seq: int, e: ev.BudgetGranted) -> None:
    kind, _, number = e.account.partition(":")
    if kind == "tree" and (process := table.get(int(number))) is not None:
        process.bounded = True


def _forgotten(table: Table, seq: int, e: ev.ContentForgotten) -> None:
    table.journal_bytes -= e.freed_bytes
    if (process := table.get(e.pid)) is not None:
        process.forgotten = True


def _restored(table: Table, seq: int, e: ev.HomeRestored) -> None:
    table.homes[seq] = e.home


def _archived(table: Table, seq: int, e: ev.JournalArchived) -> None:
    table.bases.setdefault(e.last, []).append(e.digest)


def _removed(table: Table, seq: int, e: ev.EntriesRemoved) -> None:
    table.journal_bytes = max(0, table.journal_bytes - e.freed_bytes)


FOLDS: dict[type, Callable[[Table, int, ev.Event], None]] = {
    ev.ProcessSpawned: _spawned,  # type: ignore[dict-item]
    ev.ProcessReady: _ready,  # type: ignore[dict-item]
    ev.ProcessStarted: _started,  # type: ignore[dict-item]
    ev.ProcessPaused: _paused,  # type: ignore[dict-item]
    ev.ProcessContinued: _continued,  # type: ignore[dict-item]
    ev.ProcessSignalled: _signalled,  # type: ignore[dict-item]
    ev.ProcessWarned: _warned,  # type: ignore[dict-item]
    ev.ProcessScheduled: _scheduled,  # type: ignore[dict-item]
    ev.ProcessExited: _exited,  # type: ignore[dict-item]
    ev.ProcessReaped: _reaped,  # type: ignore[dict-item]
    ev.BudgetGranted: _granted,  # type: ignore[dict-item]
    ev.ContentForgotten: _forgotten,  # type: ignore[dict-item]
    ev.HomeRestored: _restored,  # type: ignore[dict-item]
    ev.JournalArchived: _archived,  # type: ignore[dict-item]
    ev.EntriesRemoved: _removed,  # type: ignore[dict-item]
}
