"""Calls that wait for a person or a time, and those that are being done."""

from __future__ import annotations

from prytany.abi.ids import Pid, format_pid
from prytany.kernel.waiting.edge import Cause, Look
from prytany.process.process import OpenCall, Process
from prytany.scheduling.words import span

FAR_NS = 1 << 60
"""A time this far away never comes."""


def person_of_process(look: Look, p: Process) -> Cause | None:
    """The process itself needs a person."""
    kind = p.incidents.get(0)
    if kind is None or not p.alive or kind == "upgrade":
        return None
    name = format_pid(Pid(p.pid))
    reason = f" ({p.reason})" if p.reason else ""
    since_ns = look.state.table.incidents.get(f"{p.pid}:{kind}:0", 0)
    return Cause("person", f"a person: {kind}{reason}", since_ns, _settle(name, 0))


def person(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """A call needs one."""
    kind = p.incidents.get(n)
    if kind is None and not call.doubt:
        return None
    text = f"a person: {kind}" if kind is not None else "a person: whether its effect happened is in doubt"
    since_ns = look.state.table.incidents.get(f"{p.pid}:{kind}:{n}", 0)
    return Cause("person", text, since_ns, _settle(format_pid(Pid(p.pid)), n))


def timer(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """A time has not come."""
    if call.call != "timer_wait":
        return None
    left_ns = call.subject - look.now_ns
    if left_ns > FAR_NS:
        return Cause("timer", "a time that does not come")
    return Cause("timer", f"a time, in {span(left_ns)}" if left_ns > 0 else "a time, which has come")


def doing(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """Everything else is being done."""
    what = f"the tool {call.tool}, which works on it" if call.tool else f"{call.call}, which is being done"
    return Cause("doing", what)


def _settle(name: str, n: int) -> tuple[str, ...]:
    return f"incidents retry {name} {n}", f"incidents skip {name} {n}"
