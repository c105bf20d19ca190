"""What `up --budget` said of each run of a fleet, over what its file says: by the names of bounds, with `/min` behind
those within a minute, and NONE for one that is taken away. What is not said stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from prytany.abi.budgets import AMOUNT_MAX, KEPT, KINDS, NONE, RUN_DEFAULT, Bounds, Budget, over

A_MINUTE = "/min"
Said = dict[str, int]


def said_of(budget: Budget | None) -> Said:
    """The same of a budget as the command line reads it."""
    if budget is None:
        return {}
    total = {name: value for name, value in msgspec.structs.asdict(budget.total).items() if value != KEPT}
    minute = {name: value for name in KINDS if (value := budget.minute.of(name)) != KEPT}
    return total | {f"{name}{A_MINUTE}": value for name, value in minute.items()}


def with_said(budget: Budget | None, said: Mapping[str, int]) -> Budget | None:
    """What a run may spend whose fleet's file says `budget`; None where nobody said anything."""
    if not said:
        return budget
    total = {name: said.get(name, KEPT) for name in Bounds.__struct_fields__}
    minute = {name: said.get(f"{name}{A_MINUTE}", KEPT) for name in KINDS}
    kept = {name: KEPT for name in Bounds.__struct_fields__ if name not in KINDS}
    return over(budget or RUN_DEFAULT, Budget(Bounds(**total), Bounds(**minute, **kept)))


def said_faults(said: Mapping[str, int]) -> Iterator[str]:
    """What of it nobody can have said."""
    known = {*Bounds.__struct_fields__, *(f"{name}{A_MINUTE}" for name in KINDS)}
    for name, value in said.items():
        if name not in known:
            yield f"there is no bound {name[:40]!r}"
        elif not NONE <= value <= AMOUNT_MAX:
            yield f"{name} is from 0 to {AMOUNT_MAX}"


def in_money(said: Mapping[str, int]) -> bool:
    """Whether it bounds money."""
    return any(said.get(f"usd_micros{span}", NONE) > NONE for span in ("", A_MINUTE))
