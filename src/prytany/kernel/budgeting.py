"""What an operator does with budgets of processes, by the process that is meant: adds to one, or bounds it anew."""

from __future__ import annotations

from typing import Protocol

from prytany.abi.budgets import (
    AMOUNT_MAX,
    Bounds,
    Budget,
    checked,
    over,
    process_account,
    run_account,
    tenant_account,
    tree_account,
)
from prytany.abi.control import ACCOUNT_KINDS
from prytany.abi.errors import Einval, Enoent, Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.kernel.accounts import accounts_of, stopped_by
from prytany.kernel.budget_views import bounded
from prytany.kernel.exceeding import Exceeding
from prytany.kernel.ledger import TENANT, Ledger
from prytany.kernel.operator import Operator


class Core(Protocol):
    """The kernel, as this sees it."""

    ledger: Ledger
    operator: Operator
    exceeding: Exceeding


def account_meant(k: Core, pid: int, of: str) -> str:
    """The account of a process that is meant by `of`: one of `ACCOUNT_KINDS`, or "" for the one that stopped it, else
    its run's. It need not be there. Raises Esrch, Einval."""
    if of and of not in ACCOUNT_KINDS:
        raise Einval(f"there is no account of a {of[:40]!r}; there are {', '.join(ACCOUNT_KINDS)}")
    if of == "tenant":
        return tenant_account(TENANT)
    process = k.operator.process(pid)
    stopped = stopped_by(process)
    if not of and stopped in k.ledger.state.budgets.accounts:
        return stopped
    root = k.ledger.table.get(process.run)
    if not process.alive and (of in ("process", "tree") or root is None or not (root.alive or root.kin)):
        raise Esrch(f"process {format_pid(Pid(pid))} has ended, and spends nothing any more")
    if of == "process":
        return process_account(pid)
    return tree_account(pid) if of == "tree" else run_account(process.run)  # of nothing said, too


def add(k: Core, pid: int, of: str, more: Bounds, *, uid: int) -> str:
    """Raise an account's bounds; its name. Raises Esrch, Einval, Enoent."""
    name = account_meant(k, pid, of)
    checked(Budget(more))
    account = k.ledger.state.budgets.get(name)
    shown = format_pid(Pid(pid)) if pid else ""
    if account is None:
        there = ", ".join(accounts_of(k.ledger.state, k.operator.process(pid))) if pid else ""
        error = Enoent(f"{name} is not bounded, so nothing can be added to it")
        error.add_note(
            f"bounded are: {there}; name one with --account"
            if there
            else f"bound it with: {_set(shown, of, next(iter(bounded(more)), 'tokens'))}"
        )
        raise error
    had = bounded(account.total)
    for key, value in bounded(more).items():
        if value > 0 and key not in had:
            other = Einval(f"{name} is not bounded in {_word(key)}; it is in {', '.join(map(_word, had)) or 'nothing'}")
            other.add_note(f"bound it with: {_set(shown, of, key)}")
            raise other
        if had.get(key, 0) + max(0, value) > AMOUNT_MAX:
            raise Einval(f"{name} would have more than {AMOUNT_MAX} {_word(key)}: that is no bound")
    k.exceeding.add(name, more, uid=uid)
    return name


def grant(k: Core, pid: int, of: str, budget: Budget, *, uid: int) -> str:
    """Bound an account anew, but for what is `KEPT`; its name. What was spent stays. Raises Esrch, Einval, Enoent."""
    name = account_meant(k, pid, of)
    checked(budget)
    account = k.ledger.state.budgets.get(name)
    had = Budget(account.total, account.minute) if account is not None else Budget()
    k.exceeding.grant(name, over(had, budget), uid=uid)
    return name


def _word(key: str) -> str:
    return {"usd_micros": "usd", "wall_ms": "wall", "processor_ms": "processor"}.get(key, key)


def _set(pid: str, of: str, key: str) -> str:
    amount = {"wall_ms": "wall=1h", "processor_ms": "processor=5m"}.get(key, f"{_word(key)}=N")
    words = ["prytany budget", pid, f"--account {of}" if of else "", f"--set {amount}"]
    return " ".join(filter(None, words))
