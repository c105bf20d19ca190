"""Priority with ageing: the classes in their order, and whoever waits rises.

All calls age at one speed, so where two stand never changes while both wait: a call of class k ranks as one of the
first class would that was made `k * STEP` mean service times later. So no rank is ever computed anew.

Bound: a call of class k is passed only by calls of higher classes that are made less than `k * STEP` mean service times
after it; then it stands in a queue that is first come, first served. In a flood that lasts, every class ends up in that
queue: where a person must not feel it, take `classes`.

Source: Kleinrock, "A delay dependent queue discipline", Naval Research Logistics Quarterly 11, 1964, with equal slopes.
"""

from __future__ import annotations

from prytany.scheduling.call import Call
from prytany.scheduling.policies.ordered import Ordered
from prytany.scheduling.policies.policy import Moment
from prytany.scheduling.words import span

STEP = 2
"""Mean service times between two classes."""


class Priority(Ordered):
    """By class, and by the time of asking."""

    def rank(self, call: Call, at: Moment) -> tuple[int, int]:
        """When a call of the first class would have had to be made, to stand here."""
        return call.offered_ns + call.qos * STEP * at.service_ns, call.key

    def because(self, call: Call, at: Moment) -> str:
        """See `Policy`."""
        waited, behind_ns = span(at.now_ns - call.offered_ns), call.qos * STEP * at.service_ns
        if not behind_ns:
            return f"it is interactive, and was asked {waited} ago: no other call ranks before that"
        return (
            f"it is {call.qos.name.lower()}, and was asked {waited} ago: it ranks as an interactive call would that"
            f" was asked {span(behind_ns)} later, and no other does before that"
        )
