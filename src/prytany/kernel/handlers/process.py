"""Starting, waiting for, signalling and ending processes."""

from __future__ import annotations

from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.control import SESSION_ENDED
from prytany.abi.errors import Eagain, Echild, Einval, Eperm, Esrch
from prytany.abi.ids import Pid, format_pid, pid_of
from prytany.abi.signals import Signal
from prytany.abi.supervision import GROUP
from prytany.abi.syscalls import PLEDGES
from prytany.abi.values import pack
from prytany.kernel.groups import children_first, is_deadly
from prytany.kernel.handlers.agent import spawn_agent
from prytany.kernel.handlers.message import abandoned_messages
from prytany.kernel.handlers.pipe import given
from prytany.kernel.handlers.receiving import back_to_pool
from prytany.kernel.handlers.share import granted, lighter, lower
from prytany.kernel.handlers.supervise import for_good, supervised
from prytany.kernel.letting_go import let_go
from prytany.kernel.outcome import Context, Done, Opened, Program
from prytany.ports.memory import PRESSURE
from prytany.process.process import Process, State
from prytany.supervision.fleets import NO_MEMBER

KIND_CHARS_MAX = 64
TOLD_TO_END = "SIGTERM"
"""What a worker calls the end of a program that TERM ended."""
Decided = tuple[tuple[ev.Event, ...], tuple[bytes, ...]]


def sys_process_spawn(k: Context, p: Process, n: int, a: Any) -> Done | Opened:
    """Decided at once where the program is known; else it is looked up while the kernel goes on, and decided then."""
    _check_room(k, p)
    if ":" not in a.program and p.pid in k.fleets.members:
        return spawn_agent(k, p, a, a.program)
    found = k.known_program(a.program, p.program, p.source, closed_to(p))
    return Opened() if found is None else spawn(k, p, a, found)


def closed_to(p: Process) -> list[str]:
    """Where no program is taken from: an agent that wrote the text could keep everybody waiting while it is parsed."""
    return [folder for folder, mode in p.unveil.items() if "w" in mode]


def _check_room(k: Context, p: Process) -> None:
    if len(k.table.processes) >= limits.PROCESSES_MAX:
        raise Eagain("the process table is full", call="process_spawn")
    if len(p.children) >= limits.CHILDREN_MAX:
        raise Eagain("too many children; wait for some", call="process_spawn")
    if p.depth + 1 >= limits.DEPTH_MAX:
        raise Eagain(f"{limits.DEPTH_MAX} generations are the most", call="process_spawn")


def spawn(k: Context, p: Process, a: Any, found: Program) -> Done:
    """A child never has more than its parent: what it declares is cut down, what the caller asks is refused."""
    _check_room(k, p)
    if (agent := k.fleets.started_as(p.pid, found.program)) is not None:
        return spawn_agent(k, p, a, agent)
    if a.pledge is None:
        pledge = [c for c in found.pledge if c in p.pledge]
    else:
        beyond = sorted(set(a.pledge) - set(p.pledge))
        if beyond:
            raise Eperm(f"the caller has no pledge {beyond[0]!r} to give to a child", call="process_spawn")
        pledge = sorted(set(a.pledge))
    if len(a.name.encode()) > limits.NAME_BYTES_MAX:
        raise Einval(f"a name has at most {limits.NAME_BYTES_MAX} bytes", call="process_spawn")
    if not 0 <= a.restarts <= limits.RESTARTS_MAX:
        raise Einval(f"restarts are from 0 to {limits.RESTARTS_MAX}", call="process_spawn")
    argument = pack([a.args, a.kwargs])
    member = k.fleets.members.get(p.pid, NO_MEMBER)  # a part of its parent's agent
    pid = pid_of(0, k.table.next_number)
    spawned = ev.ProcessSpawned(
        pid=pid, parent=p.pid, run=p.run, name=a.name or found.name, kind=p.kind, program=found.program,
        source=k.shared_digest(found.source), argument=k.digest(argument), pledge=pledge, unveil=p.unveil,
        seed=k.entropy(32), model=p.model, python=p.python, environment=k.environment(p.python), restarts=a.restarts,
        fleet=member.fleet, agent=member.agent, tags=p.tags, qos=lower(p, a, p.qos), weight=lighter(p, a, p.weight),
    )  # fmt: skip
    narrowed = k.tools.narrowed(p, pid, a.tools)
    events = (
        spawned,
        *narrowed,
        *granted(pid, p.pid, a.budget),
        *supervised(k, p.pid, pid, a),
        *given(k, p, pid, a.ends),
        ev.ProcessReady(pid, 1),
    )
    return Done(int(pid), events, contents=(argument,), shared=(found.source,))


def check_pledge(pledge: list[str]) -> None:
    """Raise Einval for a class that does not exist."""
    unknown = sorted(set(pledge) - set(PLEDGES))
    if unknown:
        raise Einval(f"there is no pledge {unknown[0]!r}; there are {', '.join(PLEDGES)}")


def exit_value(p: Process | ev.ProcessExited, left: bytes) -> dict[str, Any]:
    """What a waiter is answered with."""
    try:
        result, error = msgspec.msgpack.decode(left) if left else (None, None)
    except RecursionError:  # it was packed on a shallower stack
        result, error = None, {"type": "RecursionError", "message": "the result is nested too deeply"}
    return {"pid": p.pid, "status": p.status, "signal": p.signal, "reason": p.reason, "result": result, "error": error}


def sys_process_wait(k: Context, p: Process, n: int, a: Any) -> Done | Opened:
    """A child that has ended is answered and reaped in one entry."""
    child = k.table.get(a.pid)
    if child is None or child.parent != p.pid:
        raise Echild(f"process {a.pid} is not a child of this process", call="process_wait")
    if child.state is State.TERMINATED:
        return Done(exit_value(child, k.content_of(child.pid)), (ev.ProcessReaped(child.pid),))
    if p.pid in child.waiters:
        raise Echild(f"process {a.pid} is waited for already", call="process_wait")
    return Opened(child.pid)


def exit_events(
    k: Context, p: Process, status: int, signal: int, reason: str, left: bytes, cpu_us: int = 0, *, failed: bool = False
) -> tuple[tuple[ev.Event, ...], tuple[bytes, ...]]:
    """The end of a process: its waiter is answered, and who called it; its ended children are reaped, and so is an
    orphan itself. `failed` says that nobody had asked it to end."""
    back = back_to_pool(k, p)
    abandoned, values = abandoned_messages(k, p) if not back else ((), ())
    events: list[ev.Event] = [*back, *abandoned, *(charge for n in p.open for charge in k.unfinished(p, n))]
    events.append(ev.ProcessExited(p.pid, status, signal, reason, k.digest(left), cpu_us, failed))
    contents = [*values, left] if left else list(values)
    waited = False
    for waiter, n in p.waiters.items():
        if (parent := k.table.get(waiter)) is None:
            continue
        ended = msgspec.structs.replace(p, status=status, signal=signal, reason=reason)
        value = pack(exit_value(ended, left))
        events.append(ev.CallClosed(waiter, n, "", k.digest(value), parent.tail))
        contents.append(value)
        waited = True
    for child in p.children:
        if (ended_child := k.table.get(child)) is not None and not ended_child.alive:
            events.append(ev.ProcessReaped(child))
    parent = k.table.get(p.parent)
    if waited or p.pid in k.state.pools.members or (p.pid != p.run and (parent is None or not parent.alive)):
        events.append(ev.ProcessReaped(p.pid))
    events += let_go(k.table, k.now_ns(), p.pid == p.run, keep_ms=k.quotas.ended_run_ms)
    return tuple(events), tuple(contents)


def kind_of(error: dict[str, Any]) -> str:
    """The error's class: the reason of an exit stands in the journal, so it is a name and no content."""
    kind = error.get("type")
    return kind if isinstance(kind, str) and kind.isidentifier() and len(kind) <= KIND_CHARS_MAX else "an error"


def raised(error: dict[str, Any]) -> str:
    """The reason of an exit with an error; a worker says by a signal's name that one ended the program."""
    kind = kind_of(error)
    return f"ended by {kind}" if kind in (TOLD_TO_END, "SIGINT") else f"raised {kind}"


def session_end(k: Context, p: Process, status: int, error: dict[str, Any]) -> Decided | None:
    """The end of a process that does as it was told with its session; None where it ends for another reason.

    The agent itself has done what it was there for, so that is no failure of it. What it started was cut off, and
    whoever waits for it is to know.
    """
    if not k.sessions.ending(p.run) or kind_of(error) != TOLD_TO_END:
        return None
    if p.pid == p.run:
        return exit_events(k, p, 0, 0, SESSION_ENDED, b"")
    return exit_events(k, p, status, 0, SESSION_ENDED, pack([None, error]))


def ending_events(k: Context, p: Process, sender: int) -> Decided:
    """What tells a process to end with its session; one that does not run has ended by that."""
    if p.state is State.RUNNING:
        return signal_events(k, p, Signal.TERM, sender)
    status, signal = (0, 0) if p.pid == p.run else (128 + Signal.TERM, Signal.TERM)
    return exit_events(k, p, status, signal, SESSION_ENDED, b"")


def signal_events(
    k: Context, p: Process, signal: int, sender: int, reason: str = "killed"
) -> tuple[tuple[ev.Event, ...], tuple[bytes, ...]]:
    """What a signal does to a process; `reason` is that of its end, where it is KILL."""
    if signal == Signal.KILL:
        return exit_events(k, p, 128 + signal, signal, reason, b"")
    if signal == Signal.STOP:
        stops = p.state is not State.STOPPED or p.reason == PRESSURE  # who asks for it is who lets it go on
        return ((ev.ProcessPaused(p.pid, "SIGSTOP"),) if stops else ()), ()
    if signal == Signal.CONT:
        return ((ev.ProcessContinued(p.pid),) if p.state is State.STOPPED else ()), ()
    if p.state is State.RUNNING and is_deadly(signal) and (ending := children_first(k, p, signal)):
        return ending, ()
    if p.kind == GROUP and p.state is State.RUNNING:
        return _to_group(k, p, signal)
    if p.state is not State.RUNNING:
        # Nobody is there to be told; the deadly ones end it all the same.
        if signal not in (Signal.INT, Signal.TERM):
            raise Eagain(f"process {format_pid(Pid(p.pid))} does not run now", call="process_signal")
        return exit_events(k, p, 128 + signal, signal, _ended_as(p), b"")
    return (ev.ProcessSignalled(p.pid, signal, sender, p.tail),), ()


def _to_group(k: Context, p: Process, signal: int) -> Decided:
    """A signal to a group that has no children, or ends them already: there is no program that would take it."""
    own = k.state.trees.supervisors.get(p.pid)
    if not is_deadly(signal) or (own is not None and own.children):
        return (), ()
    return exit_events(k, p, 128 + signal, signal, f"ended by SIG{Signal(signal).name}", b"")


def _ended_as(p: Process) -> str:
    """The reason of a process's end that was signalled while it did not run."""
    if not p.started_ns:
        return "ended before it ran"
    return "ended while it was stopped" if p.state is State.STOPPED else "ended before it ran again"


def sys_process_signal(k: Context, p: Process, n: int, a: Any) -> Done:
    """To descendants only: nobody signals a parent or a stranger."""
    if a.signal not in list(Signal):
        raise Einval(f"there is no signal {a.signal}", call="process_signal")
    target = k.table.get(a.pid)
    if target is None:
        raise Esrch(f"there is no process {format_pid(Pid(a.pid))}", call="process_signal")
    if not target.alive:
        raise Esrch(f"process {format_pid(Pid(a.pid))} has ended", call="process_signal")
    if not k.table.descends(a.pid, p.pid):
        raise Eperm(f"process {format_pid(Pid(a.pid))} is not a descendant of this process", call="process_signal")
    events, contents = signal_events(k, target, a.signal, p.pid)
    return Done(None, after=(*for_good(k, a.pid, a.signal), *events), contents=contents)
