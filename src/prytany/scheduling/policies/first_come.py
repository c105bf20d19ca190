"""First come, first served.

Bound: with c calls at once, whoever is n-th in the queue begins after at most n ends. Nobody is ever passed, so it
needs no ageing; and whoever asks most gets most.

Source: A. K. Erlang, 1909; Kleinrock, "Queueing Systems", volume 1, 1975.
"""

from __future__ import annotations

from prytany.scheduling.call import Call
from prytany.scheduling.policies.ordered import Ordered
from prytany.scheduling.policies.policy import Moment


class FirstCome(Ordered):
    """By the time of asking. A call that was sent away by the endpoint stands where it stood."""

    def rank(self, call: Call, at: Moment) -> int:
        """The order in which calls were made."""
        return call.key

    def because(self, call: Call, at: Moment) -> str:
        """See `Policy`."""
        return "of all that wait it was asked first"
