"""Supervising children, and being told of the ends of others."""

from __future__ import annotations

from prytany.abi.supervision import INTENSITY, PERIOD_MS, Strategy
from prytany.abi.syscalls.form import Argument, Syscall

_OTHER = Argument("pid", "int", "a process of the same run or fleet")
_STRANGER = "it is of another run and fleet"
_FULL = "there are too many links and monitors"

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
        {"EINVAL": "there is no such strategy, or a number is out of bounds"},
        "Say how the caller supervises the children that it spawns with `restart`. The kernel does it.",
    ),
    Syscall(
        "process_link",
        "ipc",
        (_OTHER, Argument("trap", "int", "1: the caller gets a message `exit`, whatever the end, and goes on", 0)),
        "None",
        {"ESRCH": "no such process, or it has ended", "EPERM": _STRANGER, "EAGAIN": _FULL},
        "End with another process, where that ends badly; and it with the caller, if it descends from it.",
    ),
    Syscall("process_unlink", "ipc", (_OTHER,), "bool", {}, "Undo a link. False says that there was none."),
    Syscall(
        "process_monitor",
        "ipc",
        (_OTHER,),
        "int",
        {
            "ESRCH": "there never was such a process",
            "EPERM": _STRANGER,
            "EINVAL": "it is the caller",
            "EAGAIN": _FULL,
        },
        "Be told once, by a message `down`, of a process's end or its incarnation's. Answers the monitor's number.",
    ),
    Syscall(
        "process_demonitor",
        "ipc",
        (Argument("ref", "int", "the monitor's number"),),
        "bool",
        {},
        "Be told no more. False says that the message was sent, or that there is no such monitor.",
    ),
)
