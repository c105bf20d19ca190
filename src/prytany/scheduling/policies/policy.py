"""What a policy is: the order among calls that wait for one endpoint, and nothing else.

A policy knows no capacity and no clock. It is told the time, and the mean time that a call takes, by which it measures
patience: a queue that answers in a second and one that answers in a minute age alike. Every policy here bounds how far
a call can be passed over at any load below capacity, by ageing where its order alone would not.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from prytany.scheduling.call import Call


class Moment(NamedTuple):
    """When something is decided."""

    now_ns: int
    service_ns: int
    """The mean time that a call takes at this endpoint, as far as it is known; >= 1."""
    under_way: int = 0
    """Calls that are being answered. So a call begins each `service_ns / under_way`, while somebody waits."""


class Policy(Protocol):
    """Calls that wait, in some order. Each operation costs O(log n)."""

    def __len__(self) -> int:
        """How many wait."""
        ...

    def offer(self, call: Call, at: Moment) -> None:
        """`call` waits from here on. Its key is not among those that wait."""
        ...

    def withdraw(self, call: Call) -> None:
        """A waiting call leaves without having begun."""
        ...

    def first(self, at: Moment) -> Call | None:
        """Who is next, if anybody waits. To ask changes no order."""
        ...

    def because(self, call: Call, at: Moment) -> str:
        """Why `first` gives that call, for people: true to how it decides."""
        ...

    def begin(self, call: Call, at: Moment) -> None:
        """What `first` gave begins, and waits no longer."""
        ...

    def admit(self, call: Call) -> None:
        """`call` begins that did not wait, while nobody does: what `offer` and `begin` of it come to."""
        ...

    def settle(self, call: Call, prompt: int, completion: int) -> None:
        """A call that had begun has ended, and took this many tokens; both are -1 where nobody knows: what was expected
        of it stands."""
        ...
