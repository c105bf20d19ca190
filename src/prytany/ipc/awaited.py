"""Replies that are awaited: who asked whom, both ways. The messages themselves are the mailboxes'."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from prytany.abi import events as ev


class Awaited(msgspec.Struct):
    """Open calls that wait for a reply."""

    asked: dict[int, dict[int, int]] = {}
    """Caller, then call, to the receiver."""
    by: dict[int, dict[int, int]] = {}
    """Receiver, then caller, to how many of its calls wait."""

    def receiver(self, pid: int, n: int) -> int | None:
        """Who is to reply to a call."""
        calls = self.asked.get(pid)
        return None if calls is None else calls.get(n)

    def callers(self, pid: int) -> Iterator[int]:
        """Who waits for a reply of a process."""
        return iter(self.by.get(pid, ()))

    def sent(self, e: ev.MessageSent) -> None:
        """Fold a message; one that is no call leaves nothing."""
        if e.call:
            self.asked.setdefault(e.sender, {})[e.call] = e.receiver
            callers = self.by.setdefault(e.receiver, {})
            callers[e.sender] = callers.get(e.sender, 0) + 1

    def closed(self, e: ev.CallClosed) -> None:
        """Fold the end of a call."""
        calls = self.asked.get(e.pid)
        if calls is None or (receiver := calls.pop(e.n, None)) is None:
            return
        if not calls:
            del self.asked[e.pid]
        self._less(receiver, e.pid)

    def ended(self, pid: int) -> None:
        """Fold the end of a process, or that its program begins again."""
        for receiver in self.asked.pop(pid, {}).values():
            self._less(receiver, pid)

    def _less(self, receiver: int, caller: int) -> None:
        callers = self.by[receiver]
        callers[caller] -= 1
        if not callers[caller]:
            del callers[caller]
        if not callers:
            del self.by[receiver]


FOLDS: dict[type, Callable[[Awaited, ev.Event], None]] = {
    ev.MessageSent: Awaited.sent,  # type: ignore[dict-item]
    ev.CallClosed: Awaited.closed,  # type: ignore[dict-item]
}
"""What this room folds; ends of processes beside it."""
