"""Flow: bytes a second. Whoever has a rate has a bucket; what would flow faster waits, in order, and is never refused.

A call may begin where what went before is paid off at the rate, but for a second's worth. What it takes is known then.
What it brings is not: so much is counted as such calls brought of late, at first a second's worth, and it is put right
when it is there. So many calls at once are not all begun before the first has shown what it costs. Over any time no
more begins than the rate times that time, two seconds' worth, and what was wrong in what was expected, which is owed.

A call that waits is passed by none of the same bucket. Buckets know nothing of each other.

Source: ITU-T I.371, Annex A (generic cell rate algorithm), as virtual scheduling.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

BURST_NS = 1_000_000_000
SECOND_NS = 1_000_000_000
KEPT_MIN = 64
"""Buckets that are kept before those are looked for that nobody needs."""
MEMORY = 8
"""What is expected falls by one part in so many of the difference, and rises at once."""
Call = tuple[int, int]
"""Process and number."""


class Wanted(NamedTuple):
    """What a call takes, and whether it brings something."""

    size: int
    """Bytes."""
    brings: bool


class Bucket:
    """What flows of one kind: when all of it is paid off, who waits, oldest first, and what calls under way were
    expected to bring."""

    __slots__ = ("expected", "flying", "paid_ns", "rate", "waiting")

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.paid_ns = 0
        self.expected = rate
        self.waiting: dict[Call, Wanted] = {}
        self.flying: dict[Call, int] = {}

    def ready_ns(self, wanted: Wanted) -> int:
        """From when on it may begin; what costs more than a second's worth, when nothing is owed."""
        return self.paid_ns - max(0, BURST_NS - self._cost_ns(self._bound(wanted)))

    def begin(self, call: Call, wanted: Wanted, now_ns: int) -> None:
        """It flows now."""
        self.paid_ns = max(self.paid_ns, now_ns) + self._cost_ns(self._bound(wanted))
        if wanted.brings:
            self.flying[call] = self.expected

    def settle(self, call: Call, brought: int, now_ns: int) -> None:
        """A call under way has brought so much."""
        if (expected := self.flying.pop(call, None)) is not None:
            cost_ns = self._cost_ns(abs(brought - expected))
            self.paid_ns = max(self.paid_ns, now_ns) + cost_ns if brought > expected else self.paid_ns - cost_ns
            less = self.expected - brought
            self.expected = brought if less < 0 else self.expected - less // MEMORY

    def change(self, rate: int, now_ns: int) -> None:
        """Another rate from now on. What is owed is paid off sooner at a higher one, and no later at a lower one."""
        if rate > self.rate and (owed_ns := self.paid_ns - now_ns) > 0:
            self.paid_ns = now_ns + owed_ns * self.rate // rate
        self.rate = rate

    def _bound(self, wanted: Wanted) -> int:
        return wanted.size + (self.expected if wanted.brings else 0)

    def _cost_ns(self, size: int) -> int:
        return size * SECOND_NS // self.rate


class Flows:
    """The buckets of everybody who has a rate, by what names them. Rates are bytes a second, above 0."""

    def __init__(self) -> None:
        self._buckets: dict[Hashable, Bucket] = {}
        self._where: dict[int, dict[int, Hashable]] = {}
        """Who waits or is under way: by process, by call, at which bucket."""
        self._busy: dict[Hashable, None] = {}
        """The buckets at which somebody waits."""
        self._sweep_at = KEPT_MIN

    def __len__(self) -> int:
        return len(self._buckets)

    def ask(self, of: Hashable, rate: int, call: Call, wanted: Wanted, now_ns: int) -> bool:
        """Whether a call begins now; else it waits."""
        bucket = self._bucket(of, rate, now_ns)
        if bucket.waiting or bucket.ready_ns(wanted) > now_ns:
            self._wait(of, bucket, call, wanted)
            return False
        self._begin(of, bucket, call, wanted, now_ns)
        return True

    def wait(self, of: Hashable, rate: int, call: Call, wanted: Wanted, now_ns: int) -> None:
        """A call waits that an earlier kernel let wait; in the order in which they were made."""
        self._wait(of, self._bucket(of, rate, now_ns), call, wanted)

    def settle(self, call: Call, brought: int, now_ns: int) -> bool:
        """A call under way has brought so many bytes; whether somebody may begin for that earlier than was said."""
        if (of := self._where.get(call[0], {}).get(call[1])) is None:
            return False
        bucket = self._buckets[of]
        before_ns = bucket.paid_ns
        bucket.settle(call, brought, now_ns)
        self.leave(*call)
        return bool(bucket.waiting) and bucket.paid_ns < before_ns

    def leave(self, pid: int, n: int) -> None:
        """That call waits no longer, if it did, or brings nothing more; what it was expected to bring stays counted."""
        own = self._where.get(pid)
        if own is not None and (of := own.pop(n, None)) is not None:
            self._take_out(of, (pid, n))
            if not own:
                del self._where[pid]

    def leave_all(self, pid: int) -> None:
        """The same, of all calls of a process."""
        for n, of in self._where.pop(pid, {}).items():
            self._take_out(of, (pid, n))

    def due(self, now_ns: int, rate_of: Callable[[Hashable], int]) -> list[Call]:
        """Who begins now, in order; `rate_of` gives the rate as it is now, or 0 for none, and then nobody waits."""
        found: list[Call] = []
        for of in list(self._busy):
            bucket = self._buckets[of]
            rate = rate_of(of)
            if rate:
                bucket.change(rate, now_ns)
            while bucket.waiting:
                call, wanted = next(iter(bucket.waiting.items()))
                if rate and bucket.ready_ns(wanted) > now_ns:
                    break
                found.append(call)
                self.leave(*call)
                if rate:
                    self._begin(of, bucket, call, wanted, now_ns)
        return found

    def next_ns(self) -> int | None:
        """When `due` has somebody next, as rates are now; None where nobody waits."""
        firsts = (self._buckets[of] for of in self._busy)
        return min((bucket.ready_ns(next(iter(bucket.waiting.values()))) for bucket in firsts), default=None)

    def _bucket(self, of: Hashable, rate: int, now_ns: int) -> Bucket:
        bucket = self._buckets.get(of)
        if bucket is None:
            if len(self._buckets) >= self._sweep_at:
                self._sweep(now_ns)
            bucket = self._buckets[of] = Bucket(rate)
        elif bucket.rate != rate:
            bucket.change(rate, now_ns)
        return bucket

    def _sweep(self, now_ns: int) -> None:
        """Forget the buckets that are as good as new."""
        for of, bucket in list(self._buckets.items()):
            if not (bucket.waiting or bucket.flying) and bucket.paid_ns <= now_ns:
                del self._buckets[of]
        self._sweep_at = max(KEPT_MIN, 2 * len(self._buckets))

    def _begin(self, of: Hashable, bucket: Bucket, call: Call, wanted: Wanted, now_ns: int) -> None:
        bucket.begin(call, wanted, now_ns)
        if wanted.brings:
            self._where.setdefault(call[0], {})[call[1]] = of

    def _wait(self, of: Hashable, bucket: Bucket, call: Call, wanted: Wanted) -> None:
        bucket.waiting[call] = wanted
        self._where.setdefault(call[0], {})[call[1]] = of
        self._busy[of] = None

    def _take_out(self, of: Hashable, call: Call) -> None:
        bucket = self._buckets[of]
        bucket.flying.pop(call, None)
        if bucket.waiting.pop(call, None) is not None and not bucket.waiting:
            del self._busy[of]
