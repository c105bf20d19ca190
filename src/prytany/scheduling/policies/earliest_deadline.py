"""Earliest deadline first.

A call that names no deadline has one all the same, of its class: so many mean service times after it was made.
Deadlines are absolute, so that waiting alone brings a call forward, and it needs no other ageing.

Bound: on one server with preemption it meets all deadlines whenever any order would (Liu and Layland: up to a load of
1). With several servers and no preemption it is a rule of thumb; a call whose deadline lies D ahead is passed only by
what is made within D and wants to begin before it. A deadline further away than `PATIENCE_MAX` mean service times is
taken as that, so that a far one is no way to starve; and one that is past when a call is made, as the time of that, so
that whoever let its deadline pass does not stand before all others for ever.

Source: Liu and Layland, "Scheduling Algorithms for Multiprogramming in a Hard-Real-Time Environment", JACM 20(1), 1973.
"""

from __future__ import annotations

from prytany.scheduling.call import Call
from prytany.scheduling.policies.ordered import Ordered
from prytany.scheduling.policies.policy import Moment
from prytany.scheduling.words import span

PATIENCE = (1, 2, 4, 6)
"""Mean service times, by class, of a call that names no deadline."""
PATIENCE_MAX = 6


class EarliestDeadline(Ordered):
    """By deadline."""

    def rank(self, call: Call, at: Moment) -> tuple[int, int]:
        """The deadline, its own or its class's."""
        own_ns = call.deadline_ns or call.offered_ns + PATIENCE[call.qos] * at.service_ns
        return max(call.offered_ns, min(own_ns, call.offered_ns + PATIENCE_MAX * at.service_ns)), call.key

    def because(self, call: Call, at: Moment) -> str:
        """See `Policy`. The rank was given when it was offered, and is not computed anew."""
        deadline_ns: int = self._order.rank(call.key)[0]
        whose = "its own" if call.deadline_ns == deadline_ns else f"that of its class, {call.qos.name.lower()}"
        if call.deadline_ns and call.deadline_ns > deadline_ns:
            whose = "its own is further away than any counts"
        elif 0 < call.deadline_ns < deadline_ns:
            whose = "its own was past when it was asked"
        left_ns = deadline_ns - at.now_ns
        when = f"in {span(left_ns)}" if left_ns >= 0 else f"{span(-left_ns)} ago"
        return f"its deadline is the earliest: {when} ({whose})"
