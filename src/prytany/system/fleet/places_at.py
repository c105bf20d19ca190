"""Places at a model: as many requests at a time as there are; the others wait, first come, first served.

How many there are can change at any time: who waits comes at once where they grow, and where they shrink, who is there
stays until it is done. Invariant: nobody waits while there is a place.
"""

from __future__ import annotations

import asyncio
from collections import deque


class PlacesAt:
    """Who has taken a place gives it back."""

    def __init__(self, most: int | None = None) -> None:
        """`most` is how many there are; None for any number."""
        self._most = most
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def change(self, most: int | None) -> None:
        """From now on there are that many."""
        self._most = most
        self._let_in()

    async def take(self) -> None:
        """Wait for a place."""
        if not self._waiting and self._has_room():
            self._taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was let in, and nobody comes
                self._taken -= 1
            self._let_in()
            raise

    def give_back(self) -> None:
        """Somebody else may have it."""
        self._taken -= 1
        self._let_in()

    def _has_room(self) -> bool:
        return self._most is None or self._taken < self._most

    def _let_in(self) -> None:
        while self._waiting and (self._waiting[0].done() or self._has_room()):
            turn = self._waiting.popleft()
            if not turn.done():  # else it was cancelled
                self._taken += 1
                turn.set_result(None)
