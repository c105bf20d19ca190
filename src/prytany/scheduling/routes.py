"""Which endpoint a call goes to: routes that an operator wrote, and who stands in for whom. Data and one function.

A route says of which calls it speaks (class, size of what is asked, budget left) and names another model for them; the
first that fits is taken. Then the chain of fallbacks: the first model of it whose endpoint can be asked now. Where none
can, the call waits for the one that was named first. A chain is followed once, so that models which stand in for each
other are no loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from prytany.scheduling.call import Qos

CHAIN_MAX = 8


class Route(msgspec.Struct, frozen=True):
    """Calls that fit all of what it says go to `model` instead."""

    model: str
    qos: tuple[Qos, ...] = ()
    """Of these classes; all where empty."""
    prompt_max: int = 0
    """Tokens, at most; any where 0."""
    prompt_min: int = 0
    budget_below_permille: int = 0
    """Where less than this of the tightest budget is left; whatever is left where 0."""

    def fits(self, qos: Qos, prompt: int, budget_permille: int) -> bool:
        """Whether it speaks of such a call."""
        return (
            (not self.qos or qos in self.qos)
            and (not self.prompt_max or prompt <= self.prompt_max)
            and prompt >= self.prompt_min
            and (not self.budget_below_permille or budget_permille < self.budget_below_permille)
        )


class Routes(msgspec.Struct, frozen=True):
    """Of one fleet, by model."""

    routes: Mapping[str, Sequence[Route]] = {}
    fallbacks: Mapping[str, Sequence[str]] = {}

    def named(self, model: str, qos: Qos, prompt: int, budget_permille: int) -> str:
        """What a call that names `model` is meant for."""
        for route in self.routes.get(model, ()):
            if route.fits(qos, prompt, budget_permille):
                return route.model
        return model

    def chain(self, model: str) -> list[str]:
        """`model`, and who stands in for it, each once, in order."""
        found = [model]
        for name in found:
            for other in self.fallbacks.get(name, ()):
                if other not in found and len(found) < CHAIN_MAX:
                    found.append(other)
        return found

    def choose(
        self, model: str, qos: Qos, prompt: int, budget_permille: int, able: Callable[[str], bool]
    ) -> str:  # fmt: skip
        """The model that such a call goes to.

        Args:
            able: whether a model can do what the call needs (its features), and its breaker is not open.
        """
        meant = self.named(model, qos, prompt, budget_permille)
        return next((name for name in self.chain(meant) if able(name)), meant)
