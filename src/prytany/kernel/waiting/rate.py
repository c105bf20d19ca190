"""A file or tool call that waits for its turn at the bytes a second of its agent, or of its fleet."""

from __future__ import annotations

from prytany.abi.ids import Pid, format_pid
from prytany.abi.qos import Qos
from prytany.kernel.queue_views import qos_name
from prytany.kernel.waiting.edge import Cause, Look, named
from prytany.process.process import PACED, OpenCall, Process
from prytany.scheduling.flows import Standing
from prytany.scheduling.words import span


def paced(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """Whose rate holds it, who begins next, and when."""
    if not call.paced:
        return None
    standing = look.live.paced.standing(p.pid, n) if look.live is not None else None
    if standing is None:
        return Cause("bytes", f"its turn by {PACED}")
    left_ns = standing.at_ns - look.now_ns
    when = f"in {span(left_ns)}" if left_ns > 0 else "now"
    text = f"{PACED}: {_whose(look, p, standing)}; it is {qos_name(p.qos)}, and"
    if standing.first == (p.pid, n):
        return Cause("bytes", f"{text} next, {when}")
    pid, number = standing.first
    first = f"its call {number}" if pid == p.pid else named(look, pid)
    text = f"{text} {first} is next, {when}; {standing.waiting} calls of the fleet wait"
    helps = pid != p.pid and not standing.own and p.qos != Qos.INTERACTIVE
    return Cause("bytes", text, help=(f"schedule {format_pid(Pid(p.pid))} --qos interactive",) * helps)


def _whose(look: Look, p: Process, standing: Standing) -> str:
    fleet = look.state.fleets.fleet_of(p.pid)
    if fleet is None or not standing.rate:
        return "its turn"
    whose = f"agent {look.state.fleets.members[p.pid].agent}" if standing.own else f"fleet {fleet.name}"
    return f"the {standing.rate:,} of its {whose}"
