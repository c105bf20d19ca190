"""All contexts of a shard: a fold of the journal's context events.

A process has its contexts by number, from 1, never used again; nobody else has a name for them. What a process held
leaves with it, when it is reaped; the nodes stay in the journal.

A fold never decides, and raises KernelPanic on an event that cannot follow what came before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import KernelPanic
from prytany.memory.context import Asked, Head


class Owned(msgspec.Struct, array_like=True):
    """The contexts of one process."""

    heads: dict[int, Head] = {}
    next_number: int = 1


class Contexts(msgspec.Struct, array_like=True):
    """See the module."""

    owned: dict[int, Owned] = {}

    def get(self, pid: int, number: int) -> Head | None:
        """Where that context of that process stands, or None when it has none of that number."""
        own = self.owned.get(pid)
        return own.heads.get(number) if own is not None else None

    def count(self, pid: int) -> int:
        """How many the process has."""
        own = self.owned.get(pid)
        return len(own.heads) if own is not None else 0

    def next_number(self, pid: int) -> int:
        """The number of the next one that the process opens."""
        own = self.owned.get(pid)
        return own.next_number if own is not None else 1

    def _require(self, pid: int, number: int) -> Head:
        head = self.get(pid, number)
        if head is None:
            raise KernelPanic(f"an event names context {number} of process {pid}, which is not there")
        return head

    def _add(self, pid: int, number: int, head: Head) -> None:
        own = self.owned.setdefault(pid, Owned())
        if number != own.next_number:
            raise KernelPanic(f"context {number} of process {pid} does not follow {own.next_number - 1}")
        own.heads[number] = head
        own.next_number = number + 1

    def on_opened(self, seq: int, e: ev.ContextOpened) -> None:
        """A root."""
        self._add(e.pid, e.context, Head(e.node, seq, 0, 0, 0, 0, e.labels))

    def on_forked(self, seq: int, e: ev.ContextForked) -> None:
        """A pointer."""
        self._add(e.pid, e.context, Head(e.node, e.entry, e.at, e.length, e.size, e.images, e.labels))

    def on_asked(self, seq: int, e: ev.ContextAsked) -> None:
        """A question after the head, which stays."""
        head = self._require(e.pid, e.context)
        _follows(e, head.seq, head.at, seq)
        head.asked = Asked(e.n, seq, e.nodes[-1].node if e.nodes else head.node, len(e.nodes), e.size, e.images)

    def on_appended(self, seq: int, e: ev.ContextAppended) -> None:
        """The head moves: over what was asked, where this is its answer."""
        head = self._require(e.pid, e.context)
        asked = head.asked
        if asked is not None and (e.n, e.parent) == (asked.n, asked.seq):
            _follows(e, asked.seq, asked.count, seq)
            head.length += asked.count
            head.size += asked.size
            head.images += asked.images
        else:
            _follows(e, head.seq, head.at, seq)
        head.node, head.seq, head.at = e.nodes[-1].node, seq, len(e.nodes)
        head.length += len(e.nodes)
        head.size += e.size
        head.images += e.images
        head.asked = None
        if e.labels:
            head.labels = sorted({*head.labels, *e.labels})

    def on_closed(self, seq: int, e: ev.ContextClosed) -> None:
        """It is let go."""
        self._require(e.pid, e.context)
        del self.owned[e.pid].heads[e.context]

    def on_handed_off(self, seq: int, e: ev.ProcessHandedOff) -> None:
        """What the next agent is not given, it has no name for."""
        own = self.owned.get(e.pid)
        if own is not None:
            own.heads = {number: head for number, head in own.heads.items() if number == e.context}

    def on_reaped(self, seq: int, e: ev.ProcessReaped) -> None:
        """All of the process's are let go."""
        self.owned.pop(e.pid, None)


def _follows(e: ev.ContextAppended | ev.ContextAsked, seq: int, at: int, now: int) -> None:
    if (e.parent or now, e.at) != (seq, at):
        raise KernelPanic(f"context {e.context} of process {e.pid} stands at {seq}.{at}, and not at {e.parent}.{e.at}")


FOLDS: dict[type, Callable[[Contexts, int, Any], None]] = {
    ev.ContextOpened: Contexts.on_opened,
    ev.ContextForked: Contexts.on_forked,
    ev.ContextAsked: Contexts.on_asked,
    ev.ContextAppended: Contexts.on_appended,
    ev.ContextClosed: Contexts.on_closed,
    ev.ProcessHandedOff: Contexts.on_handed_off,
    ev.ProcessReaped: Contexts.on_reaped,
}
"""What each event means here; any other means nothing."""
