"""A process that does not run: it has ended, is stopped, waits for its place, or begins again later."""

from __future__ import annotations

from prytany.abi.ids import Pid, format_pid
from prytany.kernel.freezing import FROZEN
from prytany.kernel.waiting.edge import Cause, Look
from prytany.ports.memory import PRESSURE
from prytany.process.process import Process, State
from prytany.scheduling.words import span


def ended(look: Look, p: Process) -> Cause | None:
    """It waits for nothing any more."""
    if p.alive:
        return None
    reason = f": {p.reason}" if p.reason else ""
    return Cause("ended", f"it has ended with status {p.status}{reason}, and waits for nothing", p.ended_ns)


def stopped(look: Look, p: Process) -> Cause | None:
    """Somebody stopped it, or a freeze did; what budgets and incidents stop is said by their edges."""
    if p.state is not State.STOPPED:
        return None
    name = format_pid(Pid(p.pid))
    if p.reason == FROZEN:
        return Cause("stopped", "it is frozen, as everything is", help=("freeze --thaw",))
    if p.reason == PRESSURE:
        text = "room in the machine's memory: classes below others stand still first, and go on when there is some"
        return Cause("memory", text, help=(f"schedule {name} --qos interactive", f"unpause {name}"))
    return Cause("stopped", f"it is stopped ({p.reason})", help=(f"unpause {name}",))


def restarting(look: Look, p: Process) -> Cause | None:
    """It failed, and begins again when its time has come."""
    if not p.restart_ns:
        return None
    text = f"its time to begin again, in {span(p.restart_ns - look.now_ns)}: it failed {p.failures} times"
    return Cause("restart", f"{text} of {p.restarts} that are put up with")


def not_begun(look: Look, p: Process) -> Cause | None:
    """It is ready, and not let in yet."""
    if p.state not in (State.READY, State.CREATED):
        return None
    ready = list(look.state.table.ready)
    before = f"; {len(ready) - 1} others wait for one" if len(ready) > 1 else ""
    text = f"a place among those that run at once; {len(look.state.table.running)} have begun{before}"
    return Cause("place", text, p.spawned_ns, help=("ps --state running",))
