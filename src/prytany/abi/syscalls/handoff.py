"""Handing over: a process goes on as another agent."""

from __future__ import annotations

from prytany.abi.syscalls.form import Argument, Syscall

CALLS = (
    Syscall(
        "agent_handoff",
        "",
        (
            Argument("agent", "str", "which of those that `handoff` of the caller's agent names"),
            Argument("args", "list[Any]", "positional arguments of its program", []),
            Argument("context", "int", "the number of the caller's context that goes on with it; 0 for none", 0),
            Argument("variables", "dict[str, Any]", "plain data for it", {}),
            Argument("reason", "str", "why, for it and for people", ""),
            Argument("heard", "bool", "the context holds what the messages in hand say", False),
        ),
        "None",
        {
            "EPERM": "`handoff` of the caller's agent does not name that one, or it was withdrawn",
            "ENOENT": "the caller has no context of that number",
            "EDEADLK": "agents hand over to each other, again and again, and nothing is done in between",
            "ECANCELED": "the caller was told to end",
        },
        "Go on as another agent of the fleet, which gets what is in hand. It has no answer.",
    ),
)
