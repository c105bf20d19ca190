"""Fleeing: an endpoint fails again and again, and who waits for it goes to who stands in for it.

Each time that its breaker opens, and so each time that it was asked in vain, and when it wants to be left alone for
long: who stands in may have been ill when it opened first, and be well by now. Costs a look at all that waits, where
anybody stands in; a breaker opens seldom, and less often each time.
"""

from __future__ import annotations

from typing import Any, Protocol

from prytany.kernel.models.requests import chat_of, needs_in
from prytany.kernel.models.routes import ModelRoutes
from prytany.memory.contexts import Contexts
from prytany.ports.model import Model
from prytany.process.process import Process
from prytany.process.table import Table
from prytany.scheduling.scheduler import Scheduler


class Turns(Protocol):
    """Turns at models, as those see them who flee."""

    @property
    def scheduler(self) -> Scheduler:
        """What waits."""
        ...

    def moved(self, process: Process, n: int, endpoint: str, needs: tuple[str, ...]) -> None:
        """Open call `n`, which waits for its turn, waits at another endpoint."""
        ...


class Core(Protocol):
    """The kernel, as this sees it."""

    model_routes: ModelRoutes

    @property
    def contexts(self) -> Contexts:
        """Every process's contexts."""
        ...

    @property
    def table(self) -> Table:
        """The process table."""
        ...

    def endpoint(self, name: str) -> Model | None:
        """The model of which that is the kernel's name."""
        ...

    def arguments(self, process: Process, n: int) -> Any:
        """The arguments of an open call; None when it is closed for want of them."""
        ...


def flee(k: Core, turns: Turns, endpoint: str) -> None:
    """Let go elsewhere what waits for `endpoint` and can."""
    model = k.endpoint(endpoint)
    if model is None or not model.features.fallback:
        return
    for wanted in turns.scheduler.waiting_at(endpoint):
        process = k.table.get(wanted.call.agent)
        if process is None or wanted.n not in process.open:
            continue
        if wanted.needs is None:  # an earlier kernel queued it, or its process was stopped meanwhile
            wanted.needs = _needs(k, process, wanted.n)
        if wanted.needs is not None:
            instead = k.model_routes.instead(endpoint, wanted.needs)
            if instead != endpoint:
                turns.moved(process, wanted.n, instead, wanted.needs)


def _needs(k: Core, process: Process, n: int) -> tuple[str, ...] | None:
    """Features of a model without which it is no use to an open call; None where that cannot be read."""
    call = process.open[n]
    if (args := k.arguments(process, n)) is None:
        return None
    if call.call == "model_embed":
        return ("embeddings",)
    head = k.contexts.get(process.pid, args.context) if args.context else None
    return tuple(needs_in(chat_of(args).needs(), head.images if head is not None else 0))
