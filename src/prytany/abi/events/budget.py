"""Events of budgets."""

from __future__ import annotations

import msgspec

from prytany.abi.budgets import UNBOUNDED, Bounds


class BudgetGranted(msgspec.Struct, array_like=True, frozen=True, tag="budget.granted/1"):
    """An account has these bounds: a new one, or one that goes on with what it spent.

    Accounts are named by whom they belong to: `process:12`, `tree:12`, `run:3`, `tenant:0`. `sender` is a pid,
    -1 - uid of an operator, or 0 for the kernel itself, which bounds a run of which nobody said anything.
    """

    account: str
    total: Bounds
    minute: Bounds = UNBOUNDED
    sender: int = 0


class BudgetAdded(msgspec.Struct, array_like=True, frozen=True, tag="budget.added/1"):
    """Each bound in total that the account has is raised by what `more` says of it."""

    account: str
    more: Bounds
    sender: int


class BudgetExceeded(msgspec.Struct, array_like=True, frozen=True, tag="budget.exceeded/1"):
    """A process asked for more than an account can ever give as it is bounded, or the account's time is up; the process
    is stopped in the same entry. `kind` is one of tokens, usd_micros, calls and wall_ms; `minute` says of which bound
    that is.
    """

    pid: int
    account: str
    kind: str
    bound: int
    left: int
    minute: bool = False
