"""Triggers: a fold of what fleets declare that agents are started by, of what came, and of what was done for it.

    a time, an event, a change ─▶ queue ─▶ fired: an agent is started, or the one that lives is sent it
                                    └────▶ skipped

What came waits in a trigger's queue until the kernel has decided what to do; so each is decided once, whatever crashes.
Invariant: `due` holds exactly the triggers for whose oldest something is to be decided now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits

LAST_MAX = 8
TIMED = ("cron", "every")


class Came(msgspec.Struct, array_like=True, frozen=True):
    """What came: when, and what of it, in entry `seq`."""

    time_ns: int
    body: bytes = b""
    seq: int = 0
    topic: str = ""
    number: int = 0
    sender: int = 0
    call: int = 0
    """Of a message: the sender's call that waits for the reply."""


class Firing(msgspec.Struct, array_like=True, frozen=True):
    """What was done: when, and for which process; or why not."""

    number: int
    time_ns: int
    pid: int
    why: str = ""


class Trigger(msgspec.Struct, array_like=True):
    """One trigger. `id` is its number below 0 as a subscriber of topics."""

    fleet: int
    name: str
    spec: ev.TriggerSpec
    uid: int
    id: int
    seq: int
    """The entry that declared it."""
    on: bool = True
    next_ns: int = 0
    wake_ns: int = 0
    looked_ns: int = 0
    """What changed at its files before that was seen."""
    queue: list[Came] = []
    running: dict[int, None] = {}
    fired: int = 0
    skipped: int = 0
    last: list[Firing] = []
    since_ns: int = 0
    """When it was declared or switched last."""

    @property
    def key(self) -> str:
        """What it is known by in its shard."""
        return key_of(self.fleet, self.name)

    @property
    def mark(self) -> int:
        """Another where it is another trigger than before, or was switched on since."""
        return self.since_ns

    @property
    def full(self) -> bool:
        """Nothing more is taken in."""
        return len(self.queue) >= limits.TRIGGER_QUEUE_MAX

    def keep(self, firing: Firing) -> None:
        """Remember what was done last."""
        self.last.append(firing)
        del self.last[:-LAST_MAX]


def key_of(fleet: int, name: str) -> str:
    """What the trigger of a fleet is known by."""
    return f"{fleet}/{name}"


class Triggers(msgspec.Struct):
    """The triggers of a shard."""

    triggers: dict[str, Trigger] = {}
    by_id: dict[int, str] = {}
    """By the number as a subscriber."""
    of: dict[int, str] = {}
    """By the pids of those who were started by one, and live."""
    due: dict[str, None] = {}
    next_id: int = 1

    def get(self, fleet: int, name: str) -> Trigger | None:
        """The trigger of a fleet."""
        return self.triggers.get(key_of(fleet, name))

    def declared(self, seq: int, time_ns: int, e: ev.TriggerDeclared) -> Trigger:
        """Fold a trigger, or another form of one: what came to the former is not for the latter."""
        had = self.triggers.get(key_of(e.fleet, e.name))
        if had is None:
            had = Trigger(e.fleet, e.name, e.spec, e.uid, -self.next_id, seq)
            self.next_id += 1
            self.triggers[had.key] = had
            self.by_id[had.id] = had.key
        had.spec, had.uid, had.seq = e.spec, e.uid, seq
        had.next_ns = had.wake_ns = 0
        had.looked_ns = had.since_ns = time_ns
        had.queue = []
        self._settle(had)
        return had

    def withdrawn(self, fleet: int, name: str) -> Trigger | None:
        """Fold that there is none any more."""
        gone = self.triggers.pop(key_of(fleet, name), None)
        if gone is not None:
            del self.by_id[gone.id]
            self.due.pop(gone.key, None)
            for pid in gone.running:
                self.of.pop(pid, None)
        return gone

    def switched(self, time_ns: int, e: ev.TriggerSwitched) -> Trigger:
        """Fold that it is on, or off."""
        trigger = self.triggers[key_of(e.fleet, e.name)]
        trigger.on = e.on
        trigger.next_ns = trigger.wake_ns = 0
        trigger.looked_ns = trigger.since_ns = time_ns
        if not e.on:
            trigger.queue = []
        self._settle(trigger)
        return trigger

    def timed(self, e: ev.TriggerTimed) -> None:
        """Fold that times have come."""
        trigger = self.triggers[key_of(e.fleet, e.name)]
        trigger.next_ns, trigger.wake_ns = e.next_ns, e.wake_ns
        trigger.queue += [Came(at_ns) for at_ns in e.times]
        trigger.skipped += e.left_out
        self._settle(trigger)

    def seen(self, seq: int, time_ns: int, e: ev.TriggerSeen) -> None:
        """Fold that files have changed."""
        trigger = self.triggers[key_of(e.fleet, e.name)]
        trigger.looked_ns = time_ns
        trigger.queue.append(Came(time_ns, e.body, seq))
        self._settle(trigger)

    def addressed(self, fleet: int, name: str) -> Trigger | None:
        """The one of a fleet that a message to that address starts."""
        return next(
            (
                one
                for one in self.triggers.values()
                if one.fleet == fleet and one.on and one.spec.kind == "message" and name in one.spec.on
            ),
            None,
        )

    def messaged(self, seq: int, time_ns: int, e: ev.TriggerMessaged) -> None:
        """Fold that a message came to its address."""
        trigger = self.triggers[key_of(e.fleet, e.name)]
        trigger.queue.append(Came(time_ns, e.body, seq, e.kind, e.number, e.sender, e.call))
        self._settle(trigger)

    def published(self, id: int, came: Came) -> None:
        """Fold that an event was published to which it is subscribed."""
        trigger = self.triggers[self.by_id[id]]
        trigger.queue.append(came)
        self._settle(trigger)

    def overflowed(self, id: int) -> None:
        """The same of one that there was no room for."""
        self.triggers[self.by_id[id]].skipped += 1

    def fired(self, time_ns: int, e: ev.TriggerFired) -> None:
        """Fold what was done."""
        trigger = self.triggers[key_of(e.fleet, e.name)]
        if not e.keeps:
            trigger.queue.pop(0)
            trigger.fired += 1
            trigger.keep(Firing(e.number, time_ns, e.pid))
        if e.keeps or trigger.spec.how == "start":
            trigger.running[e.pid] = None
            self.of[e.pid] = trigger.key
        self._settle(trigger)

    def skip(self, time_ns: int, e: ev.TriggerSkipped) -> None:
        """Fold that nothing was done."""
        trigger = self.triggers[key_of(e.fleet, e.name)]
        trigger.queue.pop(0)
        trigger.skipped += 1
        trigger.keep(Firing(0, time_ns, 0, e.why))
        self._settle(trigger)

    def exited(self, pid: int) -> None:
        """Fold that a process has ended."""
        key = self.of.pop(pid, None)
        trigger = self.triggers.get(key) if key is not None else None
        if trigger is not None:
            trigger.running.pop(pid, None)
            self._settle(trigger)

    def _settle(self, trigger: Trigger) -> None:
        spec = trigger.spec
        waits = spec.how == "start" and spec.overlap == "queue" and len(trigger.running) >= spec.at_once
        if trigger.queue and not waits:
            self.due[trigger.key] = None
        else:
            self.due.pop(trigger.key, None)


Fold = Callable[[Triggers, int, Any], None]
