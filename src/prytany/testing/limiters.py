"""The three ways in which providers limit requests and tokens, as objects that are told the time.

They know nothing of the client that they are to catch. A request is counted when it arrives, whole or not at all; one
that is refused counts for nothing.

Source: the descriptions of OpenAI, Anthropic (token bucket) and Azure OpenAI (windows) of their own limits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

MINUTE_NS = 60_000_000_000


class Limiter(Protocol):
    """So much a minute."""

    def wait_ns(self, amount: int, now_ns: int) -> int:
        """How long until `amount` would be taken; 0 for now."""
        ...

    def take(self, amount: int, now_ns: int) -> None:
        """Count it."""
        ...


class FixedWindow:
    """The count begins anew each `window_ns`, at times that nobody outside knows."""

    def __init__(self, limit: int, window_ns: int = MINUTE_NS, phase_ns: int = 0) -> None:
        self._limit = limit
        self._window_ns = window_ns
        self._phase_ns = phase_ns
        self._window = -1
        self._used = 0

    def wait_ns(self, amount: int, now_ns: int) -> int:
        """See `Limiter`."""
        since_ns = now_ns - self._phase_ns
        window = since_ns // self._window_ns
        if window != self._window:
            self._window, self._used = window, 0
        return 0 if self._used + amount <= self._limit else (window + 1) * self._window_ns - since_ns

    def take(self, amount: int, now_ns: int) -> None:
        """See `Limiter`."""
        self._used += amount


class SlidingWindow:
    """At most `limit` within any `window_ns`."""

    def __init__(self, limit: int, window_ns: int = MINUTE_NS) -> None:
        self._limit = limit
        self._window_ns = window_ns
        self._log: deque[tuple[int, int]] = deque()
        self._used = 0

    def wait_ns(self, amount: int, now_ns: int) -> int:
        """See `Limiter`."""
        while self._log and self._log[0][0] <= now_ns - self._window_ns:
            self._used -= self._log.popleft()[1]
        excess = self._used + amount - self._limit
        for at_ns, taken in self._log:
            if excess <= 0:
                break
            excess -= taken
            if excess <= 0:
                return at_ns + self._window_ns - now_ns
        return 0 if excess <= 0 else self._window_ns

    def take(self, amount: int, now_ns: int) -> None:
        """See `Limiter`."""
        self._log.append((now_ns, amount))
        self._used += amount


class TokenBucket:
    """Holds at most `size`, and fills at `limit` a window."""

    def __init__(self, limit: int, window_ns: int = MINUTE_NS, size: int = 0) -> None:
        self._limit = limit
        self._window_ns = window_ns
        self._size = (size or limit) * window_ns  # in tokens times nanoseconds, so that nothing is rounded
        self._level = self._size
        self._at_ns = 0

    def wait_ns(self, amount: int, now_ns: int) -> int:
        """See `Limiter`."""
        self._level = min(self._size, self._level + (now_ns - self._at_ns) * self._limit)
        self._at_ns = now_ns
        missing = min(amount * self._window_ns, self._size) - self._level
        return 0 if missing <= 0 else -(-missing // self._limit)

    def take(self, amount: int, now_ns: int) -> None:
        """See `Limiter`."""
        self._level = max(0, self._level - amount * self._window_ns)


LIMITERS: dict[str, Callable[[int, int, int], Limiter]] = {
    "fixed": lambda limit, window_ns, largest: FixedWindow(limit, window_ns, window_ns // 3),
    "sliding": lambda limit, window_ns, largest: SlidingWindow(limit, window_ns),
    "bucket": lambda limit, window_ns, largest: TokenBucket(limit, window_ns),
    "small bucket": lambda limit, window_ns, largest: TokenBucket(limit, window_ns, 2 * largest),
}
"""By name, made of a limit, its window and the largest amount at once; the last holds just two of those."""
