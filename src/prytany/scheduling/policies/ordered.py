"""What the policies share that order calls by one rank, given when they are offered and never changed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from prytany.scheduling.call import Call
from prytany.scheduling.policies.policy import Moment
from prytany.scheduling.ranked import Ranked


class Ordered(ABC):
    """Calls by `rank`, which a policy of this kind defines."""

    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}
        self._order: Ranked[int] = Ranked()

    @abstractmethod
    def rank(self, call: Call, at: Moment) -> Any:
        """Where it stands; the lowest is first."""

    def __len__(self) -> int:
        return len(self._calls)

    def offer(self, call: Call, at: Moment) -> None:
        """See `Policy`."""
        self._calls[call.key] = call
        self._order.put(call.key, self.rank(call, at))

    def withdraw(self, call: Call) -> None:
        """See `Policy`."""
        if self._calls.pop(call.key, None) is not None:
            self._order.drop(call.key)

    def first(self, at: Moment) -> Call | None:
        """See `Policy`."""
        key = self._order.first()
        return None if key is None else self._calls[key]

    @abstractmethod
    def because(self, call: Call, at: Moment) -> str:
        """See `Policy`; each says it in its own words."""

    def begin(self, call: Call, at: Moment) -> None:
        """See `Policy`."""
        self.withdraw(call)

    def admit(self, call: Call) -> None:  # noqa: B027 - nothing changes
        """See `Policy`."""

    def settle(self, call: Call, prompt: int, completion: int) -> None:  # noqa: B027 - nothing changes
        """See `Policy`: it changes nothing here."""
