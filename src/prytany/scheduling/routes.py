"""Which endpoint a call goes to: routes that an operator wrote, and who stands in for whom. Two functions.

A route says of which calls it speaks (class, size of what is asked, budget left) and names another model for them; the
first that fits is taken. Then the chain of fallbacks: the first model of it whose endpoint can be asked now. Where none
can, the call waits for the one that was named first. A chain is followed once, so that models which stand in for each
other are no loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

CHAIN_MAX = 8


class Route(Protocol):
    """Calls that fit all of what it says go to `model` instead."""

    @property
    def model(self) -> str:
        """Where to."""
        ...

    @property
    def qos(self) -> Sequence[int]:
        """Of these classes; of all where empty."""
        ...

    @property
    def prompt_min(self) -> int:
        """Tokens, at least."""
        ...

    @property
    def prompt_max(self) -> int:
        """Tokens, at most; any where 0."""
        ...

    @property
    def budget_below_permille(self) -> int:
        """Where less than this of the tightest budget is left; whatever is left where 0."""
        ...


def routed(model: str, routes: Sequence[Route], qos: int, prompt: int, budget_permille: int) -> str:
    """What a call is meant for that names `model`, of which `routes` speak."""
    for route in routes:
        if (
            (not route.qos or qos in route.qos)
            and (not route.prompt_max or prompt <= route.prompt_max)
            and prompt >= route.prompt_min
            and (not route.budget_below_permille or budget_permille < route.budget_below_permille)
        ):
            return route.model
    return model


def stands_in(model: str, fallback: Callable[[str], Sequence[str]], able: Callable[[str], bool]) -> str:
    """The first of `model` and its chain that is able; `model` where none is.

    Args:
        model: which is meant.
        fallback: who stands in for a model, in order.
        able: whether a model can do what the call needs, and can be asked now.
    """
    chain = [model]
    for name in chain:
        if able(name):
            return name
        chain += [other for other in fallback(name) if other not in chain][: CHAIN_MAX - len(chain)]
    return model
