"""Pauses before further attempts at calls of models: whatever becomes of the process meanwhile, none is cut short."""

from __future__ import annotations

from prytany.ports.clock import Clock


class Pauses:
    """The calls whose next attempt has to wait for a time, by key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._resting: set[int] = set()

    def __contains__(self, key: int) -> bool:
        """Whether the pause of that call is not over."""
        return key in self._resting

    async def rest(self, key: int, pause_ns: int) -> None:
        """Return when it is over."""
        self._resting.add(key)
        try:
            await self._clock.sleep_until(self._clock.now_ns() + pause_ns)
        finally:
            self._resting.discard(key)
