"""Who begins next, over all endpoints and budgets: the one object that a kernel asks.

    at_once, admit ─▶ it begins in the entry of its intent: the way of a call that finds nobody waiting
    offer ─▶ [queue of its endpoint] ─▶ next ─▶ Begin: the kernel records the reservation, and tells `begun`
                      ▲                  │  └─▶ Stop: it can never be paid for; its process stops, and it leaves
                      └── [parked] ◀─────┘      it may be paid for when a call under way is settled

`next` decides and `begun` counts, so that a decision which was not recorded has changed nothing. Admission is all or
nothing: what `next` gives has a place, its rates and its budgets at that moment, and the kernel records that in one
entry. What waits for a budget is taken out of its queue, so that it holds up nobody; it goes back where it stood.

Endpoints at which nothing has changed are not looked at. `when` is the next time at which something changes by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from prytany.scheduling.budgets import Amount, Budgets
from prytany.scheduling.call import Call, Qos
from prytany.scheduling.policies import DEFAULT
from prytany.scheduling.ranked import Ranked
from prytany.scheduling.rates import NO_LIMITS, Limits
from prytany.scheduling.run_queue import RunQueue, Used
from prytany.scheduling.spending import BREACH, FITS, GRANTED, LATER, Parked, Verdict, may_reserve


class Wanted(msgspec.Struct):
    """A call that waits, with what it needs beside a turn."""

    call: Call
    endpoint: str
    accounts: Sequence[str] = ()
    """Its budgets, by name."""
    amount: Amount = Amount()
    """The most that it can take."""
    n: int = 0
    """Its number, among the calls of its agent."""
    kind: str = ""
    """What calls it is like; see `estimate`."""
    prompt_most: int = 0
    """The most tokens that its prompt can have."""
    needs: tuple[str, ...] | None = None
    """Features of a model without which it is no use; None where that was not looked at."""
    same: bytes = b""
    """Calls of a tenant that have the same here, and not "", may be one; see `twins`."""
    asked: bool = False
    """It waited for a budget, and is the one of those who wait for it that was asked again."""


class Decision(NamedTuple):
    """What becomes of a call: it begins, where the verdict is that it fits, or its process stops."""

    wanted: Wanted
    verdict: Verdict = FITS

    @property
    def begins(self) -> bool:
        """Whether it begins."""
        return self.verdict.what == GRANTED


class Scheduler:
    """See the module."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets
        self.queues: dict[str, RunQueue] = {}
        self.parked = Parked()
        self._wanted: dict[int, Wanted] = {}
        self._names: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._changed: dict[int, None] = {}
        """Endpoints to look at, by number; each once, in the order in which they changed."""
        self._timers: Ranked[int] = Ranked()
        """Endpoints at which something changes by itself, by when."""
        self._looked: list[str] = []
        """Endpoints that were looked at, and at which nobody may begin."""
        self._asked: dict[int, None] = {}
        """Parked calls to ask again."""
        self._under_way = 0

    # Endpoints.

    def open(self, name: str, limits: Limits = NO_LIMITS, policy: str = DEFAULT) -> RunQueue:
        """The queue of an endpoint; a new one, or the one that is there, with these limits from now on."""
        queue = self.queues.get(name)
        if queue is None:
            queue = self.queues[name] = RunQueue(limits, policy)
            number = self._numbers[name] = len(self._names) + 1
            self._names[number] = name
        elif queue.limits != limits:
            queue.told(limits)
        self._look(name)
        return queue

    def close(self, name: str, now_ns: int) -> list[Wanted]:
        """An endpoint is no more. Gives the calls that waited for it, which go elsewhere or are closed; those that are
        under way are settled as ever."""
        keys = [key for key, wanted in self._wanted.items() if wanted.endpoint == name]
        cancelled = (self.cancel(key, now_ns) for key in keys)
        return [wanted for wanted in cancelled if wanted is not None]

    # What is asked.

    def next(self, now_ns: int) -> Decision | None:
        """What is to be done now, one thing at a time; None when there is nothing until `when`, or an event."""
        while (wanted := self._next(now_ns)) is not None:
            verdict = self._verdict(wanted, now_ns)
            if verdict.what == LATER:
                self._take_out(wanted, now_ns)
                self._park(wanted, verdict)
                continue
            if verdict.what == BREACH:
                self.cancel(wanted.call.key, now_ns)
            return Decision(wanted, verdict)
        return None

    def giving_way(self, now_ns: int) -> list[int]:
        """Who is to give way to somebody more urgent; asked after `next` said None. Each is named once."""
        found: list[int] = []
        for name in self._looked:
            queue = self.queues[name]
            while (call := queue.gives_way(now_ns)) is not None:
                queue.leaves(call.key)
                found.append(call.key)
        self._looked.clear()
        return found

    def at_once(self, wanted: Wanted, now_ns: int) -> bool:
        """Whether a call that is not offered yet would begin now: nobody waits before it, for its endpoint or for its
        budgets, and it has all that it needs. The kernel then records that with its intent, and tells `admit`."""
        return (
            self.queues[wanted.endpoint].takes(wanted.call, now_ns)
            and not self.parked.behind(wanted.accounts)
            and self._verdict(wanted, now_ns).what == GRANTED
        )

    def when(self, now_ns: int) -> int | None:
        """The next time at which `next` may say something by itself, after it said None; None for never."""
        number = self._timers.first()
        at_ns = None if number is None else self._timers.rank(number)
        parked_ns = self.parked.when()
        times = [at for at in (at_ns, parked_ns) if at is not None]
        return max(now_ns, min(times)) if times else None

    @property
    def anybody_waits(self) -> bool:
        """Whether any call waits, in a queue or for a budget. O(1)."""
        return len(self._wanted) > self._under_way

    def get(self, key: int) -> Wanted | None:
        """A call that waits, or is under way."""
        return self._wanted.get(key)

    def waiting_at(self, endpoint: str) -> list[Wanted]:
        """What waits for an endpoint. Looks at all that waits anywhere."""
        return [w for key, w in self._wanted.items() if w.endpoint == endpoint and self.waits(key)]

    def waiting(self) -> Iterator[Wanted]:
        """All that waits, for an endpoint or for a budget; looks at each call that it knows."""
        return (wanted for key, wanted in self._wanted.items() if self.waits(key))

    def waits(self, key: int) -> bool:
        """Whether a call waits, in a queue or for a budget."""
        wanted = self._wanted.get(key)
        return wanted is not None and key not in self.queues[wanted.endpoint].running

    # What happens.

    def offer(self, wanted: Wanted, now_ns: int) -> None:
        """A call waits; its endpoint is open, and its queue not full."""
        key = wanted.call.key
        assert key not in self._wanted
        self._wanted[key] = wanted
        wanted.call.offered_ns = wanted.call.offered_ns or now_ns
        if account := self.parked.behind(wanted.accounts):
            self.parked.park(key, account)
        else:
            self._into_queue(wanted, now_ns)

    def admit(self, wanted: Wanted, now_ns: int) -> None:
        """A call that was not offered begins, as `at_once` allowed."""
        self._wanted[wanted.call.key] = wanted
        self._under_way += 1
        self.queues[wanted.endpoint].admit(wanted.call, now_ns)

    def begun(self, key: int, now_ns: int) -> None:
        """The kernel has recorded that it begins, as `next` said."""
        wanted = self._wanted[key]
        self._under_way += 1
        self.queues[wanted.endpoint].begin(wanted.call, now_ns)
        self._look(wanted.endpoint)
        self._was_asked(wanted)

    def settled(self, key: int, used: Used, now_ns: int) -> Wanted | None:
        """An attempt has ended, and the charge is folded. It is here no more; offer it again for another attempt."""
        wanted = self._wanted.get(key)
        if wanted is None or self.queues[wanted.endpoint].settle(key, used, now_ns) is None:
            return None
        del self._wanted[key]
        self._under_way -= 1
        self._look(wanted.endpoint)
        self._given_back(wanted.accounts)
        return wanted

    def cancel(self, key: int, now_ns: int) -> Wanted | None:
        """A call that waits is wanted no more; None where it does not wait."""
        wanted = self._wanted.get(key)
        if wanted is None or key in self.queues[wanted.endpoint].running:
            return None
        del self._wanted[key]
        line = self.parked.account(key)
        if line:
            self.parked.drop(key)
            self._given_back((line,))  # who waits behind it may fit
        else:
            self._take_out(wanted, now_ns)
            self._was_asked(wanted)
        return wanted

    def change(self, key: int, now_ns: int, *, qos: Qos, weight: int, deadline_ns: int) -> None:
        """A call that waits has another class, weight or deadline; one that is under way is left alone."""
        wanted = self._wanted.get(key)
        if wanted is None or key in self.queues[wanted.endpoint].running:
            return
        call = wanted.call
        if self.parked.account(key):
            call.qos, call.weight, call.deadline_ns = qos, weight, deadline_ns
        else:
            self.queues[wanted.endpoint].change((key,), now_ns, qos=qos, weight=weight, deadline_ns=deadline_ns)
            self._look(wanted.endpoint)

    def bound(self, key: int, accounts: Sequence[str]) -> None:
        """A call that waits stands below these accounts from now on; one that is under way is left alone."""
        wanted = self.get(key)
        if wanted is not None and self.waits(key):
            wanted.accounts = accounts

    def added(self, account: str) -> None:
        """An account got more, or is no more, and that is folded."""
        self._given_back((account,))

    # Within.

    def _look(self, name: str) -> None:
        self._changed.setdefault(self._numbers[name])

    def _into_queue(self, wanted: Wanted, now_ns: int) -> None:
        self.queues[wanted.endpoint].offer(wanted.call, now_ns)
        self._look(wanted.endpoint)

    def _take_out(self, wanted: Wanted, now_ns: int) -> None:
        self.queues[wanted.endpoint].cancel(wanted.call.key, now_ns)
        self._look(wanted.endpoint)

    def _given_back(self, accounts: Sequence[str]) -> None:
        for name in accounts:
            if (key := self.parked.first(name)) is not None:
                self._asked.setdefault(key)

    def _verdict(self, wanted: Wanted, now_ns: int) -> Verdict:
        return may_reserve(self._budgets, wanted.accounts, wanted.amount, now_ns) if wanted.accounts else FITS

    def _next(self, now_ns: int) -> Wanted | None:
        """Who would begin, budgets apart."""
        self._ask_parked(now_ns)
        while (number := self._timers.first()) is not None and self._timers.rank(number) <= now_ns:
            self._timers.drop(number)
            self._changed.setdefault(number)
        while self._changed:
            number = next(iter(self._changed))
            queue = self.queues[self._names[number]]
            call = queue.next(now_ns)
            if call is not None:
                return self._wanted[call.key]  # and look again: there may be more
            del self._changed[number]
            self._looked.append(self._names[number])
            when_ns = queue.when(now_ns)
            if when_ns is None:
                self._timers.drop(number)
            else:
                self._timers.put(number, when_ns)
        return None

    def _ask_parked(self, now_ns: int) -> None:
        """Who may fit now goes back into its queue, first come, first served in each account."""
        while (due := self.parked.due(now_ns)) is not None:
            self._ask(due, now_ns)
        while self._asked:
            key = next(iter(self._asked))
            del self._asked[key]
            if self.parked.account(key):
                self._ask(key, now_ns)

    def _ask(self, key: int, now_ns: int) -> None:
        wanted = self._wanted[key]
        verdict = self._verdict(wanted, now_ns)
        wanted.asked = True
        if verdict.what == LATER:
            self._park(wanted, verdict)
        else:
            self.parked.drop(key)
            self._into_queue(wanted, now_ns)

    def _park(self, wanted: Wanted, verdict: Verdict) -> None:
        self.parked.park(wanted.call.key, verdict.account, verdict.at_ns, before=wanted.asked)
        wanted.asked = False

    def _was_asked(self, wanted: Wanted) -> None:
        # One at a time: of a thousand that wait for an account, a settlement moves those that fit and one more.
        if wanted.asked:
            wanted.asked = False
            self._given_back(wanted.accounts)
