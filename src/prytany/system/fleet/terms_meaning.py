"""What a fleet can have wrong in what it says of turns and budgets; of a fleet file, and of a resolved one alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from prytany.drivers.models.prices import listed_prices
from prytany.system.fleet.form import Model
from prytany.system.fleet.form_terms import (
    FALLBACKS_MAX,
    ROUTES_MAX,
    AgentBudget,
    AgentBudgeted,
    Route,
    RunBudget,
    RunBudgeted,
)
from prytany.system.wording import meant, quoted

Path = tuple[str | int, ...]
Found = Iterator[tuple[Path, str]]
"""Where, and what is wrong."""


def model_faults(name: str, model: Model, models: Mapping[str, Model], path: Path) -> Found:
    """Of one model: who gives way there, and where else its calls go."""
    if model.preempts == "saved" and model.driver != "local":
        what = "only a `local` model's slots can be saved; what an endpoint generates can be `undelivered`"
        yield (*path, "preempts"), what
    fallback = model.fallback or []
    if len(fallback) > FALLBACKS_MAX:
        yield (*path, "fallback"), f"there are {len(fallback)}; {FALLBACKS_MAX} are the most"
    for at, other in enumerate(fallback[: FALLBACKS_MAX + 1]):
        yield from _other(name, other, models, (*path, "fallback", at))
        if other in fallback[:at]:
            yield (*path, "fallback", at), f"{quoted(other)} stands there before"
    routes = model.routes or []
    if len(routes) > ROUTES_MAX:
        yield (*path, "routes"), f"there are {len(routes)}; {ROUTES_MAX} are the most"
    for at, route in enumerate(routes[: ROUTES_MAX + 1]):
        yield from _other(name, route.model, models, (*path, "routes", at, "model"))
        yield from _route(route, (*path, "routes", at))


def _route(route: Route, path: Path) -> Found:
    if not route.says:
        yield path, "say which calls: `qos`, `prompt_min`, `prompt_max` or `budget_below`"
    if route.qos == []:
        yield (*path, "qos"), "name one class at least"
    if route.prompt_max is not None and (route.prompt_min or 0) > route.prompt_max:
        yield path, "`prompt_min` is more than `prompt_max`: no call fits both"


def _other(name: str, other: str, models: Mapping[str, Model], path: Path) -> Found:
    if other == name:
        yield path, "that is the model itself"
    elif other not in models:
        yield path, f"there is no model {quoted(other)}{meant(other, models)}"


def budget_faults(budget: RunBudgeted | AgentBudgeted | None, path: Path) -> Found:
    """Of one budget: one that bounds nothing is more likely forgotten than meant."""
    if not isinstance(budget, RunBudget):
        return
    if budget.known == RunBudget().known:
        keys = "`tokens`, `usd`, `calls`, `wall_s`, `processor_s`, or `per_minute`"
        yield path, f"say what it bounds: {keys}; or write `unlimited`"


class Asks(NamedTuple):
    """Which models an agent may ask, its own first, and which agents it may start."""

    models: Sequence[str]
    spawns: Sequence[str]


def asks_of(
    kind: str, model: str, pledge: Sequence[str] | None, spawns: Sequence[str], models: Iterable[str]
) -> Asks:  # fmt: skip
    """What an agent of that kind may: a chat agent asks its own model alone, a program any that it names."""
    if kind == "chat":
        return Asks([model], spawns)
    return Asks([model, *models] if pledge is None or "model" in pledge else [], spawns)


def price_faults(
    budget: RunBudgeted | AgentBudgeted | None, of: Iterable[str], asks: Mapping[str, Asks],
    models: Mapping[str, Model], path: Path,
) -> Found:  # fmt: skip
    """Of a budget in money: every model that what it bounds may ask has to have a price.

    Args:
        budget: whose.
        of: the agents whose it is; those that they may start count unless it is that of a process alone.
        asks: what each agent may.
        models: of the fleet.
        path: of the budget.
    """
    at = budget.in_money if isinstance(budget, RunBudget) else None
    if at is None:
        return
    alone = isinstance(budget, AgentBudget) and budget.of == "process"
    agents, told = list(of), set[str]()
    for agent in agents:
        agents += [name for name in asks[agent].spawns if not alone and name in asks and name not in agents]
        for name in _reached(asks[agent].models, models):
            if name not in told and not _priced(models[name]):
                told.add(name)
                yield (
                    (*path, *at),
                    f"money bounds nothing here: nobody knows what the model {name} costs, which {agent} may ask; say "
                    f"its `prices` (0 where it is free), or bound `tokens` instead",
                )


def _reached(first: Iterable[str], models: Mapping[str, Model]) -> list[str]:
    """Models, and where their calls may go instead; nothing for one that there is not."""
    found = [name for name in dict.fromkeys(first) if name in models]
    for name in found:
        others = [*(models[name].fallback or ()), *(route.model for route in models[name].routes or ())]
        found += [other for other in dict.fromkeys(others) if other in models and other not in found]
    return found


def _priced(model: Model) -> bool:
    return (
        model.driver != "openai"
        or model.prices is not None
        or listed_prices(model.model or "", model.base_url or "") is not None
    )
