"""Shortest expected cost first, with ageing.

A call ranks by when it was made plus `STRETCH` times what it is expected to take, in time: the cheap ones pass the dear
ones, each for as long as it is worth. The expected time of a call is the mean one, scaled by its tokens against the
mean ones, so prompt and answer count by what they weigh.

Bound: shortest processing time first has the least mean waiting time of all orders that do not preempt (Smith). With
the ageing, a call that is expected to take x is passed only by what is made less than `STRETCH * x` after it.

Source: Smith, "Various optimizers for single-stage production", Naval Research Logistics Quarterly 3, 1956.
"""

from __future__ import annotations

from prytany.scheduling.call import Call
from prytany.scheduling.policies.fair_share import cost_of
from prytany.scheduling.policies.ordered import Ordered
from prytany.scheduling.policies.policy import Moment
from prytany.scheduling.words import span

STRETCH = 3
SPAN = 4
"""A call counts as at most so many mean ones: an estimate must not put anybody off for ever."""
MEMORY = 32
"""How many calls the mean looks back on, about."""


class ShortestFirst(Ordered):
    """By expected cost, and by the time of asking."""

    def __init__(self) -> None:
        super().__init__()
        self._mean = 0
        """Cost of a call, times `MEMORY`."""

    def offer(self, call: Call, at: Moment) -> None:
        """See `Policy`."""
        cost = cost_of(call.prompt, call.completion)
        self._mean = self._mean - self._mean // MEMORY + cost if self._mean else cost * MEMORY
        super().offer(call, at)

    def rank(self, call: Call, at: Moment) -> tuple[int, int]:
        """When a call that costs nothing would have had to be made, to stand here."""
        expected_ns = at.service_ns * cost_of(call.prompt, call.completion) * MEMORY // max(1, self._mean)
        return call.offered_ns + STRETCH * min(expected_ns, SPAN * at.service_ns), call.key

    def because(self, call: Call, at: Moment) -> str:
        """See `Policy`."""
        return (
            f"it is expected to take {call.tokens} tokens, and was asked {span(at.now_ns - call.offered_ns)} ago:"
            " of the shortest and the oldest it comes first"
        )
