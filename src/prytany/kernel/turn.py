"""A turn of the loop: work that takes long lets go here, so that it holds nobody up."""

from __future__ import annotations

from collections.abc import Generator


class _Turn:
    def __await__(self) -> Generator[None, None, None]:
        yield


async def others_first() -> None:
    """Return after everything else that is due on the loop; no time passes."""
    await _Turn()
