"""Which model a call goes to: by the routes of what it names, and to who stands in for one that cannot be asked."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from prytany.kernel.accounts import accounts_of
from prytany.kernel.ledger import Ledger
from prytany.kernel.models.endpoints import ModelEndpoints
from prytany.ports.model import Model
from prytany.process.process import Process
from prytany.scheduling.routes import routed, stands_in
from prytany.scheduling.spending import left_permille


class Core(Protocol):
    """The kernel, as routes see it."""

    ledger: Ledger

    @property
    def model_endpoints(self) -> ModelEndpoints:
        """What is known of each."""
        ...

    def endpoint(self, name: str) -> Model | None:
        """The model of which that is the kernel's name."""
        ...


class ModelRoutes:
    """See the module. A model without routes and without stand-ins costs one look."""

    def __init__(self, kernel: Core) -> None:
        self._k = kernel

    def choose(self, process: Process, name: str, prompt: Callable[[], int], needs: Collection[str]) -> str:
        """The kernel's name of the model that a call goes to which names `name`.

        Args:
            process: who makes it.
            name: the kernel's name of the model that it names.
            prompt: gives the most tokens that are asked; looked at only where it matters.
            needs: features without which a model is no use to it.
        """
        model = self._k.endpoint(name)
        if model is None:
            return name
        features = model.features
        if features.routes:
            left = left_permille(self._k.ledger.state.budgets, accounts_of(self._k.ledger.state, process))
            name = routed(name, features.routes, process.qos, prompt(), left)
        elif not features.fallback:
            return name
        return self.instead(name, needs)

    def instead(self, name: str, needs: Collection[str]) -> str:
        """Who is asked where `name` is meant: itself, or the first of its chain that can be asked where it cannot."""
        return stands_in(name, self._fallback, self._able(needs, ())) if self._fallback(name) else name

    def next(self, meant: str, endpoint: str, needs: Collection[str], tried: Collection[str]) -> str:
        """Who is asked after those that were `tried` in vain, `endpoint` last, by a call that names `meant`: of the
        chain of either; "" where there is nobody."""
        able = self._able(needs, tried)
        found = (stands_in(name, self._fallback, able) for name in (endpoint, meant))
        return next((name for name in found if able(name)), "")

    def _able(self, needs: Collection[str], tried: Collection[str]) -> Callable[[str], bool]:
        """Whether a model can be asked, has what is needed, and was not tried."""

        def able(name: str) -> bool:
            model = self._k.endpoint(name)
            return (
                model is not None
                and name not in tried
                and self._k.model_endpoints.well(name)
                and all(getattr(model.features, need) for need in needs)
            )

        return able

    def _fallback(self, name: str) -> tuple[str, ...]:
        model = self._k.endpoint(name)
        return model.features.fallback if model is not None else ()
