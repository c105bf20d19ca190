"""The default: the classes in their order, fair share inside each, and ageing across them.

A class of which the oldest call has waited longer than its patience, and longer than who would be next of the highest
class that waits, is overdue: where there is less than all ask for, everybody waits, and who is less urgent not least.
While higher classes wait as well, one turn in `TURNS` goes to the most overdue class, and all others to the highest
class that waits; from `URGENT` mean service times on, every turn. Where more wait in the overdue class than could be
answered within `FLOOD` of them, that is a flood, and no ageing would help it: then it is one turn in
`TURNS_OF_A_FLOOD`. A class that makes up more than half of what is under way is not overdue: it has its share, and
whoever is more urgent goes before it. So background work that comes at ten times the capacity takes next to nothing
from a person, and background work that has its place is not kept waiting by a busy hour.

A class is patient by its own mean service time where that is longer than the mean of all, and turns are counted by what
they take: one call of background that takes as long as fifty of a person's has the turns of fifty. Else whoever talks
in short sentences would wait behind long work, which is late by the measure of the short.

Bound: at any load a class that waits has more than half of what is under way, or waits no longer than who is served
before it, or gets at least a share of `1 / TURNS_OF_A_FLOOD` of the work that begins, divided by the overdue classes;
and all that the higher ones leave. Inside a class the bound of fair share holds.

Source: classes of Grand Central Dispatch; the reserved share is the bandwidth control of Linux's real-time scheduler
(`sched_rt_runtime_us`: 95 % by default), counted in tokens.
"""

from __future__ import annotations

from prytany.scheduling.call import Call, Qos
from prytany.scheduling.policies.fair_share import MEMORY, FairShare, cost_of
from prytany.scheduling.policies.policy import Moment
from prytany.scheduling.words import span

TURNS = 2
TURNS_OF_A_FLOOD = 10
URGENT = 6
FLOOD = 8
PATIENCE = (0, 1, 2, 3)
"""Mean service times, by class."""


class Classes:
    """See the module."""

    def __init__(self) -> None:
        self._shares = [FairShare() for _ in Qos]
        self._under_way = [0] * len(Qos)
        self._passed = 0
        """What began while an overdue class was passed over, since one was not: weighted tokens, times `MEMORY`."""
        self._all = 0
        """Weighted tokens of a mean call, times `MEMORY`; 0 before there was one."""
        self._means = [0] * len(Qos)
        """The same, by class."""

    def __len__(self) -> int:
        return sum(len(share) for share in self._shares)

    def offer(self, call: Call, at: Moment) -> None:
        """See `Policy`."""
        self._shares[call.qos].offer(call, at)

    def withdraw(self, call: Call) -> None:
        """See `Policy`."""
        self._shares[call.qos].withdraw(call)

    def first(self, at: Moment) -> Call | None:
        """See `Policy`."""
        top = self._top()
        if top is None:
            return None
        overdue = self._overdue(at, top)
        if overdue is not None and self._passed >= (self._turns(at, overdue) - 1) * self._mean(overdue):
            top = overdue
        return self._shares[top].first(at)

    def because(self, call: Call, at: Moment) -> str:
        """See `Policy`."""
        top, name, within = self._top(), call.qos.name.lower(), self._shares[call.qos].because(call, at)
        if top is None or call.qos == top:
            return f"{name} is the highest class that waits, and {within}"
        oldest = self._shares[call.qos].oldest()
        waited = span(at.now_ns - oldest.offered_ns) if oldest is not None else "long"
        return f"{name} has waited for {waited}, longer than its patience, and has this turn; {within}"

    def begin(self, call: Call, at: Moment) -> None:
        """See `Policy`."""
        top = self._top()
        if top is not None and call.qos != top:
            self._passed = 0
        elif top is not None and (overdue := self._overdue(at, top)) is not None:
            self._passed = min(self._passed + self._mean(top), TURNS_OF_A_FLOOD * self._mean(overdue))
        self._shares[call.qos].begin(call, at)
        self._under_way[call.qos] += 1

    def admit(self, call: Call) -> None:
        """See `Policy`."""
        self._shares[call.qos].admit(call)
        self._under_way[call.qos] += 1

    def settle(self, call: Call, prompt: int, completion: int) -> None:
        """See `Policy`."""
        self._shares[call.qos].settle(call, prompt, completion)
        self._under_way[call.qos] -= 1
        if completion > 0:
            cost = cost_of(prompt, completion)
            self._all = _further(self._all, cost)
            self._means[call.qos] = _further(self._means[call.qos], cost)

    def waiting(self) -> list[int]:
        """How many wait, by class."""
        return [len(share) for share in self._shares]

    def _turns(self, at: Moment, qos: int) -> int:
        share = self._shares[qos]
        if len(share) > FLOOD * max(1, at.under_way):
            return TURNS_OF_A_FLOOD
        oldest = share.oldest()
        assert oldest is not None
        return 1 if at.now_ns - oldest.offered_ns > URGENT * self._service_ns(at, qos) else TURNS

    def _mean(self, qos: int) -> int:
        """Of a class; that of all before it is known."""
        return self._means[qos] or self._all or 1

    def _service_ns(self, at: Moment, qos: int) -> int:
        """The mean time that a call of a class takes, or that all take, whichever is longer."""
        return max(at.service_ns, at.service_ns * self._mean(qos) // (self._all or self._mean(qos)))

    def _top(self) -> int | None:
        return next((qos for qos, share in enumerate(self._shares) if len(share)), None)

    def _overdue(self, at: Moment, top: int) -> int | None:
        """The class below `top` that waits longest beyond its patience: longer than who is next of `top`, and without
        its share."""
        found, beyond, under_way = None, 0, sum(self._under_way)
        urgent = self._shares[top].first(at)
        assert urgent is not None
        for qos in range(top + 1, len(self._shares)):
            if 2 * self._under_way[qos] > under_way:
                continue
            oldest = self._shares[qos].oldest()
            if oldest is not None and oldest.offered_ns < urgent.offered_ns:
                late_ns = at.now_ns - oldest.offered_ns - PATIENCE[qos] * self._service_ns(at, qos)
                if late_ns > beyond:
                    found, beyond = qos, late_ns
        return found


def _further(mean: int, cost: int) -> int:
    return mean - mean // MEMORY + cost if mean else cost * MEMORY
