"""What is next: class of service, weight, deadline, and what may still be spent."""

from __future__ import annotations

from prytany.abi.syscalls.form import Argument, Syscall

CALLS = (
    Syscall(
        "agent_schedule",
        "",
        (
            Argument("pid", "int", "the caller (0), or a descendant of it", 0),
            Argument("qos", "str", "interactive, initiated, utility or background; empty leaves it as it is", ""),
            Argument("weight", "int", "its share beside others of its class, from 1; 0 leaves it as it is", 0),
            Argument(
                "deadline_ms",
                "int",
                "within which its model calls are to begin, from now; 0 for none, -1 leaves it as it is",
                -1,
            ),
        ),
        "dict[str, Any]",
        {
            "ESRCH": "no such process",
            "EPERM": "it is not a descendant of the caller, or would get more than it was started with",
        },
        "Change class, weight or deadline of a running agent, also for calls that wait; answers what it has then.",
    ),
    Syscall(
        "budget_read",
        "",
        (),
        "list[dict[str, Any]]",
        {},
        "What the caller's budgets bound, and what of each is spent and set aside: its own, its trees' and its run's.",
    ),
)
