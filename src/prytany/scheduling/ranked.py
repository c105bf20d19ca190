"""A set of things in the order of a rank that may change: what every queue here is made of.

A binary heap whose entries are left behind when a rank changes or a thing leaves, and are skipped when they come up.
When more than half of it is such, it is made anew; so each operation costs O(log n) amortised, and the heap holds at
most twice what is in the set, and a few more.

Source: "lazy deletion" of the `heapq` documentation's priority queue notes.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=int)
SPARE = 16


class Ranked(Generic[Key]):
    """Keys, the lowest rank first. Equal ranks go by key, so that the order never depends on anything else."""

    __slots__ = ("_heap", "_ranks")

    def __init__(self) -> None:
        self._ranks: dict[Key, Any] = {}
        self._heap: list[tuple[Any, Key]] = []

    def __len__(self) -> int:
        return len(self._ranks)

    def __contains__(self, key: Key) -> bool:
        return key in self._ranks

    def __iter__(self) -> Iterator[Key]:
        """In the order in which they came. For tests, and for people who look."""
        return iter(self._ranks)

    def put(self, key: Key, rank: Any) -> None:
        """Take `key` in at `rank`, or move it there."""
        if self._ranks.get(key) == rank:
            return
        self._ranks[key] = rank
        heappush(self._heap, (rank, key))
        if len(self._heap) > 2 * len(self._ranks) + SPARE:
            self._heap = [(rank, key) for key, rank in self._ranks.items()]
            heapify(self._heap)

    def drop(self, key: Key) -> None:
        """Let `key` go; nothing where it is not there."""
        if self._ranks.pop(key, None) is not None and not self._ranks:
            self._heap.clear()

    def first(self) -> Key | None:
        """The key of the lowest rank, which stays."""
        heap, ranks = self._heap, self._ranks
        while heap:
            rank, key = heap[0]
            if ranks.get(key) == rank:
                return key
            heappop(heap)
        return None

    def rank(self, key: Key) -> Any:
        """The rank of a key that is there."""
        return self._ranks[key]

    @property
    def entries(self) -> int:
        """How many entries it keeps, those left behind among them."""
        return len(self._heap)
