"""Budgets, as `abi.control` shows them: made from the fold, and from who waits where a kernel runs."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from prytany.abi.budgets import KINDS, NONE, Bounds
from prytany.abi.control import ROWS_MAX, AccountRow
from prytany.kernel.accounts import accounts_of, stopped_by
from prytany.kernel.letting_go import absent
from prytany.kernel.state import ShardState
from prytany.scheduling.budgets import Account, Amount
from prytany.scheduling.spending import Parked

if TYPE_CHECKING:
    from prytany.kernel.queue_views import Live


def account_rows(state: ShardState, pid: int, after: str, live: Live | None, now_ns: int) -> list[AccountRow]:
    """The accounts of a process, or of all (0), by name after `after`. Raises Esrch."""
    accounts = state.budgets.accounts
    if pid:
        process = state.table.get(pid)
        if process is None:
            raise absent(state.table, pid)
        names: Sequence[str] = [name for name in accounts_of(state, process) if not after]
    else:
        names = heapq.nsmallest(ROWS_MAX, (name for name in accounts if name > after))
    stopped = _stopped(state) if names else {}
    parked = live.model_turns.scheduler.parked if live is not None else Parked()
    return [_row(state, name, accounts[name], parked, stopped, now_ns) for name in names]


def account_row(state: ShardState, name: str, live: Live | None, now_ns: int) -> AccountRow:
    """One account, which there is."""
    parked = live.model_turns.scheduler.parked if live is not None else Parked()
    return _row(state, name, state.budgets.accounts[name], parked, _stopped(state), now_ns)


def owner_of(name: str) -> int:
    """The process that an account belongs to; 0 for a tenant's."""
    kind, _, number = name.partition(":")
    return int(number) if kind != "tenant" and number.isdecimal() else 0


def bounded(bounds: Bounds) -> dict[str, int]:
    """What is bounded, by name."""
    return {key: value for key, value in msgspec.structs.asdict(bounds).items() if value != NONE}


def _stopped(state: ShardState) -> dict[str, list[int]]:
    """Who is stopped for want of which account; looks at every process once."""
    found: dict[str, list[int]] = {}
    for process in state.table.processes.values():
        if name := stopped_by(process):
            pids = found.setdefault(name, [])
            if len(pids) < ROWS_MAX:
                pids.append(process.pid)
    return found


def _row(
    state: ShardState, name: str, account: Account, parked: Parked, stopped: dict[str, list[int]], now_ns: int
) -> AccountRow:
    pid, total = owner_of(name), bounded(account.total)
    process = state.table.get(pid)
    alive = not pid or pid in state.table.estates or (process is not None and (process.alive or process.kin > 0))
    if process is not None and not alive:
        now_ns = process.ended_ns or now_ns  # its time and its minutes stand still
    kinds = [kind for kind in KINDS if kind in total]
    left = {kind: account.left(kind) for kind in kinds}
    if "wall_ms" in total:
        left["wall_ms"] = max(0, account.ends_ns - now_ns) // 1_000_000
    spent = _amount(account.spent)
    if "wall_ms" in total:
        spent["wall_ms"] = max(0, min(now_ns, account.ends_ns) - account.opened_ns) // 1_000_000
    if "processor_ms" in total:
        spent["processor_ms"] = account.processor_us // 1000
        left["processor_ms"] = max(0, total["processor_ms"] - spent["processor_ms"])
    minute = bounded(account.minute)
    return AccountRow(
        account=name, pid=pid, name=process.name if process is not None else "", total=total, minute=minute,
        spent=spent, reserved=_amount(account.reserved), left=left,
        debt={kind: account.debt(kind) for kind in kinds if account.debt(kind)},
        minute_used={kind: account.within_minute(kind, now_ns) for kind in minute}, opened_ns=account.opened_ns,
        ends_ns=account.ends_ns, waiting=parked.waiting(name), stopped=stopped.get(name, []),
        alive=alive, now_ns=now_ns,
    )  # fmt: skip


def _amount(amount: Amount) -> dict[str, int]:
    return {kind: amount.of(kind) for kind in KINDS}
