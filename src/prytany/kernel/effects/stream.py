"""The pieces of a stream: grouped, recorded, and only then delivered.

The first piece goes at once; after it, what comes within 50 ms goes together, or as soon as it is 16 KiB. A program
that does not take its pieces holds the stream up, down to the provider's connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from prytany.abi import limits
from prytany.abi.values import pack
from prytany.ports.clock import Clock
from prytany.ports.model import ModelFailure

GROUP_NS = 50_000_000
GROUP_BYTES = 16 << 10


def interrupted(pieces: int, why: str) -> list[Any]:
    """The error of a stream that ended before its answer did; what there is of it was delivered."""
    detail: dict[str, Any] = {"cause": "interrupted", "why": why, "pieces": pieces}
    return ["the stream ended before the answer did", detail]


class Pieces:
    """One stream on its way to a program.

    Args:
        clock: for the time between groups.
        record: takes one group's text, packed, for the journal.
        room: returns when the program can take more.
        lost: told when the timer of a group has ended, however it did.
    """

    def __init__(
        self,
        clock: Clock,
        record: Callable[[bytes], None],
        room: Callable[[], Awaitable[None]],
        lost: Callable[[asyncio.Task[None]], None],
    ) -> None:
        self._clock = clock
        self._lost = lost
        self._record = record
        self._room = room
        self._all: list[str] = []
        self._held: list[str] = []
        self._held_bytes = 0
        self._bytes = 0
        self._flushed_ns = 0
        self._timer: asyncio.Task[None] | None = None

    @property
    def text(self) -> str:
        """All of it so far."""
        return "".join(self._all)

    async def add(self, text: str) -> None:
        """Take a piece. Raises ModelFailure, `garbage`, when it is no text or the stream is beyond its bound."""
        if not text:
            return
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise ModelFailure("garbage", "the answer is not text", retryable=False) from None
        self._bytes += size
        if self._bytes > limits.RESULT_BYTES_MAX:
            raise ModelFailure("garbage", "the answer is larger than the bound", retryable=False)
        self._all.append(text)
        self._held.append(text)
        self._held_bytes += size
        if self._held_bytes >= GROUP_BYTES or self._clock.now_ns() - self._flushed_ns >= GROUP_NS:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.ensure_future(self._later())
            self._timer.add_done_callback(self._lost)
        await self._room()

    async def _later(self) -> None:
        await self._clock.sleep_until(self._flushed_ns + GROUP_NS)
        self._timer = None
        self.flush()

    def flush(self) -> None:
        """Record what is held."""
        if self._held:
            value = pack("".join(self._held))
            self._held.clear()
            self._held_bytes = 0
            self._flushed_ns = self._clock.now_ns()
            self._record(value)

    def close(self) -> None:
        """No more comes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
