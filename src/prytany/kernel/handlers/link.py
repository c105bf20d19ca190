"""Links and monitors: making them, and saying what is due.

A process can tie itself to any other of its scope. It ties another to itself only where that stands below it: else a
child could end its parent, which no signal lets it do.
"""

from __future__ import annotations

from typing import Any

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Einval, Eperm, Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.kernel.handlers.incarnation import judged
from prytany.kernel.handlers.judging import End
from prytany.kernel.handlers.message import send_events
from prytany.kernel.outcome import Context, Done
from prytany.kernel.scope import scope_of
from prytany.process.process import Process
from prytany.supervision.links import ENDS, Notice

GONE = "it ended before, and was let go"


def sys_process_link(k: Context, p: Process, n: int, a: Any) -> Done:
    """The caller ends with another, or is told; the other with the caller, where it stands below it."""
    target = _of_scope(k, p, a.pid, "process_link")
    if target is None or not target.alive:
        raise Esrch(f"process {_name(a.pid)} has ended", call="process_link")
    _check_room(k, p, "process_link")
    events: list[ev.Event] = [ev.LinkMade(p.pid, target.pid, bool(a.trap))]
    if k.table.descends(target.pid, p.pid) and target.pid not in k.state.links.affected.get(p.pid, ()):
        _check_room(k, target, "process_link")
        events.append(ev.LinkMade(target.pid, p.pid, False))
    return Done(None, before=tuple(events))


def sys_process_unlink(k: Context, p: Process, n: int, a: Any) -> Done:
    """As if the caller had not linked."""
    links = k.state.links
    there = p.pid in links.affected.get(a.pid, ())
    back = a.pid in links.affected.get(p.pid, ()) and k.table.descends(a.pid, p.pid)
    events = (ev.LinkDropped(p.pid, a.pid),) if there else ()
    return Done(there or back, before=(*events, ev.LinkDropped(a.pid, p.pid)) if back else events)


def sys_process_monitor(k: Context, p: Process, n: int, a: Any) -> Done:
    """A message at the next end; at once where that was before."""
    target = _of_scope(k, p, a.pid, "process_monitor")
    if a.pid == p.pid:
        raise Einval("a process is told nothing of its own end", call="process_monitor")
    _check_room(k, p, "process_monitor")
    ref = k.state.links.next_ref
    watch = ev.MonitorSet(ref, p.pid, a.pid)
    if target is not None and target.alive:
        return Done(ref, before=(watch,))
    status, signal, reason = (0, 0, GONE) if target is None else (target.status, target.signal, target.reason)
    said = Notice("down", p.pid, a.pid, status, signal, reason, restarting=False, ref=ref)
    events, contents = message_of(k, p, said)
    return Done(ref, before=(watch, ev.MonitorDropped(ref, p.pid)), after=events, contents=contents)


def sys_process_demonitor(k: Context, p: Process, n: int, a: Any) -> Done:
    """Nothing is said any more; False where it was, or there is no such monitor of the caller."""
    links = k.state.links
    mine = links.monitors.get(a.ref, (0, 0))[0] == p.pid
    due = any(notice.ref == a.ref and notice.pid == p.pid for notice in links.due.values())
    return Done(mine or due, before=(ev.MonitorDropped(a.ref, p.pid),) if mine or due else ())


def message_of(k: Context, p: Process, said: Notice) -> tuple[tuple[ev.Event, ...], tuple[bytes, ...]]:
    """The message that tells `p`. A full mailbox takes it, too: there are never more of them than links."""
    body = {
        "pid": said.about, "status": said.status, "signal": said.signal, "reason": said.reason,
        "restarting": said.restarting,
    }  # fmt: skip
    if said.ref:
        body["ref"] = said.ref
    events, contents, _ = send_events(k, said.about, p, said.kind, body, always=True)
    return events, contents


def say(k: Context, number: int, said: Notice) -> tuple[tuple[ev.Event, ...], tuple[bytes, ...]]:
    """What comes of a notice that is due."""
    told, p = ev.EndTold(number), k.table.get(said.pid)
    if p is None or not p.alive or ("ipc" not in p.pledge and said.kind != ENDS):
        return (told,), ()
    if said.kind == ENDS:
        reason = f"linked to {_name(said.about)}, which ended: {said.reason}"
        events, contents = judged(k, p, End(1, 0, reason, failed=True))
    else:
        events, contents = message_of(k, p, said)
    return (told, *events), contents


def _of_scope(k: Context, p: Process, pid: int, call: str) -> Process | None:
    """The process of that pid, or None where there was one. Raises Esrch, Eperm."""
    target = k.table.get(pid)
    if target is None:
        if not k.table.was(pid):
            raise Esrch(f"there is no process {_name(pid)}", call=call)
        return None
    if target.run != p.run and scope_of(k.fleets, target) != scope_of(k.fleets, p):
        raise Eperm(f"process {_name(pid)} is of another run", call=call)
    return target


def _check_room(k: Context, p: Process, call: str) -> None:
    if k.state.links.count(p.pid) >= limits.LINKS_MAX:
        raise Eagain(f"{limits.LINKS_MAX} links and monitors of process {_name(p.pid)} are the most", call=call)


def _name(pid: int) -> str:
    return format_pid(Pid(pid)) if pid > 0 else str(pid)
