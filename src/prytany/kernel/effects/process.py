"""Effects of processes: a program is looked up, and the child that it makes is decided when it is found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol
from weakref import WeakValueDictionary

from prytany.kernel.effects.finished import Finished
from prytany.kernel.handlers.process import closed_to, spawn
from prytany.kernel.outcome import Context, Program
from prytany.process.process import Process


class Owner(Context, Protocol):
    """The kernel, as the effects of processes see it."""

    def look_up(self, target: str, beside: str, source: bytes, closed: Sequence[str]) -> Awaitable[Program]:
        """A program, read while the kernel goes on. Raises Enoent, Eacces, Einval."""
        ...


class ProcessEffects:
    """The effects that end at the process table."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def spawn(self, process: Process, n: int, args: Any) -> Finished:
        """A child of a program that was not known. What one process asks for comes in its order, one at a time, so that
        the many look-ups of one do not stand before the first of another."""
        turn = self._turns.get(process.pid)
        if turn is None:
            turn = self._turns[process.pid] = asyncio.Lock()
        async with turn:
            found = await self._owner.look_up(args.program, process.program, process.source, closed_to(process))
            done = spawn(self._owner, process, args, found)
        return Finished(done.result, events=done.before, contents=done.contents, shared=done.shared)
