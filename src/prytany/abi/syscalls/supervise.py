"""Supervising children, and being told of the ends of others."""

from __future__ import annotations

from prytany.abi.supervision import INTENSITY, PERIOD_MS, Strategy
from prytany.abi.syscalls.form import Argument, Syscall

CALLS = (
    Syscall(
        "process_supervise",
        "proc",
        (
            Argument("strategy", "str", f"{', '.join(Strategy)}: who begins again with a child that failed"),
            Argument("intensity", "int", "more restarts within the period than this, and the caller fails", INTENSITY),
            Argument("period_ms", "int", "the period", PERIOD_MS),
        ),
        "None",
        {},
        "Say how the caller supervises the children that it spawns with `restart`. The kernel does it.",
    ),
)
