"""Attempts that are under way, and how each is told to give way to another.

One at a model that takes turns is told so, and is put aside at its next piece. Any other is cancelled, unless something
of it was delivered meanwhile. Who is told before the attempt has begun does not begin it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from prytany.ports.model import Model, Usage
from prytany.ports.turns import Turn, takes_turns

T = TypeVar("T")


class GaveWay(Exception):
    """An attempt ended for the sake of another. `used` is what it took where it was put aside; None where that is
    lost."""

    def __init__(self, used: Usage | None, *, asked: bool) -> None:
        super().__init__()
        self.used = used
        self.asked = asked
        """By somebody more urgent; else its turn was up."""


class AttemptTurn(Turn):
    """A turn that knows why it ends."""

    asked = False
    """Somebody more urgent asked for it."""


class _UnderWay(NamedTuple):
    model: Model
    turn: AttemptTurn
    task: asyncio.Task[object] | None


class GivingWay:
    """The attempts under way, by the keys of their calls."""

    def __init__(self) -> None:
        self._under_way: dict[int, _UnderWay] = {}
        self._early: set[int] = set()

    def tell(self, key: int) -> None:
        """Call `key` is to give way."""
        under_way = self._under_way.get(key)
        if under_way is None:
            self._early.add(key)
            return
        model, turn, task = under_way
        if turn.asked:
            return
        turn.asked = True
        if takes_turns(model):
            turn.give_way()
        elif task is not None:
            task.cancel()

    def forget(self, key: int) -> None:
        """The call is closed."""
        self._early.discard(key)

    async def attempt(
        self, key: int, model: Model, turn: AttemptTurn, once: Callable[[Model, AttemptTurn], Awaitable[T]]
    ) -> T:  # fmt: skip
        """What `once` gives. Raises what it raises, and GaveWay."""
        if key in self._early:
            self._early.discard(key)
            raise GaveWay(None, asked=True)
        task = asyncio.current_task()
        self._under_way[key] = _UnderWay(model, turn, task)
        try:
            return await once(model, turn)
        except asyncio.CancelledError:
            # Cancelled to give way, and by nobody else: then it is not to end, but to wait for another turn.
            if turn.asked and not takes_turns(model) and task is not None and task.uncancel() == 0:
                raise GaveWay(None, asked=True) from None
            raise
        finally:
            del self._under_way[key]
