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
    owner: int = 0
    """Whose answer it was: it goes where that one's content is forgotten."""
    seq: int = 0
    """The entry that names it."""
    cost_usd_micros: int = 0
    """That asking again would cost."""


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
        self._owned: dict[tuple[int, int], dict[bytes, None]] = {}
        """By tenant and owner, what was asked."""

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
        self._owned.setdefault((tenant, answer.owner), {})[asked] = None
        self.bytes += answer.size_bytes
        while self.bytes > self._bytes_max or len(self._answers) > ENTRIES_MAX:
            self._drop(next(iter(self._answers)))

    def lost(self, tenant: int, asked: bytes) -> None:
        """What was just found can be read no more: it was no hit."""
        answer = self._answers.get((tenant, asked))
        if answer is not None:
            self.hits, self.misses, self.spared = self.hits - 1, self.misses + 1, self.spared - answer.tokens
            self._drop((tenant, asked))

    def forget(self, tenant: int, owner: int) -> None:
        """The content of one owner is destroyed."""
        for asked in list(self._owned.get((tenant, owner), ())):
            self._drop((tenant, asked))

    def clear(self, bytes_max: int) -> None:
        """Nothing is held any more, and from now on so many bytes at most; what was counted stays."""
        self._answers.clear()
        self._owned.clear()
        self.bytes, self._bytes_max = 0, bytes_max

    def _drop(self, name: tuple[int, bytes]) -> None:
        answer = self._answers.pop(name, None)
        if answer is not None:
            self.bytes -= answer.size_bytes
            owned = self._owned[name[0], answer.owner]
            del owned[name[1]]
            if not owned:
                del self._owned[name[0], answer.owner]
