"""Answers that were given before, by the digest of what was asked: for deterministic calls, where an agent opted in.

It holds digests and sizes, and no content: that lies in the tenant's store, where a digest finds it as long as it was
not forgotten. Bounded by the bytes of what it names; what was used longest ago goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

ENTRIES_MAX = 65_536


class Answer(NamedTuple):
    """Where an answer lies, and what is said with it."""

    digest: bytes
    size_bytes: int
    tokens: int
    """That asking again would take."""


class Answers:
    """See the module. O(1) each.

    Attributes:
        hits: answers that were found.
        misses: those that were not.
        spared: tokens that the hits would have taken.
    """

    def __init__(self, bytes_max: int) -> None:
        self.hits = self.misses = self.spared = self.bytes = 0
        self._bytes_max = bytes_max
        self._answers: OrderedDict[tuple[int, bytes], Answer] = OrderedDict()
        self._named: dict[tuple[int, bytes], dict[bytes, None]] = {}
        """By tenant and digest of an answer, what was asked."""

    def __len__(self) -> int:
        return len(self._answers)

    def find(self, tenant: int, asked: bytes) -> Answer | None:
        """The answer to what was asked; never another tenant's."""
        found = self._answers.get((tenant, asked))
        if found is None:
            self.misses += 1
            return None
        self._answers.move_to_end((tenant, asked))
        self.hits += 1
        self.spared += found.tokens
        return found

    def keep(self, tenant: int, asked: bytes, answer: Answer) -> None:
        """An answer was given. One that is larger than all that may be held is not kept."""
        self._drop((tenant, asked))
        if answer.size_bytes > self._bytes_max:
            return
        self._answers[tenant, asked] = answer
        self._named.setdefault((tenant, answer.digest), {})[asked] = None
        self.bytes += answer.size_bytes
        while self.bytes > self._bytes_max or len(self._answers) > ENTRIES_MAX:
            self._drop(next(iter(self._answers)))

    def forget(self, tenant: int, digest: bytes) -> None:
        """The content of an answer is destroyed."""
        for asked in self._named.pop((tenant, digest), {}):
            self.bytes -= self._answers.pop((tenant, asked)).size_bytes

    def _drop(self, name: tuple[int, bytes]) -> None:
        answer = self._answers.pop(name, None)
        if answer is not None:
            self.bytes -= answer.size_bytes
            named = self._named[name[0], answer.digest]
            del named[name[1]]
            if not named:
                del self._named[name[0], answer.digest]
