"""What a budget bounds. Money is whole millionths of a dollar."""

from __future__ import annotations

import msgspec

NONE = -1
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
RUN_DEFAULT = Bounds(tokens=1_000_000, usd_micros=5_000_000)
"""Of a run for which nobody said anything."""


class Budget(msgspec.Struct, array_like=True, frozen=True):
    """In total, and within any minute."""

    total: Bounds = UNBOUNDED
    minute: Bounds = UNBOUNDED


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
