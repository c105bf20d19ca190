"""An agent of a fleet, and whether it can be bounded in money: what everybody looks up who starts one."""

from __future__ import annotations

from collections.abc import Iterable

from prytany.abi import events as ev
from prytany.abi.budgets import NONE, Budget
from prytany.abi.errors import Einval, Enoent
from prytany.kernel.outcome import Context
from prytany.supervision.fleets import Fleet


def check_price(k: Context, name: str, budgets: Iterable[Budget | None]) -> None:
    """Raise Einval where money is to bound what asks a model that nobody knows the price of.

    Args:
        k: the kernel.
        name: its name of the model.
        budgets: of what asks it.
    """
    model = k.endpoint(name)
    if model is None or model.features.prices is not None:
        return
    if any(b is not None and max(b.total.usd_micros, b.minute.usd_micros) > NONE for b in budgets):
        unpriced = Einval(f"a budget in money bounds nothing: nobody knows what the model {model.name!r} costs")
        unpriced.add_note("name a model with `prices` in the fleet file, or bound `tokens` instead of `usd`")
        raise unpriced


def agent_of(fleet: Fleet, name: str) -> ev.AgentDeclared:
    """The agent of a fleet; raises Enoent."""
    agent = fleet.agents.get(name)
    if agent is None:
        there = ", ".join(sorted(fleet.agents)) or "none"
        raise Enoent(f"there is no agent {name[:100]!r} in the fleet {fleet.name!r}; there are {there}")
    return agent
