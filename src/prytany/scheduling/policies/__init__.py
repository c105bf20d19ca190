"""The orders in which calls may begin, by the names that an operator writes."""

from __future__ import annotations

from collections.abc import Callable

from prytany.scheduling.policies.classes import Classes
from prytany.scheduling.policies.earliest_deadline import EarliestDeadline
from prytany.scheduling.policies.fair_share import FairShare
from prytany.scheduling.policies.first_come import FirstCome
from prytany.scheduling.policies.policy import Moment, Policy
from prytany.scheduling.policies.priority import Priority
from prytany.scheduling.policies.round_robin import RoundRobin
from prytany.scheduling.policies.shortest_first import ShortestFirst

POLICIES: dict[str, Callable[[], Policy]] = {
    "classes": Classes,
    "fair_share": FairShare,
    "priority": Priority,
    "round_robin": RoundRobin,
    "first_come": FirstCome,
    "earliest_deadline": EarliestDeadline,
    "shortest_first": ShortestFirst,
}
DEFAULT = "classes"

__all__ = ["DEFAULT", "POLICIES", "Moment", "Policy"]
