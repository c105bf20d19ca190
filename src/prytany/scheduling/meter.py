"""A meter: what flows at a rate of bytes a second, and from when on more may.

A call may begin where what went before is paid off at the rate, but for a second's worth. One that is larger than a
second's worth begins when nothing is owed, and is paid off after. Over any time no more begins than the rate times that
time, two seconds' worth or the largest call, and what was wrong in what was expected, which is owed.

Source: ITU-T I.371, Annex A (generic cell rate algorithm), as virtual scheduling.
"""

from __future__ import annotations

BURST_NS = 1_000_000_000
SECOND_NS = 1_000_000_000


class Meter:
    """At `rate` bytes a second; 0 measures nothing."""

    __slots__ = ("paid_ns", "rate")

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.paid_ns = 0
        """When all that began is paid off."""

    def ready_ns(self, size: int) -> int:
        """From when on `size` bytes may begin."""
        return self.paid_ns - max(0, BURST_NS - self._cost_ns(size)) if self.rate else 0

    def begin(self, size: int, now_ns: int) -> None:
        """So many bytes flow now."""
        if self.rate:
            self.paid_ns = max(self.paid_ns, now_ns) + self._cost_ns(size)

    def settle(self, expected: int, brought: int, now_ns: int) -> None:
        """What was counted as `expected` bytes was `brought`."""
        if not self.rate:
            return
        cost_ns = self._cost_ns(abs(brought - expected))
        self.paid_ns = max(self.paid_ns, now_ns) + cost_ns if brought > expected else self.paid_ns - cost_ns

    def change(self, rate: int, now_ns: int) -> None:
        """Another rate from now on. What is owed is paid off sooner at a higher one, and no later at a lower one."""
        if not rate:
            self.paid_ns = 0
        elif rate > self.rate and (owed_ns := self.paid_ns - now_ns) > 0:
            self.paid_ns = now_ns + owed_ns * self.rate // rate
        self.rate = rate

    def _cost_ns(self, size: int) -> int:
        return size * SECOND_NS // self.rate
