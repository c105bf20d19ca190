"""Round robin: the agents in a ring, each one call at its turn.

Whoever begins goes to the end of the ring; whoever comes back after having had nothing to ask goes there too. On a
local model, where what runs can be set aside, `quantum` makes the turns equal in tokens as well.

Bound: between two turns of an agent that always has a call waiting, each other agent begins at most one. So nobody
starves whatever the others ask, and it needs no other ageing between agents; within one, first come, first served.

Source: Kleinrock, "Analysis of a time-shared processor", Naval Research Logistics Quarterly 11, 1964; Nagle, "On packet
switches with infinite storage", RFC 970, 1985 (one queue a source).
"""

from __future__ import annotations

from prytany.scheduling.call import Call
from prytany.scheduling.policies.lines import Lines
from prytany.scheduling.policies.policy import Moment
from prytany.scheduling.ranked import Ranked


class RoundRobin:
    """See the module."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._ring: Ranked[int] = Ranked()
        self._turn = 0

    def __len__(self) -> int:
        return len(self._lines)

    def offer(self, call: Call, at: Moment) -> None:
        """See `Policy`."""
        if self._lines.add(call):
            self._to_the_end(call.agent)

    def withdraw(self, call: Call) -> None:
        """See `Policy`."""
        if self._lines.remove(call):
            self._ring.drop(call.agent)

    def first(self, at: Moment) -> Call | None:
        """See `Policy`."""
        agent = self._ring.first()
        return None if agent is None else self._lines.first(agent)

    def because(self, call: Call, at: Moment) -> str:
        """See `Policy`."""
        agents = len(self._ring)
        return f"it is its process's turn in a ring of {agents}" if agents > 1 else "no other process waits"

    def begin(self, call: Call, at: Moment) -> None:
        """See `Policy`."""
        self.withdraw(call)
        if call.agent in self._ring:
            self._to_the_end(call.agent)

    def settle(self, call: Call, prompt: int, completion: int) -> None:
        """See `Policy`: it changes nothing here."""

    def _to_the_end(self, agent: int) -> None:
        self._turn += 1
        self._ring.put(agent, self._turn)
