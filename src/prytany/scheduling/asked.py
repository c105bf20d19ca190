"""What endpoints were asked within the last minute: folded, so that a kernel that comes back asks for no more.

A provider goes on counting while a kernel is down. What it was asked is in the journal, by the second in which an
attempt ended: later than it was counted there, which errs on the right side. A kernel that begins hands it to the
queues.
"""

from __future__ import annotations

import msgspec

from prytany.scheduling.budgets import MINUTE_S, SECOND_NS


class AskedSecond(msgspec.Struct, array_like=True):
    """Attempts that ended within one second."""

    second: int
    requests: int = 0
    tokens: int = 0


class Asked(msgspec.Struct):
    """By endpoint, oldest first; of each at most a minute."""

    endpoints: dict[str, list[AskedSecond]] = {}

    def used(self, endpoint: str, tokens: int, now_ns: int) -> None:
        """Fold the end of an attempt."""
        second = now_ns // SECOND_NS
        seconds = self.endpoints.setdefault(endpoint, [])
        while seconds and seconds[0].second < second - MINUTE_S:
            del seconds[0]
        if not seconds or seconds[-1].second < second:
            seconds.append(AskedSecond(second))
        seconds[-1].requests += 1
        seconds[-1].tokens += tokens

    def closed(self, endpoint: str) -> None:
        """Fold the end of an endpoint."""
        self.endpoints.pop(endpoint, None)

    def since(self, endpoint: str, now_ns: int) -> list[AskedSecond]:
        """What the last minute holds."""
        since = now_ns // SECOND_NS - MINUTE_S
        return [s for s in self.endpoints.get(endpoint, ()) if s.second >= since]
