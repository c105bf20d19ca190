"""Where a program's history begins: at its start, at a state that it went on with, or at a server's last message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any


def _nothing() -> None:
    return None


async def _nothing_to_settle() -> None:
    return None


class History:
    """What the kernel and the runtime say of it; `proc.history`."""

    def __init__(self, start: Mapping[str, Any]) -> None:
        self.incarnation: int = start.get("incarnation", 1)
        """How many times the program was started, itself included: 1, and one more after each failure."""
        self.state: bytes | None = start.get("state")
        """The packed state that it begins from, or None at its first start."""
        self.migrating: bool = start.get("migrating", False)
        """The state was left by an older version of the program."""
        self.cut: Callable[[], None] = start.get("cut", _nothing)
        """Called where the record was cut: time and randomness go on as they would in a fresh worker."""
        self.settle: Callable[[], Awaitable[None]] = start.get("settle", _nothing_to_settle)
        """Ends the tasks that were left running: a cut history cannot hold them."""
