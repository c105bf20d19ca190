"""What events of topics mean to several rooms at once: topics say who gets an event, mailboxes take it.

Folds, as those of the rooms: they decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.ipc.letter import Message
from prytany.ipc.mailbox import Post
from prytany.ipc.topics import Topics
from prytany.process.process import RECEIVES, Process
from prytany.process.table import Table
from prytany.supervision.fleets import Fleets
from prytany.supervision.triggers import Came, Triggers

EVENT = "event"
"""The type of the messages by which events come."""
MISSED = "missed"
"""The type of the message that says how many did not."""


class Rooms(Protocol):
    """The state of a shard, as these folds see it."""

    table: Table
    post: Post
    fleets: Fleets
    topics: Topics
    triggers: Triggers


def waits(p: Process | None) -> bool:
    """Whether it has a call open that takes a message."""
    return p is not None and any(call.call in RECEIVES for call in p.open.values())


def deliver(state: Rooms, pid: int, message: Message) -> None:
    """A message into a mailbox; its receiver is handed it right behind, if it waits."""
    state.post.deliver(pid, message)
    if waits(state.table.processes.get(pid)):
        state.topics.handing.setdefault(pid, []).append(message.number)


def _published(state: Rooms, seq: int, e: ev.TopicPublished) -> None:
    time_ns = state.table.time_ns
    for who in state.topics.published(seq, time_ns, e):
        if who > 0:
            deliver(state, who, Message(e.message, e.sender, EVENT, e.body, seq))
        else:
            state.triggers.published(who, Came(time_ns, e.body, seq, e.topic, e.number))
    for who in e.full:
        if who < 0:
            state.triggers.overflowed(who)
    state.post.next_number = e.message + 1


def _subscribed(state: Rooms, seq: int, e: ev.TopicSubscribed) -> None:
    if state.topics.subscribe(e).replays and not state.post.box(e.pid).full:
        state.topics.due[e.pid] = None


def _unsubscribed(state: Rooms, seq: int, e: ev.TopicUnsubscribed) -> None:
    state.topics.unsubscribe(e.pid, e.pattern)


def _refilled(state: Rooms, seq: int, e: ev.TopicRefilled) -> None:
    for logged in state.topics.refilled(e):
        deliver(state, e.pid, Message(logged.message, logged.sender, EVENT, logged.body, logged.seq))
    if state.post.box(e.pid).full:
        state.topics.due.pop(e.pid, None)


def _missed(state: Rooms, seq: int, e: ev.TopicMissed) -> None:
    state.topics.told(e.pid)
    deliver(state, e.pid, Message(e.message, 0, MISSED, e.body, seq))
    state.post.next_number = e.message + 1
    if state.post.box(e.pid).full:
        state.topics.due.pop(e.pid, None)


def _handed(state: Rooms, seq: int, e: ev.TopicHanded) -> None:
    for pid in e.receivers:
        state.topics.handing.pop(pid, None)


def made_room(state: Rooms, pid: int) -> None:
    """A mailbox has less in it than before. Who is behind is filled up again when half of it is free."""
    subscriber = state.topics.subscribers.get(pid)
    if subscriber is not None and subscriber.next and state.post.box(pid).room * 2 >= limits.MAILBOX_MESSAGES_MAX:
        state.topics.due[pid] = None


def _exited(state: Rooms, seq: int, e: ev.ProcessExited) -> None:
    """Its subscriptions end with it, and the topics of its run or fleet with the last of those."""
    topics = state.topics
    if not topics.scopes:
        return
    topics.leave(e.pid)
    process = state.table.processes.get(e.pid)
    if process is None or process.run not in state.table.ended:
        return
    topics.drop(f"run:{process.run}")
    fleet = state.fleets.fleet_of(e.pid)
    if fleet is not None and not fleet.stays:
        members = (
            state.table.processes.get(pid) for pid, of in state.fleets.members.items() if of.fleet == fleet.number
        )
        if not any(member is not None and member.alive for member in members):
            topics.drop(f"fleet:{fleet.number}")


def _withdrawn(state: Rooms, seq: int, e: ev.FleetWithdrawn) -> None:
    members = (state.table.processes.get(pid) for pid, of in state.fleets.members.items() if of.fleet == e.fleet)
    if not any(member is not None and member.alive for member in members):
        state.topics.drop(f"fleet:{e.fleet}")


FOLDS: tuple[tuple[type, Callable[[Rooms, int, Any], None]], ...] = (
    (ev.TopicPublished, _published),
    (ev.TopicSubscribed, _subscribed),
    (ev.TopicUnsubscribed, _unsubscribed),
    (ev.TopicRefilled, _refilled),
    (ev.TopicMissed, _missed),
    (ev.TopicHanded, _handed),
    (ev.MessageDone, lambda state, seq, e: made_room(state, e.pid)),
    (ev.MessageDead, lambda state, seq, e: made_room(state, e.receiver)),
    (ev.ProcessExited, _exited),
    (ev.FleetWithdrawn, _withdrawn),
)
"""In the order in which the rooms themselves fold: after all of them."""
