"""What processes share, as a client asks of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from prytany.abi import control
from prytany.abi.errors import Eio


class SharingClient(ABC):
    """Part of `Client`."""

    async def locks(self) -> list[control.LockRow]:
        """The locks that somebody has or waits for, by scope and name."""
        rows: list[control.LockRow] = []
        while True:
            after = f"{rows[-1].scope}/{rows[-1].name}" if rows else ""
            page: list[control.LockRow] = await self._ask(control.ListLocks(after))
            _check_order(after, page)
            rows += page
            if len(page) < control.ROWS_MAX:
                return rows

    async def segments(self) -> list[control.SegmentRow]:
        """The shared segments, by scope and name."""
        rows: list[control.SegmentRow] = []
        while True:
            after = f"{rows[-1].scope}/{rows[-1].name}" if rows else ""
            page: list[control.SegmentRow] = await self._ask(control.ListSegments(after))
            _check_order(after, page)
            rows += page
            if len(page) < control.ROWS_MAX:
                return rows

    async def break_lock(self, name: str, scope: str = "") -> int:
        """Take a lock from all who have it; how many that were. Raises Enoent, and Einval where scopes have it."""
        broken: int = await self._ask(control.BreakLock(name, scope))
        return broken

    @abstractmethod
    async def _ask(self, command: control.Command) -> Any: ...


def _check_order(after: str, page: list[Any]) -> None:
    if page and f"{page[0].scope}/{page[0].name}" <= after:
        raise Eio("the kernel lists the same again")
