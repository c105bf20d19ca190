"""Who waits for whom to take a message or to reply to one, both ways. The messages themselves are the mailboxes'."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from prytany.abi import events as ev


class Awaited(msgspec.Struct):
    """Open calls that wait for a receiver."""

    asked: dict[int, dict[int, int]] = {}
    """Caller, then call, to the receiver."""
    by: dict[int, dict[int, int]] = {}
    """Receiver, then caller, to how many of its calls wait."""

    def receiver(self, pid: int, n: int) -> int | None:
        """Whom a call waits for."""
        calls = self.asked.get(pid)
        return None if calls is None else calls.get(n)

    def callers(self, pid: int) -> Iterator[int]:
        """Who waits for a process so."""
        return iter(self.by.get(pid, ()))

    def sent(self, e: ev.MessageSent) -> None:
        """Fold a message; one that is no call leaves nothing."""
        if e.call:
            self._waits(e.sender, e.call, e.receiver)

    def held(self, e: ev.MessageHeld) -> None:
        """Fold a message that waits for room; where it is a call, its reply is waited for by the same one."""
        self._waits(e.sender, e.n, e.receiver)

    def _waits(self, pid: int, n: int, receiver: int) -> None:
        self.asked.setdefault(pid, {})[n] = receiver
        callers = self.by.setdefault(receiver, {})
        callers[pid] = callers.get(pid, 0) + 1

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
    ev.MessageHeld: Awaited.held,  # type: ignore[dict-item]
    ev.CallClosed: Awaited.closed,  # type: ignore[dict-item]
}
"""What this room folds; ends of processes beside it."""
