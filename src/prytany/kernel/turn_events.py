"""The events of a call's turns at models: that it waits, and that an attempt begins."""

from __future__ import annotations

from collections.abc import Sequence

from prytany.abi import events as ev
from prytany.process.process import Reservation


def reserved_in(
    pid: int, n: int, most: ev.ModelReserved | Reservation, accounts: Sequence[str]
) -> ev.ModelReserved:  # fmt: skip
    """An attempt at call `n` begins, set aside in those accounts."""
    return ev.ModelReserved(
        pid, n, most.model, most.prompt_tokens, most.completion_tokens, most.cost_usd_micros, most.priced,
        most.endpoint, list(accounts),
    )  # fmt: skip


def queued(pid: int, n: int, most: ev.ModelReserved | Reservation) -> ev.ModelQueued:
    """Call `n` waits for its turn."""
    return ev.ModelQueued(
        pid, n, most.model, most.prompt_tokens, most.completion_tokens, most.cost_usd_micros, most.priced,
        most.endpoint,
    )  # fmt: skip
