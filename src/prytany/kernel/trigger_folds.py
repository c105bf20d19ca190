"""What events of triggers mean to several rooms at once: a trigger on a topic is a subscriber of its fleet's scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prytany.abi import events as ev
from prytany.ipc.letter import Message
from prytany.kernel.topic_folds import Rooms, deliver
from prytany.supervision.triggers import Trigger, key_of

MESSAGE = "message"
TOPIC = "topic"


def _unsubscribe(state: Rooms, trigger: Trigger) -> None:
    state.topics.leave(trigger.id)


def _subscribe(state: Rooms, trigger: Trigger) -> None:
    if trigger.spec.kind == TOPIC and trigger.on:
        for pattern in trigger.spec.on:
            state.topics.subscribe(ev.TopicSubscribed(trigger.id, f"fleet:{trigger.fleet}", pattern))


def _declared(state: Rooms, seq: int, e: ev.TriggerDeclared) -> None:
    had = state.triggers.get(e.fleet, e.name)
    if had is not None:
        _unsubscribe(state, had)
    _subscribe(state, state.triggers.declared(seq, state.table.time_ns, e))


def _withdrawn(state: Rooms, seq: int, e: ev.TriggerWithdrawn) -> None:
    gone = state.triggers.withdrawn(e.fleet, e.name)
    if gone is not None:
        _unsubscribe(state, gone)


def _switched(state: Rooms, seq: int, e: ev.TriggerSwitched) -> None:
    trigger = state.triggers.switched(state.table.time_ns, e)
    _unsubscribe(state, trigger)
    _subscribe(state, trigger)


def _messaged(state: Rooms, seq: int, e: ev.TriggerMessaged) -> None:
    state.triggers.messaged(seq, state.table.time_ns, e)
    state.post.next_number = e.number + 1


def _fired(state: Rooms, seq: int, e: ev.TriggerFired) -> None:
    trigger = state.triggers.triggers[key_of(e.fleet, e.name)]
    if trigger.spec.kind == MESSAGE and not e.keeps:
        came = trigger.queue[0]
        deliver(state, e.pid, Message(came.number, came.sender, came.topic, came.body, came.seq, came.call))
    state.triggers.fired(state.table.time_ns, e)


def _down(state: Rooms, seq: int, e: ev.FleetWithdrawn) -> None:
    for trigger in [one for one in state.triggers.triggers.values() if one.fleet == e.fleet]:
        state.triggers.withdrawn(trigger.fleet, trigger.name)
        _unsubscribe(state, trigger)


def _restored(state: Rooms, seq: int, e: ev.HomeRestored) -> None:
    """A copy of a home does nothing by itself: its triggers are off until a person switches them on."""
    for trigger in state.triggers.triggers.values():
        state.triggers.switched(state.table.time_ns, ev.TriggerSwitched(trigger.fleet, trigger.name, False))
        _unsubscribe(state, trigger)


FOLDS: tuple[tuple[type, Callable[[Rooms, int, Any], None]], ...] = (
    (ev.TriggerDeclared, _declared),
    (ev.TriggerWithdrawn, _withdrawn),
    (ev.TriggerSwitched, _switched),
    (ev.TriggerTimed, lambda state, seq, e: state.triggers.timed(e)),
    (ev.TriggerSeen, lambda state, seq, e: state.triggers.seen(seq, state.table.time_ns, e)),
    (ev.TriggerMessaged, _messaged),
    (ev.TriggerFired, _fired),
    (ev.TriggerSkipped, lambda state, seq, e: state.triggers.skip(state.table.time_ns, e)),
    (ev.ProcessExited, lambda state, seq, e: state.triggers.exited(e.pid)),
    (ev.FleetWithdrawn, _down),
    (ev.HomeRestored, _restored),
)
