"""Topics: a fold of what was published, and of who is subscribed.

    published ─▶ log of the scope ─▶ mailboxes of all subscribers that have room
                     │
                     └─▶ a subscriber that is behind, when it has room again, or is to have what was before

All events of a scope are numbered in one row, so that a place in its log is a number. The log is bounded, and so is the
number of topics of which something is known; whoever decides that something is published says what is let go for it.
A subscriber is a process, by its pid, or a trigger, by a number below 0.

Invariant: a subscriber that is not behind has, or had in its mailbox, everything that was published since it subscribed
and matches; one that is behind has everything before `next`, or was told how much it missed, or will be.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import KernelPanic
from prytany.abi.topics import matches
from prytany.ipc import subscribed
from prytany.ipc.subscribed import Node


class Logged(msgspec.Struct, array_like=True, frozen=True):
    """One event. `body` lies in entry `seq`."""

    number: int
    topic: str
    message: int
    sender: int
    body: bytes
    seq: int
    time_ns: int
    size_bytes: int


class Topic(msgspec.Struct, array_like=True):
    """What is known of one topic: its last event, and how many there were while it was known."""

    last: Logged
    count: int = 0


class Replay(msgspec.Struct, array_like=True):
    """What a subscriber is to have of before, by one pattern: numbers from `next` to `upto`, or those named."""

    pattern: str
    next: int
    upto: int
    numbers: list[int] = []

    def misses(self, gone: Logged) -> bool:
        """Whether that event, which leaves the log, was still to come by this. A topic's last one does not leave."""
        return not self.numbers and self.next <= gone.number <= self.upto and matches(self.pattern, gone.topic)


class Subscriber(msgspec.Struct, array_like=True):
    """One process's subscriptions, or a trigger's one."""

    scope: str
    patterns: dict[str, int] = {}
    """To the numbers that the next events had when it subscribed."""
    next: int = 0
    """It is behind, and has looked at what is before that number; 0: it is not."""
    missed: int = 0
    """Events that the log let go before it had them, and of which it was not told."""
    missed_all: int = 0
    """Those of which it was told."""
    replays: list[Replay] = []

    def misses(self, gone: Logged) -> bool:
        """Whether that event, which leaves the log and matches, was still to come."""
        return self.next <= gone.number and any(
            since <= gone.number and matches(pattern, gone.topic) for pattern, since in self.patterns.items()
        )


class Scope(msgspec.Struct, array_like=True):
    """The topics of one scope, the ones published last at the end, and the log: numbers from `first` to before
    `next`."""

    next: int = 1
    first: int = 1
    log: dict[int, Logged] = {}
    size_bytes: int = 0
    topics: dict[str, Topic] = {}
    kept: dict[int, str] = {}
    """The last events of topics that have left the log, to their topics."""
    root: Node = msgspec.field(default_factory=Node)
    behind: dict[int, None] = {}
    subscribers: int = 0

    def since_ns(self, time_ns: int) -> int:
        """The number of the first event at or after that time, or the next one."""
        low, high = self.first, self.next
        while low < high:
            middle = (low + high) // 2
            if self.log[middle].time_ns < time_ns:
                low = middle + 1
            else:
                high = middle
        return low

    def get(self, number: int) -> Logged | None:
        """An event of the log, or the last one of a topic."""
        found = self.log.get(number)
        return self.topics[self.kept[number]].last if found is None and number in self.kept else found


_NOWHERE = Scope()


class Topics(msgspec.Struct):
    """The topics of a shard, by scope; only of those in which anything was ever published or subscribed to."""

    scopes: dict[str, Scope] = {}
    subscribers: dict[int, Subscriber] = {}
    due: dict[int, None] = {}
    """Who is behind, and has room again."""
    handing: dict[int, list[int]] = {}
    """Receivers that waited when something came into their mailboxes, and which messages."""

    def scope(self, name: str) -> Scope:
        """A scope, to look at; an empty one where there is none yet."""
        return self.scopes.get(name, _NOWHERE)

    def published(self, seq: int, time_ns: int, e: ev.TopicPublished) -> Iterable[int]:
        """Fold an event; who gets it at once."""
        scope = self._own(e.scope)
        self._let_go(scope, e.upto)
        if e.forgotten:
            scope.kept.pop(scope.topics.pop(e.forgotten).last.number, None)
        logged = Logged(e.number, e.topic, e.message, e.sender, e.body, seq, time_ns, e.size_bytes)
        scope.log[e.number] = logged
        scope.size_bytes += e.size_bytes
        scope.next = e.number + 1
        topic = scope.topics.pop(e.topic, None)
        if topic is not None:
            scope.kept.pop(topic.last.number, None)
        scope.topics[e.topic] = Topic(logged, 1 if topic is None else topic.count + 1)
        found = subscribed.reached(scope.root, e.topic)
        if not (e.full or scope.behind):
            return found
        for who in e.full:
            if who > 0:
                self.subscribers[who].next = e.number
                scope.behind[who] = None
        return [who for who in found if who not in scope.behind and (who > 0 or who not in e.full)]

    def _let_go(self, scope: Scope, upto: int) -> None:
        """The oldest events leave the log; who is behind and has not had them misses them."""
        for number in range(scope.first, upto + 1):
            gone = scope.log.pop(number)
            scope.size_bytes -= gone.size_bytes
            topic = scope.topics.get(gone.topic)
            if topic is not None and topic.last.number == number:
                scope.kept[number] = gone.topic
            if scope.behind:
                self._missed(scope, gone)
        scope.first = max(scope.first, upto + 1)

    def _missed(self, scope: Scope, gone: Logged) -> None:
        for who in subscribed.reached(scope.root, gone.topic):
            if who in scope.behind:
                subscriber = self.subscribers[who]
                subscriber.missed += subscriber.misses(gone) or any(r.misses(gone) for r in subscriber.replays)

    def subscribe(self, e: ev.TopicSubscribed) -> Subscriber:
        """Fold a subscription. One that there was before goes on; what is replayed for it begins anew."""
        scope = self._own(e.scope)
        subscriber = self.subscribers.get(e.pid)
        if subscriber is None:
            subscriber = self.subscribers[e.pid] = Subscriber(e.scope)
            scope.subscribers += 1
        if e.pattern not in subscriber.patterns:
            subscriber.patterns[e.pattern] = scope.next
            subscribed.add(scope.root, e.pattern, e.pid)
        subscriber.replays = [r for r in subscriber.replays if r.pattern != e.pattern]
        if e.since and (e.since < scope.next):
            subscriber.replays.append(Replay(e.pattern, e.since, scope.next - 1, list(e.numbers)))
            subscriber.next = subscriber.next or scope.next
            scope.behind[e.pid] = None
        return subscriber

    def unsubscribe(self, pid: int, pattern: str) -> None:
        """Fold that a subscription ends."""
        subscriber = self.subscribers[pid]
        scope = self.scopes[subscriber.scope]
        del subscriber.patterns[pattern]
        subscribed.remove(scope.root, pattern, pid)
        subscriber.replays = [r for r in subscriber.replays if r.pattern != pattern]
        if not subscriber.patterns:
            self.leave(pid)

    def leave(self, pid: int) -> None:
        """All subscriptions of `pid` end, with what was still to come."""
        subscriber = self.subscribers.pop(pid, None)
        self.due.pop(pid, None)
        self.handing.pop(pid, None)
        if subscriber is None:
            return
        scope = self.scopes[subscriber.scope]
        scope.behind.pop(pid, None)
        scope.subscribers -= 1
        for pattern in subscriber.patterns:
            subscribed.remove(scope.root, pattern, pid)

    def refilled(self, e: ev.TopicRefilled) -> list[Logged]:
        """Fold that a subscriber comes further; the events that it gets."""
        subscriber = self.subscribers[e.pid]
        scope = self.scopes[subscriber.scope]
        if e.pattern:
            replay = next((r for r in subscriber.replays if r.pattern == e.pattern), None)
            if replay is None:
                raise KernelPanic(f"nothing is replayed to {e.pid} by {e.pattern!r}")
            replay.next = e.next
            if e.next > replay.upto:
                subscriber.replays.remove(replay)
        else:
            subscriber.next = e.next
        self._settle(e.pid, subscriber)
        return [logged for number in e.numbers if (logged := scope.get(number)) is not None]

    def told(self, pid: int) -> None:
        """Fold that it was told what it missed."""
        subscriber = self.subscribers[pid]
        subscriber.missed_all += subscriber.missed
        subscriber.missed = 0
        self._settle(pid, subscriber)

    def _settle(self, who: int, subscriber: Subscriber) -> None:
        """It is not behind any more, if it is not."""
        scope = self.scopes[subscriber.scope]
        if not subscriber.replays and subscriber.next >= scope.next and not subscriber.missed:
            subscriber.next = 0
            scope.behind.pop(who, None)
            self.due.pop(who, None)

    def drop(self, name: str) -> None:
        """Nobody can name that scope any more."""
        scope = self.scopes.pop(name, None)
        if scope is not None and scope.subscribers:
            for who in [who for who, one in self.subscribers.items() if one.scope == name]:
                del self.subscribers[who]
                self.due.pop(who, None)
                self.handing.pop(who, None)

    def _own(self, name: str) -> Scope:
        scope = self.scopes.get(name)
        if scope is None:
            scope = self.scopes[name] = Scope()
        return scope
