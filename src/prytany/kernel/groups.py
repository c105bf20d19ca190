"""Groups: processes that supervise and have no program. What is special about them stands here.

A group is a process of the table, with a pid, a parent and a run, so that it is looked at, ended and budgeted as any
other. It has no worker: what it does, the kernel does for it. From its start on it has one call open that is never
answered, so that it waits, and needs no place.
"""

from __future__ import annotations

from prytany.abi import events as ev
from prytany.abi.signals import Signal
from prytany.abi.supervision import GROUP_WAIT, After, Restart
from prytany.kernel.outcome import Context
from prytany.process.process import Process


def begin_events(p: Process) -> tuple[ev.Event, ...]:
    """A group that is ready begins."""
    return ev.ProcessStarted(p.pid, p.tail), ev.CallOpened(p.pid, 1, GROUP_WAIT, b"", p.tail, 0, True)


def children_first(k: Context, p: Process, signal: int) -> tuple[ev.Event, ...]:
    """What TERM or INT means to a process that supervises: it ends its children first, the last that was started
    before the others. Nothing where it has none, or is at that already: then it is told itself. A group that is begun
    again however it ends begins its children again."""
    own = k.state.trees.supervisors.get(p.pid)
    if own is None or not own.children or own.after == After.TERM:
        return ()
    child = k.state.trees.children.get(p.pid)
    stays = own.group and child is not None and child.supervisor and child.restart == Restart.PERMANENT
    pids = [pid for pid in reversed(own.children) if not (stays and pid in own.held)]
    after, why = (After.HOLD, "their group begins again") if stays else (After.TERM, "its supervisor ends")
    return (ev.TreeEnding(p.pid, pids, after, 0, why, signal),)


def is_deadly(signal: int) -> bool:
    """Whether a signal asks a process to end."""
    return signal in (Signal.INT, Signal.TERM)
