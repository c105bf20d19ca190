"""Content that was committed and is not durable yet: what is held back, by digest.

Few ask for it, so nothing is done for it when an entry is committed: who asks looks at what was committed since the
last who asked. What is found is let go when the watermark has passed it, in two generations, so that those who ask all
the time keep no more than what is held twice over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Held(Protocol):
    """An entry that is held back."""

    @property
    def seq(self) -> int:
        """Its number."""
        ...

    @property
    def contents(self) -> dict[bytes, bytes]:
        """What its digests name."""
        ...


class Undurable:
    """See the module."""

    __slots__ = ("_new", "_old", "_old_upto", "_upto")

    def __init__(self) -> None:
        self._new: dict[bytes, bytes] = {}
        self._upto = 0  # the last entry that was looked at
        self._old: dict[bytes, bytes] = {}
        self._old_upto = 0  # where all of the old is durable

    def find(self, held: Sequence[Held], digest: bytes) -> bytes | None:
        """The content that one of `held`, or of those before, names by `digest`; or None. Each is looked at once."""
        for entry in reversed(held):
            if entry.seq <= self._upto:
                break
            self._new.update(entry.contents)
        if held:
            self._upto = max(self._upto, held[-1].seq)
        found = self._new.get(digest)
        return self._old.get(digest) if found is None else found

    def passed(self, seq: int) -> None:
        """The watermark reached `seq`."""
        if not self._new and not self._old:
            return
        if seq >= self._upto:
            self._new, self._old = {}, {}
        elif seq >= self._old_upto:
            self._new, self._old, self._old_upto = {}, self._new, self._upto
