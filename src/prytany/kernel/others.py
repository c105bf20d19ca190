"""Letting others have a turn, in the middle of what takes long."""

from __future__ import annotations

from collections.abc import Generator


class Turn:
    """Awaited, it lets the loop do everything else that is due."""

    def __await__(self) -> Generator[None, None, None]:
        yield
