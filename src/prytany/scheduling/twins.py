"""Identical calls in flight become one: the first to begin is asked, and the others get its answer.

    offer ─▶ [queue] ─ begun ─▶ it is asked ─ settled ─▶ taken: all that wait for it have its answer
                ▲                    │ ▲
                │                    │ └─ those that are the same: out of the queue, or never in it
                └── failed, or left ─┘

Only for calls of which the kernel says that any answer will do for all, by `Wanted.same`, and never across tenants:
who waits for whom would be told by the time that it takes.

Calls that wait are not joined: which of them is asked is whose turn comes first, so that nobody urgent waits behind the
turn, or the budget, of one who is not. Once one is under way the others wait for nothing but its end, and stand in no
queue. Where it ends without an answer they are offered again, in the order in which they came, and whose turn comes
first is asked: a failure is nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from prytany.scheduling.budgets import Budgets
from prytany.scheduling.call import Qos
from prytany.scheduling.run_queue import Used
from prytany.scheduling.scheduler import Scheduler, Wanted

FOLLOWERS_MAX = 1_024
"""Calls that wait for one; a further one is asked by itself."""

Name = tuple[int, bytes]
"""Of a kind of call: its tenant, and what makes it the same."""


class Group(msgspec.Struct):
    """Calls that are the same."""

    asked: int = 0
    """The key of the one that is under way; 0 for none."""
    followers: dict[int, Wanted] = {}
    """Who waits for it."""
    waiting: dict[int, None] = {}
    """Who waits for a turn."""

    @property
    def takes(self) -> bool:
        """Whether a further call may wait for the one that is asked."""
        return bool(self.asked) and len(self.followers) < FOLLOWERS_MAX


class TwinScheduler(Scheduler):
    """A scheduler that asks one of identical calls. O(1) more a call; what is not the same as anything costs a look.

    Attributes:
        spared: calls that were not asked, because another was.
    """

    def __init__(self, budgets: Budgets) -> None:
        super().__init__(budgets)
        self.spared = 0
        self._groups: dict[Name, Group] = {}
        self._leads: dict[int, Name] = {}
        """By the keys of those that are asked, until they are taken or have failed."""
        self._following: dict[int, Name] = {}

    # What is asked.

    def joins(self, wanted: Wanted) -> bool:
        """Whether a call that is not offered yet would wait for another, and for no turn."""
        if not wanted.same:
            return False
        group = self._groups.get(_name(wanted))
        return group is not None and group.takes

    def at_once(self, wanted: Wanted, now_ns: int) -> bool:
        """As a scheduler's; never one that would wait for another."""
        return not self.joins(wanted) and super().at_once(wanted, now_ns)

    def get(self, key: int) -> Wanted | None:
        """A call that waits, for its turn or for another, or is under way."""
        name = self._following.get(key)
        return super().get(key) if name is None else self._groups[name].followers[key]

    def waits(self, key: int) -> bool:
        """Whether a call waits, for its turn, for a budget or for another."""
        return key in self._following or super().waits(key)

    def asked_for(self, key: int) -> int:
        """The key of the call whose answer call `key` waits for; 0 for none."""
        name = self._following.get(key)
        return 0 if name is None else self._groups[name].asked

    def following(self) -> Iterator[Wanted]:
        """Those that wait for another."""
        return (self._groups[name].followers[key] for key, name in self._following.items())

    # What happens.

    def offer(self, wanted: Wanted, now_ns: int) -> None:
        """A call waits: for the same that is asked already, or else for its turn."""
        if not wanted.same:
            return super().offer(wanted, now_ns)
        group = self._groups.setdefault(_name(wanted), Group())
        if group.takes:
            self._follow(group, wanted, now_ns)
        else:
            group.waiting[wanted.call.key] = None
            super().offer(wanted, now_ns)

    def begun(self, key: int, now_ns: int) -> None:
        """As a scheduler's. Those that are the same, and wait for their turn, wait for this one from here on."""
        super().begun(key, now_ns)
        wanted = super().get(key)
        if wanted is not None and wanted.same:
            self._is_asked(wanted, now_ns)

    def admit(self, wanted: Wanted, now_ns: int) -> None:
        """As a scheduler's; the same from there on."""
        super().admit(wanted, now_ns)
        if wanted.same:
            self._is_asked(wanted, now_ns)

    def _is_asked(self, wanted: Wanted, now_ns: int) -> None:
        name, key = _name(wanted), wanted.call.key
        group = self._groups.setdefault(name, Group())
        group.waiting.pop(key, None)
        if group.asked:
            return  # more are the same than may wait for one
        group.asked, self._leads[key] = key, name
        for other in list(group.waiting):
            if not group.takes:
                break
            follower = super().cancel(other, now_ns)
            del group.waiting[other]
            if follower is not None:
                self._follow(group, follower, now_ns)

    def settled(self, key: int, used: Used, now_ns: int) -> Wanted | None:
        """As a scheduler's. After a failure those that waited for it wait for their turn; after an answer, until that
        is `taken`."""
        wanted = super().settled(key, used, now_ns)
        if used.cause and key in self._leads:
            for follower in self._part(key):
                self.offer(follower, now_ns)
        return wanted

    def taken(self, key: int) -> list[Wanted]:
        """The answer of call `key` is there for all. Gives those that get it, in the order in which they came; they
        are here no more."""
        followers = self._part(key) if key in self._leads else []
        self.spared += len(followers)
        return followers

    def cancel(self, key: int, now_ns: int) -> Wanted | None:
        """As a scheduler's, also of one that waits for another."""
        name = self._following.pop(key, None)
        if name is not None:
            return self._groups[name].followers.pop(key)
        wanted = super().cancel(key, now_ns)
        if wanted is not None and wanted.same:
            name = _name(wanted)
            group = self._groups[name]
            del group.waiting[key]
            self._drop_empty(name, group)
        return wanted

    def change(self, key: int, now_ns: int, *, qos: Qos, weight: int, deadline_ns: int) -> None:
        """As a scheduler's; one that waits for another has it when it waits for its turn again."""
        name = self._following.get(key)
        if name is None:
            return super().change(key, now_ns, qos=qos, weight=weight, deadline_ns=deadline_ns)
        call = self._groups[name].followers[key].call
        call.qos, call.weight, call.deadline_ns = qos, weight, deadline_ns

    # Within.

    def _follow(self, group: Group, wanted: Wanted, now_ns: int) -> None:
        key = wanted.call.key
        wanted.call.offered_ns = wanted.call.offered_ns or now_ns
        group.followers[key] = wanted
        self._following[key] = _name(wanted)

    def _part(self, key: int) -> list[Wanted]:
        """Nobody waits for call `key` any more. Gives those that did."""
        name = self._leads.pop(key)
        group = self._groups[name]
        followers, group.asked, group.followers = list(group.followers.values()), 0, {}
        for follower in followers:
            del self._following[follower.call.key]
        self._drop_empty(name, group)
        return followers

    def _drop_empty(self, name: Name, group: Group) -> None:
        if not group.asked and not group.waiting:
            del self._groups[name]


def _name(wanted: Wanted) -> Name:
    return wanted.call.tenant, wanted.same
