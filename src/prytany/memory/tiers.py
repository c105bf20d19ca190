"""Tiers: which contexts are held in memory, in which form, and which are the next to give room.

A context is held *ready*, decoded, so that its agent's next call reads no more than was added; or *packed*, compressed;
or not at all: the journal has it. Three marks, of all bytes that are held:

    bound   never passed for long: what was used least recently leaves at once, whoever's it is
    high    once it is passed, contexts of agents that wait are packed, the least recently used first, and where that
            is not enough the packed ones leave, in the same order, until
    low     is reached

Agents that run keep theirs ready up to the bound. Tenants have equal shares of each mark: room is taken from those that
hold more than their share alone, so nobody's haste costs another what is within its own. It decides, and holds nothing
of what was said; who has it in hand does it.

Source: Denning, "The Working Set Model for Program Behavior", 1968; the watermarks of Linux's page reclaim; Corbató's
second chance, for the contexts of those that run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec

HIGH_PPM = 875_000
LOW_PPM = 625_000
PPM = 1_000_000
PART = 64
"""Where all that is held is in use, it is looked at again when a part in so many of the bound has come in."""
Runs = Callable[[int], bool]
"""Whether the process of that pid runs now; the others wait."""


class Held(msgspec.Struct):
    """One context that is held."""

    tenant: int
    pid: int
    size: int
    """Bytes."""
    packed: bool = False


class Step(NamedTuple):
    """What to do next with one that is held."""

    do: Literal["pack", "drop"]
    key: int


class Counts(msgspec.Struct):
    """What became of reads, and of what was held, since the kernel began."""

    hits: int = 0
    """Found, in either form."""
    unpacked: int = 0
    """Of those, found packed."""
    misses: int = 0
    """Read from the journal."""
    packed: int = 0
    """Packed to make room."""
    dropped: int = 0
    """Left to make room."""


class _Tenant:
    """What one tenant holds: both forms in the order in which they were used, the latest last."""

    __slots__ = ("packed", "ready", "size")

    def __init__(self) -> None:
        self.ready: dict[int, None] = {}
        self.packed: dict[int, None] = {}
        self.size = 0


class Tiers:
    """See the module. Keys are the caller's, one a context that is held.

    Invariant: `size` is the sum of what is held, and every key is in the order of its form.
    """

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.high = bytes_max * HIGH_PPM // PPM
        self.low = bytes_max * LOW_PPM // PPM
        self.size = 0
        self.counts = Counts()
        self._held: dict[int, Held] = {}
        self._tenants: dict[int, _Tenant] = {}
        self._look_at = self.high
        self._last_key = 0

    def new_key(self) -> int:
        """A key that was never used."""
        self._last_key += 1
        return self._last_key

    def __contains__(self, key: int) -> bool:
        return key in self._held

    def __len__(self) -> int:
        return len(self._held)

    @property
    def packed(self) -> int:
        """How many are packed."""
        return sum(len(own.packed) for own in self._tenants.values())

    def use(self, key: int, tenant: int, pid: int) -> None:
        """It is used, ready; the caller says with `resize` what it takes."""
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = Held(tenant, pid, 0)
        own = self._tenants.get(tenant)
        if own is None:
            own = self._tenants[tenant] = _Tenant()
        held.packed = False
        own.packed.pop(key, None)
        own.ready.pop(key, None)
        own.ready[key] = None

    def resize(self, key: int, size: int) -> None:
        """It takes so many bytes now."""
        held = self._held[key]
        more = size - held.size
        held.size = size
        self._tenants[held.tenant].size += more
        self.size += more

    def pack(self, key: int, size: int) -> None:
        """It is packed now, and takes so many bytes; its place in the order stays that of the one that was used least
        recently of the ready ones, so it comes last of the packed."""
        self.counts.packed += 1
        held = self._held[key]
        held.packed = True
        own = self._tenants[held.tenant]
        del own.ready[key]
        own.packed[key] = None
        self.resize(key, size)

    def tenant_of(self, key: int) -> int:
        """Whose it is."""
        return self._held[key].tenant

    def drop(self, key: int) -> None:
        """It is held no more."""
        held = self._held.pop(key, None)
        if held is None:
            return
        own = self._tenants[held.tenant]
        own.ready.pop(key, None)
        own.packed.pop(key, None)
        own.size -= held.size
        self.size -= held.size
        if not (own.ready or own.packed):
            del self._tenants[held.tenant]

    @property
    def due(self) -> bool:
        """Whether somebody ought to go on with `next` until it gives nothing."""
        if self.size <= self.high:
            self._look_at = self.high
        return self.size > self._look_at

    def next(self, runs: Runs) -> Step | None:
        """What gives room down to the low mark; None when nothing may, or needs to any more.

        Costs nothing by what is held: contexts of those that run are put behind the others as they are met.
        """
        if self.size > self.low:
            share = self.low // len(self._tenants)
            for own in self._by_size():
                if own.size <= share:
                    break
                if (key := self._waiting(own, runs)) is not None:
                    return Step("pack", key)
                if own.packed:
                    return Step("drop", next(iter(own.packed)))
        self._look_at = max(self.high, self.size + self.bytes_max // PART)
        return None

    def waiting(self, runs: Runs) -> Step | None:
        """What gives room where the machine has none, whatever the marks: one of an agent that waits, to be packed."""
        for own in self._by_size():
            if (key := self._waiting(own, runs)) is not None:
                return Step("pack", key)
        return None

    def beyond(self, kept: int) -> int | None:
        """What has to leave at once, since the bound is passed; never `kept`, which is in use."""
        if self.size <= self.bytes_max:
            return None
        for own in self._by_size():
            for key in (*_first(own.packed, kept), *_first(own.ready, kept)):
                return key
        return None

    def dropped(self, key: int) -> None:
        """It left to make room."""
        self.counts.dropped += 1
        self.drop(key)

    def _by_size(self) -> list[_Tenant]:
        return sorted(self._tenants.values(), key=lambda own: -own.size)

    def _waiting(self, own: _Tenant, runs: Runs) -> int | None:
        for _ in range(len(own.ready)):
            key = next(iter(own.ready))
            if not runs(self._held[key].pid):
                return key
            del own.ready[key]
            own.ready[key] = None
        return None


def _first(order: dict[int, None], kept: int) -> list[int]:
    """The least recently used of these that is not `kept`; it is among the first two."""
    for key in order:
        if key != kept:
            return [key]
    return []
