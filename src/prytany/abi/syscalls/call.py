"""Calls about calls and time."""

from __future__ import annotations

from prytany.abi.syscalls.form import Argument, Syscall

CALLS = (
    Syscall("nop", "", (Argument("data", "bytes", "anything"),), "None", {}, "Do nothing, durably. For measuring."),
    Syscall(
        "timer_wait",
        "",
        (Argument("deadline_ns", "int", "absolute, in the kernel's time; it runs on while the kernel is down"),),
        "None",
        {},
        "Wait for a time.",
    ),
    Syscall(
        "call_cancel",
        "",
        (Argument("call", "int", "the number of one's own call"),),
        "bool",
        {},
        "Cancel a call in flight. The kernel decides the race: False says that the call had its result already.",
    ),
)
