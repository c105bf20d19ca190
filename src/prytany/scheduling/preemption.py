"""Who gives way: a generation that runs, to a call that is more urgent; and when its turn is up.

On a local model a slot's cache is saved and restored, which costs milliseconds: whoever is less urgent gives way, of
several the one that has longest to go. At a remote endpoint what was generated is lost and paid for: it gives way only
where the operator says so, only while nothing was delivered, and of several the one that has lost least. No call gives
way more than `YIELDS_MAX` times; then it runs to its end, so that there is always progress. A turn that is up is no
such yield: it is served as long as the others.

Source: preemption as in priority-driven preemptive scheduling (Liu and Layland, 1973); the bound on it is ours.
"""

from __future__ import annotations

from enum import StrEnum

from prytany.scheduling.call import Call, Qos
from prytany.scheduling.ranked import Ranked

YIELDS_MAX = 3
QUANTUM_TOKENS = 256


class Preempts(StrEnum):
    """What an endpoint allows."""

    NEVER = "never"
    SAVED = "saved"
    """A slot can be saved and restored: nothing is lost."""
    UNDELIVERED = "undelivered"
    """What runs may be thrown away while nobody has seen any of it."""


class GivingWay:
    """The calls that are under way at one endpoint, by who would give way first. O(log n) each."""

    def __init__(self, preempts: Preempts = Preempts.NEVER) -> None:
        self.preempts = preempts
        self._calls: dict[int, Call] = {}
        self._order: Ranked[int] = Ranked()

    def __len__(self) -> int:
        return len(self._calls)

    def began(self, call: Call) -> None:
        """It runs from here on."""
        self._calls[call.key] = call
        if self.preempts is not Preempts.NEVER and self._may_yield(call):
            left = -call.completion if self.preempts is Preempts.SAVED else -call.begun_ns
            self._order.put(call.key, (-call.qos, left))

    def delivered(self, key: int) -> None:
        """Something of its answer has reached its agent."""
        if (call := self._calls.get(key)) is not None:
            call.delivered = True
            if not self._may_yield(call):
                self._order.drop(key)

    def leaves(self, key: int) -> None:
        """It was told to give way."""
        if key in self._order:
            self._order.drop(key)

    def ended(self, key: int) -> None:
        """It runs no more."""
        if self._calls.pop(key, None) is not None and self._order:
            self._order.drop(key)

    def to(self, waits: Call) -> Call | None:
        """Who gives way to a call that waits, if anybody does: background and utility work, to a person."""
        key = self._order.first()
        if key is None or waits.qos is not Qos.INTERACTIVE:
            return None
        call = self._calls[key]
        return call if call.qos >= Qos.UTILITY else None

    def turn_is_up(self, key: int, tokens: int, quantum: int = QUANTUM_TOKENS) -> bool:
        """Whether a call that has generated `tokens` in this turn leaves its slot, where somebody waits for it: round
        robin on a local model."""
        return self.preempts is Preempts.SAVED and key in self._order and tokens >= quantum

    def _may_yield(self, call: Call) -> bool:
        if self.preempts is Preempts.NEVER or call.yielded >= YIELDS_MAX:
            return False
        return self.preempts is Preempts.SAVED or not call.delivered
