"""Pacing: so much of one thing a minute, at an endpoint that counts in a way nobody told us.

Providers limit by a fixed window, by a sliding window, or by a bucket that fills at a steady rate, and their headers
name a number and not the way. What trips none of them is the strictest of each:

- *for the bucket*, one after the other: whatever begins is paid off at the rate before the next begins (GCRA), with a
  credit of one mean call, without which two limits that are met at once would cost a seventh of both. A bucket that
  holds three calls is enough; after a first refusal the credit is gone, and one that holds a single call is enough;
- *for both windows*, a log of the last window: what would make it exceed the limit waits, wherever a window begins.

The log looks back a little further than the window, for what the way to the provider adds; that costs under one part in
a hundred of what was paid for.

The log is kept in slots of a tenth of a second, each as young as the last that fell into it: it is never wrong on the
side that trips, and has at most some six hundred slots.

Source: ITU-T I.371, Annex A (generic cell rate algorithm), as virtual scheduling; RFC 2697 for buckets.
"""

from __future__ import annotations

from collections import deque

import msgspec

WINDOW_NS = 60_000_000_000
MARGIN_NS = 500_000_000
"""By which the log looks back beyond the window."""
SLOT_NS = 100_000_000
PPM = 1_000_000
MEMORY_SHIFT = 4


class Slot(msgspec.Struct):
    """What began within one tenth of a second. `last_ns` is 0 once it is out of the window."""

    first_ns: int
    last_ns: int
    amount: int


class Pace:
    """One quantity of one endpoint: requests, or tokens.

    Attributes:
        limit: what the operator or the endpoint said, a window; 0 where nobody did.
        share_ppm: of that, what is asked for since it turned out to be too much; `PPM` where it did not.
        used: what began within the last window.
        strict: without the credit.
        learned: nobody said the limit; it was guessed.
    """

    def __init__(self, limit: int = 0, window_ns: int = WINDOW_NS) -> None:
        self.limit = limit
        self.share_ppm = PPM
        self.used = 0
        self.strict = self.learned = False
        self._window_ns = window_ns
        self._slot_ns = min(SLOT_NS, window_ns >> 8)
        self._paid_ns = 0
        """When all that began is paid off."""
        self._mean = 0
        """Of what is taken at a time, shifted."""
        self._slots: deque[Slot] = deque()

    @property
    def allowed(self) -> int:
        """What may begin within a window; 0 without a limit."""
        return max(1, self.limit * self.share_ppm // PPM) if self.limit else 0

    def ready_ns(self, amount: int, now_ns: int) -> int:
        """The earliest time at which `amount` may begin, if nothing else does: `now_ns`, or later.

        What is larger than the limit may begin when nothing else is in the window: it would wait for ever otherwise.
        """
        if not self.limit:
            return now_ns
        self._forget(now_ns)
        allowed = self.allowed
        ready_ns, excess = max(now_ns, self._paid_ns), self.used + amount - allowed
        if excess > 0:
            for slot in self._slots:
                excess -= slot.amount
                ready_ns = max(ready_ns, slot.last_ns + self._window_ns + self._margin_ns)
                if excess <= 0:
                    break
        return ready_ns

    def take(self, amount: int, now_ns: int) -> Slot:
        """`amount` begins now, whatever `ready_ns` says. Gives where it is counted, for `correct`."""
        self.used += amount
        self._mean += amount - (self._mean >> MEMORY_SHIFT)
        if self.limit:
            self._pay(amount, max(now_ns - self._credit_ns, self._paid_ns))
        slot = self._slots[-1] if self._slots else None
        if slot is None or now_ns - slot.first_ns >= self._slot_ns:
            self._forget(now_ns)
            slot = Slot(now_ns, now_ns, 0)
            self._slots.append(slot)
        slot.last_ns = now_ns
        slot.amount += amount
        return slot

    def remember(self, amount: int, at_ns: int) -> None:
        """An earlier kernel began this, at the latest at `at_ns`. In order of time, and before anything is taken."""
        self._slots.append(Slot(at_ns, at_ns, amount))
        self.used += amount

    def correct(self, slot: Slot, more: int) -> None:
        """What began at `slot` took `more` than was thought, or less."""
        if slot.last_ns:
            slot.amount += more
            self.used += more
        if self.limit:
            self._pay(more, self._paid_ns)

    def within_window(self, now_ns: int) -> int:
        """What began within the window."""
        self._forget(now_ns)
        return self.used

    @property
    def slots(self) -> int:
        """How many it keeps."""
        return len(self._slots)

    @property
    def _margin_ns(self) -> int:
        return MARGIN_NS * self._window_ns // WINDOW_NS

    @property
    def _credit_ns(self) -> int:
        if self.strict or not self.limit:
            return 0
        return (self._mean >> MEMORY_SHIFT) * self._window_ns // self.allowed

    def _pay(self, amount: int, since_ns: int) -> None:
        if allowed := self.allowed:
            # At most a window at a time: what exceeds the limit by itself is not waited for longer than that.
            self._paid_ns = since_ns + min(amount, allowed) * self._window_ns // allowed

    def _forget(self, now_ns: int) -> None:
        slots, before_ns = self._slots, now_ns - self._window_ns - self._margin_ns
        while slots and slots[0].last_ns < before_ns:
            slot = slots.popleft()
            self.used -= slot.amount
            slot.last_ns = 0
