"""Topics, as an operator tells a kernel of them and is told.

Scopes are named `fleet:3` or `run:17`. Where a command takes `of`, that is the name of a fleet, the pid of a run,
or "" where there is only one.
"""

from __future__ import annotations

from typing import Any

import msgspec


class ListTopics(msgspec.Struct, array_like=True, frozen=True, tag="topics"):
    """At most ROWS_MAX topics by scope and name, after that one."""

    after_scope: str = ""
    after: str = ""


class ListSubscribers(msgspec.Struct, array_like=True, frozen=True, tag="subscribers"):
    """At most ROWS_MAX processes that are subscribed to something, by pid, after that one."""

    after: int = 0


class ReadEvents(msgspec.Struct, array_like=True, frozen=True, tag="events"):
    """What matches of a scope's log: `since` as `topic_subscribe` has it; as many as one answer has room for."""

    pattern: str
    of: str = ""
    since: Any = "start"


class PublishEvent(msgspec.Struct, array_like=True, frozen=True, tag="publish"):
    """Publish an event, as a process of that scope would."""

    topic: str
    body: Any
    of: str = ""


class ListTriggers(msgspec.Struct, array_like=True, frozen=True, tag="triggers"):
    """The triggers of all fleets that are up, with what they did last."""


class SwitchTrigger(msgspec.Struct, array_like=True, frozen=True, tag="trigger"):
    """Switch a trigger on or off; of a fleet by its name, where several have one of that name. Answered with it."""

    name: str
    on: bool
    fleet: str = ""


class FiringRow(msgspec.Struct, kw_only=True):
    """What a trigger did: which process it started, or sent to; or why nothing."""

    time_ns: int
    pid: int
    why: str


class TriggerRow(msgspec.Struct, kw_only=True):
    """One trigger."""

    fleet: str
    name: str
    kind: str
    waits_for: list[str]
    agent: str
    on: bool
    next_ns: int
    """When its next time is; 0 where it has none."""
    queued: int
    running: list[int]
    """Who was started by it, and lives."""
    fired: int
    skipped: int
    last: list[FiringRow]
    """What it did last, the oldest first."""


class TopicRow(msgspec.Struct, kw_only=True):
    """One topic: its last event, how many there were, and who would get the next one."""

    scope: str
    fleet: str
    """Its name; "" where the scope is a run."""
    topic: str
    number: int
    time_ns: int
    count: int
    subscribers: int


class SubscriberRow(msgspec.Struct, kw_only=True):
    """One process's subscriptions."""

    pid: int
    name: str
    scope: str
    patterns: list[str]
    lag: int
    """Events of the log that it has not been looked through for; 0 where it has all that matches."""
    missed: int
    """Events that the log let go before it had them."""


class EventRow(msgspec.Struct, kw_only=True):
    """One event of a log."""

    number: int
    topic: str
    time_ns: int
    sender: int
    body: Any = None
    forgotten: bool = False
    """Its content was destroyed, by an operator's command."""


class EventsPage(msgspec.Struct, kw_only=True):
    """Some of a log; what comes behind it begins at `next`. `gone` of those asked for are not there any more."""

    scope: str
    events: list[EventRow]
    next: int
    more: bool
    gone: int = 0


class Published(msgspec.Struct, kw_only=True):
    """What became of an event."""

    scope: str
    topic: str
    number: int
    subscribers: int


TopicsLook = ListTopics | ListSubscribers | ListTriggers
TopicsAct = ReadEvents | PublishEvent | SwitchTrigger
TopicsCommand = TopicsLook | TopicsAct
