"""What a budget bounds. Money is whole millionths of a dollar."""

from __future__ import annotations

import math
from typing import Any, cast

import msgspec

from prytany.abi.errors import Einval

NONE = -1
KEPT = -2
"""In an operator's command: the bound stays what it is."""
KINDS = ("tokens", "usd_micros", "calls")


class Bounds(msgspec.Struct, array_like=True, frozen=True):
    """What may be taken; `NONE` where that is not bounded."""

    tokens: int = NONE
    usd_micros: int = NONE
    calls: int = NONE
    wall_ms: int = NONE
    """From the grant on, downtime too."""
    processor_ms: int = NONE
    """Of workers, user and system time; in total alone."""

    def of(self, kind: str) -> int:
        """Of one of `KINDS`."""
        value: int = getattr(self, kind)
        return value


UNBOUNDED = Bounds()


class Budget(msgspec.Struct, array_like=True, frozen=True):
    """In total, and within any minute."""

    total: Bounds = UNBOUNDED
    minute: Bounds = UNBOUNDED


RUN_DEFAULT = Budget(Bounds(tokens=1_000_000, usd_micros=5_000_000))
"""Of a run for which nobody said anything."""
AMOUNT_MAX = 1 << 50
"""Of each kind; beyond it nothing is bounded."""
_READ = {
    "tokens": "tokens", "usd": "usd_micros", "calls": "calls", "wall_s": "wall_ms", "processor_s": "processor_ms",
}  # fmt: skip
_TIMES = {"tokens": 1, "usd": 1_000_000, "calls": 1, "wall_s": 1_000, "processor_s": 1_000}


def read_budget(said: dict[str, Any]) -> Budget:
    """A budget as people and programs write it: `tokens`, `usd`, `calls`, `wall_s` and `processor_s` in total, and
    the first three below `per_minute`. Raises Einval."""
    minute: Any = said.get("per_minute", {})
    if not isinstance(minute, dict):
        raise Einval("a budget's per_minute is a map of tokens, usd and calls")
    total = {key: value for key, value in said.items() if key != "per_minute"}
    return Budget(_bounds(total, tuple(_READ)), _bounds(cast("dict[str, Any]", minute), ("tokens", "usd", "calls")))


def over(base: Budget, said: Budget | None) -> Budget:
    """What `said` says, over `base` where it says `KEPT`, or nothing at all."""
    if said is None:
        return base
    return Budget(_over(base.total, said.total), _over(base.minute, said.minute))


def _over(base: Bounds, said: Bounds) -> Bounds:
    pairs = zip(msgspec.structs.astuple(base), msgspec.structs.astuple(said), strict=True)
    return Bounds(*(before if new == KEPT else new for before, new in pairs))


def checked(budget: Budget | None) -> Budget | None:
    """A budget that came from elsewhere, `KEPT` in it or not. Raises Einval."""
    for bounds in (budget.total, budget.minute) if budget is not None else ():
        for key, value in msgspec.structs.asdict(bounds).items():
            if not KEPT <= value <= AMOUNT_MAX:
                raise Einval(f"a budget's {key} is from 0 to {AMOUNT_MAX}")
    if budget is not None and any(v >= 0 for k, v in msgspec.structs.asdict(budget.minute).items() if k not in KINDS):
        raise Einval(f"within a minute {', '.join(KINDS)} are bounded, and nothing else")
    return budget


def narrower(one: Bounds, other: Bounds) -> Bounds:
    """What both allow."""
    pairs = zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)
    return Bounds(*(max(a, b) if NONE in (a, b) else min(a, b) for a, b in pairs))


def _bounds(said: dict[str, Any], keys: tuple[str, ...]) -> Bounds:
    found: dict[str, int] = {}
    for key, value in said.items():
        if key not in keys:
            raise Einval(f"a budget has no {str(key)[:40]!r}; it has {', '.join(keys)}")
        whole = key in ("tokens", "calls")
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise Einval(f"a budget's {key} is {'a whole' if whole else 'a'} number")
        if not (math.isfinite(value) and 0 <= value * _TIMES[key] <= AMOUNT_MAX):
            raise Einval(f"a budget's {key} is from 0 to {AMOUNT_MAX // _TIMES[key]}")
        found[_READ[key]] = math.floor(value * _TIMES[key])
    return Bounds(**found)


def process_account(pid: int) -> str:
    """What a process itself takes."""
    return f"process:{pid}"


def tree_account(pid: int) -> str:
    """What a process and all below it take."""
    return f"tree:{pid}"


def run_account(run: int) -> str:
    """What a run takes."""
    return f"run:{run}"


def tenant_account(tenant: int) -> str:
    """What all runs of a tenant take."""
    return f"tenant:{tenant}"
