"""Class of service, weight and deadline of processes, and what they may still spend."""

from __future__ import annotations

from typing import Any

from prytany.abi import events as ev
from prytany.abi.budgets import Bounds
from prytany.abi.errors import Einval, Eperm, Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.abi.qos import QOS, WEIGHT_MAX, Qos
from prytany.kernel.outcome import Context, Done
from prytany.process.process import Process
from prytany.scheduling.budgets import Account, Amount

DEADLINE_MS_MAX = 366 * 24 * 3_600_000
CALL = "agent_schedule"


def sys_agent_schedule(k: Context, p: Process, n: int, a: Any) -> Done:
    """Of oneself and of descendants; nobody gives more than it has, nor itself more than it was started with."""
    target = p if a.pid in (0, p.pid) else k.table.get(a.pid)
    if target is None or not target.alive:
        raise Esrch(f"there is no process {format_pid(Pid(a.pid))} that goes on", call=CALL)
    if target is not p and not k.table.descends(target.pid, p.pid):
        raise Eperm(f"process {format_pid(Pid(a.pid))} is not a descendant of this process", call=CALL)
    scheduled = schedule(target, a.qos, a.weight, a.deadline_ms, p.pid, k.now_ns())
    most, weight = (p.qos_most, p.weight_most) if target is p else (p.qos, p.weight)
    if a.qos and scheduled.qos < most:
        raise Eperm(f"a class above {Qos(most).name.lower()} is not the caller's to give", call=CALL)
    if a.weight and scheduled.weight > weight:
        raise Eperm(f"a weight above {weight} is not the caller's to give", call=CALL)
    return Done({"qos": Qos(scheduled.qos).name.lower(), "weight": scheduled.weight}, after=(scheduled,))


def schedule(p: Process, qos: str, weight: int, deadline_ms: int, sender: int, now_ns: int) -> ev.ProcessScheduled:
    """The event that gives `p` what is said, and leaves the rest as it is.

    Args:
        p: the process.
        qos: a class by name; "" for its own.
        weight: 0 for its own.
        deadline_ms: from now; 0 for none, -1 for its own.
        sender: who says so: a pid, or -1 - uid.
        now_ns: the kernel's time.

    Raises:
        Einval: there is no such class, or a number is out of range.
    """
    if deadline_ms < -1 or deadline_ms > DEADLINE_MS_MAX:
        raise Einval(f"a deadline is from 0 to {DEADLINE_MS_MAX} ms from now, or -1", call=CALL)
    deadline_ns = p.deadline_ns if deadline_ms < 0 else now_ns + deadline_ms * 1_000_000 if deadline_ms else 0
    return ev.ProcessScheduled(p.pid, class_of(qos, p.qos), weight_of(weight, p.weight), deadline_ns, sender)


def class_of(qos: str, otherwise: int) -> int:
    """A class by its name; `otherwise` for "". Raises Einval."""
    if qos and qos not in QOS:
        raise Einval(f"there is no class {qos[:40]!r}; there are {', '.join(QOS)}")
    return QOS[qos] if qos else otherwise


def weight_of(weight: int, otherwise: int) -> int:
    """A weight; `otherwise` for 0. Raises Einval."""
    if not 0 <= weight <= WEIGHT_MAX:
        raise Einval(f"a weight is from 1 to {WEIGHT_MAX}")
    return weight or otherwise


def sys_budget_read(k: Context, p: Process, n: int, a: Any) -> Done:
    """The accounts that the caller's calls are set aside in."""
    accounts = k.budgets.accounts
    return Done([budget_view(name, accounts[name]) for name in k.accounts_of(p)])


def budget_view(name: str, account: Account) -> dict[str, Any]:
    """One account, as it is shown; money in dollars."""
    return {
        "account": name,
        "bounds": _bounds(account.total),
        "per_minute": _bounds(account.minute),
        "spent": {**_amount(account.spent), "processor_s": account.processor_us / 1_000_000},
        "reserved": _amount(account.reserved),
        "ends_ns": account.ends_ns,
    }


def _bounds(bounds: Bounds) -> dict[str, Any]:
    said = {
        "tokens": bounds.tokens, "usd": bounds.usd_micros, "calls": bounds.calls, "wall_s": bounds.wall_ms,
        "processor_s": bounds.processor_ms,
    }  # fmt: skip
    units = {"usd": 1_000_000, "wall_s": 1_000, "processor_s": 1_000}
    return {key: value / units[key] if key in units else value for key, value in said.items() if value >= 0}


def _amount(amount: Amount) -> dict[str, Any]:
    return {"tokens": amount.tokens, "usd": amount.usd_micros / 1_000_000, "calls": amount.calls}
