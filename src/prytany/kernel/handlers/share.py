"""What a child has of class, weight and budget."""

from __future__ import annotations

from typing import Any

from prytany.abi import events as ev
from prytany.abi.budgets import Bounds, Budget, narrower, process_account, read_budget, run_account, tree_account
from prytany.abi.errors import Eperm
from prytany.abi.qos import Qos
from prytany.kernel.handlers.schedule import class_of, weight_of
from prytany.process.process import Process

CALL = "process_spawn"


def lower(p: Process, a: Any, qos: int) -> int:
    """The class of a child that has `qos` by itself: its parent can ask for less. Raises Einval, Eperm."""
    asked = class_of(a.qos, qos)
    if a.qos and asked < min(p.qos, qos):
        raise Eperm(f"a class above {Qos(min(p.qos, qos)).name.lower()} is not the caller's to give", call=CALL)
    return asked


def lighter(p: Process, a: Any, weight: int) -> int:
    """The same of its weight."""
    asked = weight_of(a.weight, weight)
    if a.weight and asked > max(p.weight, weight):
        raise Eperm(f"a weight above {max(p.weight, weight)} is not the caller's to give", call=CALL)
    return asked


def granted(
    pid: int, sender: int, asked: dict[str, Any] | None, agent: ev.AgentDeclared | None = None
) -> list[ev.Event]:
    """The budgets of a new process: what its fleet grants each of its agent, and what its parent says of it and all
    that is below it. Where both bound the same, the lower one holds. Raises Einval."""
    found: dict[str, Budget] = {}
    if agent is not None and agent.budget is not None:
        found[tree_account(pid) if agent.budget_tree else process_account(pid)] = agent.budget
    if asked is not None:
        budget, account = read_budget(asked), tree_account(pid)
        had = found.get(account, Budget())
        found[account] = Budget(narrower(had.total, budget.total), narrower(had.minute, budget.minute))
    return [
        ev.BudgetGranted(account, budget.total, budget.minute, sender)
        for account, budget in found.items()
        if budget != Budget()
    ]


def run_granted(run: int, budget: Budget, sender: int) -> list[ev.Event]:
    """What a run may take in all; nothing where it is not bounded."""
    if budget == Budget():
        return []
    bounds: tuple[Bounds, Bounds] = (budget.total, budget.minute)
    return [ev.BudgetGranted(run_account(run), *bounds, sender)]
