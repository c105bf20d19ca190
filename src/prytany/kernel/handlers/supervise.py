"""Supervising: how a process does, and what is recorded of a child that it starts."""

from __future__ import annotations

from typing import Any

from prytany.abi import events as ev
from prytany.abi import supervision as words
from prytany.abi.errors import Eagain, Einval
from prytany.abi.signals import Signal
from prytany.kernel.outcome import Context, Done
from prytany.process.process import Process

CALL = "process_supervise"


def sys_process_supervise(k: Context, p: Process, n: int, a: Any) -> Done:
    """From here on; what it supervises already is judged by it too."""
    return Done(None, before=(declared(p.pid, a.strategy, a.intensity, a.period_ms),))


def declared(
    pid: int, strategy: str = words.Strategy.ONE_FOR_ONE, intensity: int = words.INTENSITY,
    period_ms: int = words.PERIOD_MS, *, group: bool = False,
) -> ev.TreeDeclared:  # fmt: skip
    """That a process supervises like this. Raises Einval."""
    if strategy not in list(words.Strategy):
        there = ", ".join(words.Strategy)
        raise Einval(f"there is no strategy {strategy[:40]!r}; there are {there}", call=CALL)
    if not 0 <= intensity <= words.INTENSITY_MAX:
        raise Einval(f"an intensity is from 0 to {words.INTENSITY_MAX} restarts", call=CALL)
    if not 1 <= period_ms <= words.PERIOD_MS_MAX:
        raise Einval(f"a period is from 1 to {words.PERIOD_MS_MAX} ms", call=CALL)
    return ev.TreeDeclared(pid, strategy, intensity, period_ms, group)


def supervised(
    k: Context, parent: int, pid: int, a: Any, agent: ev.AgentDeclared | None = None
) -> tuple[ev.Event, ...]:
    """What is recorded of a child beside its spawn: that `parent` (0: nobody) supervises it, as `a` says by `restart`,
    `shutdown_ms` and `progress_ms`, or else the agent that it is. Nothing where none of that is said.

    Raises:
        Einval: a word or a number is out of bounds.
        Eagain: the parent is being ended.
    """
    if a.shutdown_ms < -1 or a.shutdown_ms > words.SHUTDOWN_MS_MAX:
        raise Einval(f"a grace time is from 0 to {words.SHUTDOWN_MS_MAX} ms", call="process_spawn")
    if a.progress_ms and not words.PROGRESS_MS_MIN <= a.progress_ms <= words.PROGRESS_MS_MAX:
        most = f"from {words.PROGRESS_MS_MIN} to {words.PROGRESS_MS_MAX} ms"
        raise Einval(f"a time without progress is {most}, or 0", call="process_spawn")
    agents_ms = agent.shutdown_ms if agent is not None else -1
    shutdown_ms = next((ms for ms in (a.shutdown_ms, agents_ms) if ms >= 0), words.SHUTDOWN_MS)
    progress_ms = a.progress_ms or (agent.progress_ms if agent is not None else 0)
    restart = a.restart or (agent.restart if agent is not None else "")
    if not restart:
        if a.shutdown_ms >= 0:
            raise Einval("a grace time is for a child with `restart`", call="process_spawn")
        return (ev.ChildSupervised(pid, 0, "", shutdown_ms, progress_ms),) if progress_ms else ()
    if restart not in list(words.Restart):
        raise Einval(f"`restart` is one of {', '.join(words.Restart)}, and not {restart[:40]!r}", call="process_spawn")
    if a.restarts:
        raise Einval("say `restart` or `restarts`, and not both", call="process_spawn")
    own = k.state.trees.supervisors.get(parent)
    if own is not None and own.after not in ("", words.After.RELEASE):
        raise Eagain("this process is being ended, and its children before it", call="process_spawn")
    child = ev.ChildSupervised(pid, parent, restart, shutdown_ms, progress_ms)
    return (child,) if own is not None else (declared(parent), child)


def for_good(k: Context, pid: int, signal: int) -> tuple[ev.Event, ...]:
    """That a process which is asked to end by somebody above it is not begun again by its supervisor."""
    child = k.state.trees.children.get(pid)
    deadly = signal in (Signal.KILL, Signal.TERM, Signal.INT)
    return (ev.ChildDropped(pid),) if deadly and child is not None and child.supervisor else ()
