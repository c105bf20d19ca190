"""Turns of a generation: a model whose slots can be saved gives one up in the midst of an answer, and loses nothing.

    turn(request, Turn()) ─▶ pieces … ─▶ ModelAnswer
                                 │
                     give_way, or is_up said so
                                 ▼
                               Aside ─▶ turn(request, Turn(aside)) ─▶ the further pieces … ─▶ ModelAnswer, whole

Whoever schedules decides when a turn ends, and the driver how: after the piece that is being written, or at once where
none was. The answer's text and usage are those of the whole generation, however many turns it took: its prompt counts
once, and each token once. With temperature 0 it is the answer that one turn would have given, as far as the endpoint
repeats itself. What is drawn by chance is drawn anew after each turn, from the same distribution; a seed then gives the
same answer only where the turns end at the same tokens.

A driver may lose what it saved (its process died, its room for it is bounded): then the next turn takes longer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Protocol, TypeGuard, runtime_checkable

from prytany.ports.model import Model, ModelAnswer, ModelRequest, Usage

NOTHING = Usage()


class Aside:
    """A generation that was put aside. Its driver adds what it goes on from; nobody else looks at that.

    Attributes:
        text: all of the answer that its caller was given, of all turns.
        usage: what it took so far, of all turns; a prompt that was not read to its end counts 0.
    """

    def __init__(self, text: str = "", usage: Usage = NOTHING) -> None:
        self.text = text
        self.usage = usage

    def drop(self) -> None:
        """It is wanted no more: what was saved of it goes. It may be called again, and need not be called."""


class Turn:
    """One turn, from when a slot is asked for until it is free again.

    Args:
        aside: what it goes on from; None for a generation that begins.
        is_up: asked with the tokens generated in this turn, after each piece, within the driver; cheap.

    Attributes:
        tokens: generated in this turn so far.
    """

    def __init__(self, aside: Aside | None = None, is_up: Callable[[int], bool] | None = None) -> None:
        self.aside = aside
        self.tokens = 0
        self.gives_way = False
        self._is_up = is_up
        self._told: Callable[[], object] | None = None

    def give_way(self) -> None:
        """Ask that the generation be put aside, soon; it may end before."""
        self.gives_way = True
        if self._told is not None:
            self._told()

    def tell(self, told: Callable[[], object]) -> None:
        """The driver's: `told` is called when the turn is to end."""
        self._told = told
        if self.gives_way:
            told()

    def generated(self, tokens: int) -> None:
        """The driver's: so many tokens of this turn were generated, and delivered."""
        self.tokens = tokens
        if self._is_up is not None and not self.gives_way and self._is_up(tokens):
            self.give_way()


@runtime_checkable
class TurnsModel(Model, Protocol):
    """A model whose features say `saves_slots`."""

    def turn(self, request: ModelRequest, turn: Turn) -> AsyncGenerator[str | ModelAnswer | Aside, None]:
        """Pieces of text as they come, and last the whole answer, or what was put aside; raises ModelFailure.

        Closing it ends the request. `request` must be that of the generation's first turn.
        """
        ...


def takes_turns(model: Model) -> TypeGuard[TurnsModel]:
    """Whether it can be asked in turns."""
    return model.features.saves_slots and isinstance(model, TurnsModel)
