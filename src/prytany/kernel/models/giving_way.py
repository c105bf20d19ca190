"""Attempts that are under way, and how each is told to give way to another.

One at a model that takes turns is told so, and is put aside at its next piece. Any other is cancelled, unless something
of it was delivered meanwhile. Who is told before the attempt has begun does not begin it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prytany.ports.model import Model, Usage
from prytany.ports.turns import Turn, takes_turns


class GaveWay(Exception):
    """An attempt ended for the sake of another. `used` is what it took where it was put aside; None where that is
    lost."""

    def __init__(self, used: Usage | None, *, asked: bool) -> None:
        super().__init__()
        self.used = used
        self.asked = asked
        """By somebody more urgent; else its turn was up."""


class AttemptTurn(Turn):
    """A turn that knows whose it is, and why it ends.

    Args:
        model: who is asked.
        is_up: as a turn's.
        task: who makes the attempt.
    """

    asked = False
    """Somebody more urgent asked for it."""

    def __init__(self, model: Model, is_up: Callable[[int], bool], task: asyncio.Task[object] | None) -> None:
        super().__init__(is_up=is_up)
        self._model = model
        self._task = task

    def ask(self) -> None:
        """Somebody more urgent asks for it."""
        if self.asked:
            return
        self.asked = True
        if takes_turns(self._model):
            self.give_way()
        elif self._task is not None:
            self._task.cancel()

    def was_taken(self) -> bool:
        """Whether its task was cancelled for that, and by nobody else: then it is not to end, but to wait for another
        turn. Asked once, when it is cancelled."""
        taken = self.asked and not takes_turns(self._model)
        return taken and self._task is not None and self._task.uncancel() == 0


class GivingWay:
    """The attempts under way, by the keys of their calls."""

    def __init__(self) -> None:
        self._under_way: dict[int, AttemptTurn] = {}
        self._early: set[int] = set()

    def tell(self, key: int) -> None:
        """Call `key` is to give way."""
        turn = self._under_way.get(key)
        if turn is None:
            self._early.add(key)
        else:
            turn.ask()

    def forget(self, key: int) -> None:
        """The call is closed."""
        self._early.discard(key)

    def begins(self, key: int, turn: AttemptTurn) -> None:
        """An attempt is about to begin. Raises GaveWay, and then it does not."""
        if key in self._early:
            self._early.discard(key)
            raise GaveWay(None, asked=True)
        self._under_way[key] = turn

    def ended(self, key: int, turn: AttemptTurn) -> None:
        """It is over, if it began."""
        if self._under_way.get(key) is turn:
            del self._under_way[key]
