"""How a program that failed goes on: with the program before, with a further incarnation, or not at all."""

from __future__ import annotations

from typing import Any

from prytany.abi import events as ev
from prytany.abi.errors import Einval
from prytany.abi.values import pack
from prytany.kernel.handlers.judging import End, again, supervised_end
from prytany.kernel.handlers.message import check_state, failed_messages
from prytany.kernel.handlers.pipe import BY_PIPE
from prytany.kernel.handlers.process import exit_events, raised, session_end
from prytany.kernel.outcome import Context, Ended, Program
from prytany.process.process import Process, State
from prytany.supervision.strategies import pause_ms

ENDED_BY_PIPE = 128 + 13
"""As a shell has it of who ends by SIGPIPE."""
Decided = tuple[tuple[ev.Event, ...], tuple[bytes, ...]]


def end_events(k: Context, p: Process, status: int, signal: int, reason: str, left: bytes, cpu_us: int = 0) -> Decided:
    """The end of an incarnation that was not killed. It failed if its status says so and no signal asked for it."""
    end = End(status, signal, reason, left, cpu_us, failed=bool(status) and not p.asked)
    if end.failed and p.previous:
        reverted = ev.ProcessReverted(p.pid, reason, k.digest(left), p.tail, cpu_us)
        return (*charges(k, p), reverted, ev.IncidentOpened(p.pid, "upgrade")), (left,) if left else ()
    return judged(k, p, end)


def judged(k: Context, p: Process, end: End) -> Decided:
    """What the end of an incarnation leads to: by its supervisor, or else by how many restarts it was given."""
    if (decided := supervised_end(k, p, end)) is not None:
        return decided
    if not end.failed or p.failures >= p.restarts:
        return exit_events(k, p, end.status, end.signal, end.reason, end.left, end.cpu_us, failed=end.failed)
    return again(k, p, end, k.now_ns() + pause_ms(p.failures, p.seed, p.incarnation) * 1_000_000)


def charges(k: Context, p: Process) -> tuple[ev.Event, ...]:
    """What its model calls are charged that end with this history."""
    return tuple(charge for n in p.open for charge in k.unfinished(p, n))


def sys_process_exit(k: Context, p: Process, n: int, a: Any) -> Ended:
    """The program's own end."""
    if not 0 <= a.status <= 255:
        raise Einval("a status is a number from 0 to 255", call="process_exit")
    if a.error is not None and (ended := session_end(k, p, a.status, a.error)) is not None:
        return Ended(*ended)
    if a.error is not None and (a.error.get("type"), a.error.get("cause")) == ("Epipe", BY_PIPE):
        # As by SIGPIPE: it did nothing wrong, and beginning it again would not bring a reader back.
        return Ended(*exit_events(k, p, ENDED_BY_PIPE, 0, "its reader has gone", pack([None, a.error])))
    reason = "returned" if a.error is None else raised(a.error)
    return Ended(*end_events(k, p, a.status, 0, reason, pack([a.result, a.error])))


def sys_process_exec(k: Context, p: Process, n: int, a: Any) -> Ended:
    """The same program and incarnation, and another history."""
    check_state(k, p, a.state, "process_exec")
    events, contents = failed_messages(k, p)
    return Ended((*events, *charges(k, p), ev.ProcessExeced(p.pid, k.digest(a.state), p.tail)), (*contents, a.state))


def upgrade_events(k: Context, p: Process, found: Program) -> tuple[ev.Event, ...]:
    """The move of a `Server` to the source that was found: at once if it is between two messages, or else when it is
    done with the one in hand or fails at it.

    Raises:
        Einval: it is no `Server`, or the program is what it runs.
    """
    source = k.digest(found.source)
    if not found.serves or not p.snapshot:
        raise Einval("only a Server that has started moves to a new version; others finish on what they began with")
    program = found.program if found.program != p.program else ""
    if source == p.source and not program:
        raise Einval("it runs this version already")
    if _between_messages(k, p):
        return (*charges(k, p), ev.ProcessUpgraded(p.pid, source, p.tail, program))
    return (ev.ProcessUpgrading(p.pid, source, program),)


def _between_messages(k: Context, p: Process) -> bool:
    """Whether nothing of an activation has happened: it is not running, stands at a cut, or waits for a message."""
    if p.previous:
        return False
    box = k.post.box(p.pid)
    if p.state is not State.RUNNING:
        return not box.in_hand
    return not box.in_hand and (p.tail == p.cut_seq or list(p.open) == [box.awaiting] == [p.base + 1])
