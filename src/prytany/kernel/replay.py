"""Replay of one process: its record is fed to a fresh worker until that stands where the old one stood.

The record is what reached the process, in order: answers, denials, signals. What the worker asks is held against what
it asked then. No driver is called. What the worker asks beyond the record is kept until the frontier, and is live from
there on.

A worker takes one item at a time, however many lie before it. So items are sent ahead of the calls that they answer, a
bounded number, and a record is replayed in few writes; whether a call was really made before its answer was taken
shows in the frame that follows. An inline program takes each item as it is sent: there, the call has to be made first.

The frontier: every item is sent, the worker has taken them all, and it has nothing left to do.
"""

from __future__ import annotations

from collections.abc import Callable

from prytany.abi.errors import Ereplay
from prytany.kernel.earlier import earlier_forms
from prytany.kernel.gate import UNKNOWN
from prytany.kernel.record import Item, Record

AHEAD_ITEMS_MAX = 512
"""Items that a worker in replay was sent and has not taken, at most."""
AHEAD_BYTES_MAX = 1 << 20
"""Sent ahead at once; one item more may go."""


def _same(recorded: bytes, call: str, argument: bytes, digest: Callable[[bytes], bytes]) -> bool:
    return recorded == digest(argument) or any(recorded == digest(form) for form in earlier_forms(call, argument))


class Cursor:
    """Where a replay stands."""

    def __init__(self, record: Record | None = None, quiet: int = 0) -> None:
        """At the beginning of `record`; of none while that is still being read.

        `quiet` is how many items (the start is one) an earlier worker took: what is printed up to there is known.
        """
        self.reading = record is None
        self.record = record or Record(0, [], {})
        self.quiet = quiet
        self.made: set[int] = set()
        """Recorded calls that the worker has made again and that no item has answered yet."""
        self.beyond: list[tuple[int, str, bytes]] = []
        """Calls that the record does not hold."""
        self._next = 0
        self._taken = 0
        self._matched = 0

    def load(self, record: Record, quiet: int = 0) -> None:
        """The record was read; what came up meanwhile follows it."""
        self.reading, self.quiet = False, quiet
        self.record = record._replace(items=record.items + self.record.items)

    def add(self, item: Item) -> None:
        """An item that came up while the record was read, or the replay ran."""
        self.record.items.append(item)

    def on_call(self, n: int, call: str, argument: bytes, digest: Callable[[bytes], bytes]) -> None:
        """The worker made call `n`.

        Raises:
            Ereplay: the record holds another call there.
        """
        asked = self.record.asked.get(n)
        if asked is None:
            self.beyond.append((n, call, argument))
        elif asked.call not in (call, UNKNOWN) or (
            asked.argument and not _same(asked.argument, call, argument, digest)
        ):
            raise Ereplay(
                f"call {n} was {asked.call} when it was recorded, and is {call} now, or its arguments differ",
                call=call,
                detail={"n": n, "recorded": asked.call, "now": call},
            )
        else:
            self._matched += 1
        self.made.add(n)

    def on_taken(self, delivered: int) -> None:
        """The worker has taken `delivered` items in all, the start included, and what it asked before is known.

        Raises:
            Ereplay: it has taken an answer to a call that it had not made.
        """
        while self._taken < min(delivered - 1, len(self.record.items)):
            self._check_made(self.record.items[self._taken])
            self._taken += 1

    def _check_made(self, item: Item) -> None:
        if item.n > 0 and item.n not in self.made:
            asked = self.record.asked.get(item.n)
            name = asked.call if asked else "a call"
            raise Ereplay(f"{name} (call {item.n}) was made when this was recorded, and is not made now", call=name)

    def due(self, *, ahead: bool = False) -> list[Item]:
        """The items that can go out now; with `ahead`, also some whose calls are still to come."""
        items: list[Item] = []
        size_bytes = 0
        recorded = self.record.items
        most = min(len(recorded), self.quiet - 1) if self.quiet else len(recorded)
        if ahead:
            most = min(most, self._taken + AHEAD_ITEMS_MAX)
        while self._next < most and size_bytes < AHEAD_BYTES_MAX:
            item = recorded[self._next]
            if not ahead and (item.n not in self.made if item.n > 0 else item.after > len(self.made)):
                break
            items.append(item)
            size_bytes += len(item.value)
            self._next += 1
        return items

    def turns_new(self, delivered: int) -> bool:
        """Whether the worker has just taken the last item that an earlier one took: what it does now is new."""
        if not self.quiet or delivered < self.quiet:
            return False
        self.quiet = 0
        return True

    def at_frontier(self, delivered: int) -> bool:
        """Whether the worker, idle after `delivered` items (the start is one), stands where its record ends.

        Raises:
            Ereplay: it is idle, and has not made a call that an item of its record answers, or that it had open.
        """
        if delivered < 1 + self._next:
            return False
        if self._next < len(self.record.items):
            self._check_made(self.record.items[self._next])
            return False
        if self._matched < len(self.record.asked):
            missing = min(n for n in self.record.asked if n not in self.made)
            raise Ereplay(f"{self.record.asked[missing].call} (call {missing}) is recorded, and is not made now")
        return True
