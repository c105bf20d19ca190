"""Couriers: who takes a notice to people outside."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Missed(Exception):
    """The notice was not taken, or nobody knows.

    Attributes:
        cause: a word or two, ours: `timeout`, `status 500`, `exit 1`.
        said: what the receiver said to it; bounded, and without secrets.
        again: whether another attempt may help.
        retry_after_ms: what the receiver asks to be left alone for; 0 where it says nothing.
    """

    def __init__(self, cause: str, said: bytes = b"", *, again: bool = True, retry_after_ms: int = 0) -> None:
        super().__init__(cause)
        self.cause = cause
        self.said = said
        self.again = again
        self.retry_after_ms = retry_after_ms


class Letter(NamedTuple):
    """A notice as it leaves: `id` is the same at each attempt, so that a receiver can know one that it has."""

    id: str
    body: bytes
    """JSON."""


class Courier(Protocol):
    """One way to tell people."""

    async def deliver(self, letter: Letter) -> bytes:
        """Have it taken, within `limits.NOTICE_TIMEOUT_MS`; what the receiver said to it, bounded and without secrets.
        When it is cancelled, nothing of it is left running. Raises Missed."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
