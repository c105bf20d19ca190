"""Attachments: content that messages carry by a number. Who put one, or was sent one, may read it; nobody else may,
whatever numbers or digests they know. It is let go of with the last who holds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from prytany.abi import events as ev


class Part(msgspec.Struct, array_like=True, frozen=True):
    """A part of the content, which lies in entry `seq`."""

    content: bytes
    seq: int


class Attached(msgspec.Struct, array_like=True):
    """One attachment."""

    number: int
    owner: int
    media_type: str
    size_bytes: int = 0
    parts: list[Part] = []
    holders: int = 1
    sealed: bool = False
    """Others were given it: no more is added."""


class Attachments(msgspec.Struct):
    """Those of a shard, by number, and who holds them. Invariant: each is held by somebody who lives."""

    items: dict[int, Attached] = {}
    held: dict[int, dict[int, None]] = {}
    next_number: int = 1

    def get(self, pid: int, number: int) -> Attached | None:
        """What a process means by a number; None where it does not hold that."""
        return self.items[number] if number in self.held.get(pid, ()) else None

    def put(self, seq: int, e: ev.AttachmentPut) -> None:
        """Fold a new one, or a further part of one."""
        item = self.items.get(e.number)
        if item is None:
            item = self.items[e.number] = Attached(e.number, e.pid, e.media_type)
            self.held.setdefault(e.pid, {})[e.number] = None
            self.next_number = e.number + 1
        item.parts = [*item.parts, Part(e.content, seq)]
        item.size_bytes += e.size_bytes

    def given(self, seq: int, e: ev.AttachmentsGiven) -> None:
        """Fold that a process was sent these."""
        own = self.held.setdefault(e.pid, {})
        for number in e.numbers:
            item = self.items[number]
            item.sealed = True
            if number not in own:
                own[number] = None
                item.holders += 1

    def dropped(self, seq: int, e: ev.AttachmentDropped) -> None:
        """Fold that a process does not hold one any more."""
        self._drop(e.pid, e.number)

    def _drop(self, pid: int, number: int) -> None:
        own = self.held[pid]
        del own[number]
        if not own:
            del self.held[pid]
        item = self.items[number]
        item.holders -= 1
        if not item.holders:
            del self.items[number]

    def ended(self, seq: int, e: ev.ProcessExited) -> None:
        """Fold the end of a process."""
        for number in list(self.held.get(e.pid, ())):
            self._drop(e.pid, number)


FOLDS: dict[type, Callable[[Attachments, int, Any], None]] = {
    ev.AttachmentPut: Attachments.put,
    ev.AttachmentsGiven: Attachments.given,
    ev.AttachmentDropped: Attachments.dropped,
    ev.ProcessExited: Attachments.ended,
}
"""What this room folds; nothing else reaches it."""
