"""Reactions that are a word to one part of the kernel each; what takes more of them is in `reactions`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from prytany.abi import events as ev
from prytany.abi.ids import Pid, format_pid
from prytany.kernel.admission import Admission
from prytany.kernel.effects import Effects
from prytany.kernel.exceeding import Exceeding
from prytany.kernel.ledger import Durable
from prytany.kernel.model_sparing import ModelSparing
from prytany.kernel.models.turns import ModelTurns
from prytany.kernel.notices import Notices
from prytany.kernel.places import Places
from prytany.kernel.restarts import Restarts
from prytany.kernel.triggers import Triggers
from prytany.kernel.workers import Workers

CIRCLE_SHOWN = 20
"""Of a deadlock's processes, in a log."""


class Core(Protocol):
    """The kernel, as these reactions see it."""

    effects: Effects
    admission: Admission
    model_sparing: ModelSparing
    model_turns: ModelTurns
    exceeding: Exceeding
    notices: Notices
    places: Places
    workers: Workers
    restarts: Restarts
    triggers: Triggers


def due_at(k: Core, entry: Durable, e: ev.TreeEnding | ev.ChildTold) -> None:
    """Its time may be the next that something is due at."""
    k.restarts.times.look(e.supervisor if isinstance(e, ev.TreeEnding) else e.pid)


def supervised(k: Core, entry: Durable, e: ev.ChildSupervised) -> None:
    """It may have to do something within a time."""
    k.restarts.progress.look(e.pid)
    k.restarts.pools.look(e.supervisor)


def postponed(k: Core, entry: Durable, e: ev.ProcessPostponed) -> None:
    """It begins at another time."""
    k.restarts.schedule(e.pid)


def warned(k: Core, entry: Durable, e: ev.ProcessWarned) -> None:
    """Its log says so."""
    k.notices.news()
    live = k.workers.live.get(e.pid)
    if live is not None and live.worker is not None:
        live.worker.log(f"prytany: {e.what} stands at {e.value}, and is bounded\n")


def deadlocked(k: Core, entry: Durable, e: ev.DeadlockFound) -> None:
    """The log of whoever was chosen says so."""
    live = k.workers.live.get(e.pid)
    if live is not None and live.worker is not None:
        circle = ", ".join(format_pid(Pid(pid)) for pid in e.pids[:CIRCLE_SHOWN])
        live.worker.log(f"prytany: a deadlock of processes {circle}: call {e.n} ends with EDEADLK\n")


def let_go(k: Core, entry: Durable, e: ev.ToolLetGo) -> None:
    """Whoever is next has what a process held."""
    k.admission.fill()


def spawned(k: Core, entry: Durable, e: ev.ProcessSpawned) -> None:
    """What it begins with need not be read again, if it begins soon."""
    if (argument := entry.contents.get(e.argument)) is not None:
        k.workers.start_items.keep(e.pid, argument)


def activation_done(k: Core, entry: Durable, e: ev.MessageDone) -> None:
    """What was sent so far is before the cut."""
    live = k.workers.live.get(e.pid)
    if live is not None and e.state:
        live.cut = live.sent - 1


def reaped(k: Core, entry: Durable, e: ev.ProcessReaped) -> None:
    """Nobody asks for it again."""
    k.places.release(e.pid)


def forgotten(k: Core, entry: Durable, e: ev.ContentForgotten) -> None:
    """What it said is nowhere any more, in memory neither."""
    k.effects.contexts.let_go(e.pid)
    k.model_sparing.forgotten(e.pid)


def redeclared(k: Core, entry: Durable, e: ev.FleetDeclared | ev.AgentDeclared | ev.AgentWithdrawn) -> None:
    """It may have another rate."""
    k.effects.paced.changed()


def triggered(k: Core, entry: Durable, e: ev.Event) -> None:
    """Times and files are others."""
    k.triggers.look()


def noticed(k: Core, entry: Durable, e: ev.Event) -> None:
    """People are told, or told again."""
    k.notices.look()


def bounded(k: Core, entry: Durable, e: ev.BudgetGranted | ev.BudgetAdded) -> None:
    """Who waits for it is asked again."""
    k.model_turns.added(e.account)
    k.exceeding.look(e.account)


TRIGGERED = (ev.TriggerDeclared, ev.TriggerWithdrawn, ev.TriggerSwitched, ev.FleetWithdrawn)
NOTICED = (
    ev.NoticeOpened, ev.NoticeDelivered, ev.NoticeMissed, ev.NoticeRetried, ev.ChannelDeclared, ev.LimitNeared,
    ev.AgentStormed,
)  # fmt: skip
SIMPLE: dict[type, Callable[[Core, Durable, Any], None]] = {
    ev.ProcessWarned: warned,
    ev.DeadlockFound: deadlocked,
    ev.ToolLetGo: let_go,
    ev.ProcessSpawned: spawned,
    ev.MessageDone: activation_done,
    ev.ProcessReaped: reaped,
    ev.ContentForgotten: forgotten,
    ev.FleetDeclared: redeclared,
    ev.AgentDeclared: redeclared,
    ev.AgentWithdrawn: redeclared,
    ev.BudgetGranted: bounded,
    ev.BudgetAdded: bounded,
    **dict.fromkeys(TRIGGERED, triggered),
    ev.TreeEnding: due_at,
    ev.ChildSupervised: supervised,
    ev.ChildTold: due_at,
    ev.ProcessPostponed: postponed,
    **dict.fromkeys(NOTICED, noticed),
}
"""What each event means here."""
