"""Couriers that fail as a test says, and count what was delivered by its id."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec

from prytany.ports.courier import Letter, Missed


class CountingCourier:
    """Takes what it is given, after it has failed with each of `faults`, in order."""

    def __init__(self) -> None:
        self.faults: list[Missed] = []
        self.always: Missed | None = None
        self.tried: Counter[str] = Counter()
        self.taken: dict[str, dict[str, Any]] = {}
        self.bodies: dict[str, set[bytes]] = {}
        self.gate: asyncio.Event | None = None
        self.under_way = 0
        self.most = 0

    async def deliver(self, letter: Letter) -> bytes:
        self.tried[letter.id] += 1
        self.bodies.setdefault(letter.id, set()).add(letter.body)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.faults:
                raise self.faults.pop(0)
            if self.always is not None:
                raise self.always
        finally:
            self.under_way -= 1
        self.taken[letter.id] = msgspec.json.decode(letter.body)
        return b"thank you"

    async def close(self) -> None:
        return

    @property
    def told(self) -> list[tuple[str, int]]:
        """Kind and count of what was taken, in order."""
        return [(body["kind"], body["count"]) for body in self.taken.values()]
