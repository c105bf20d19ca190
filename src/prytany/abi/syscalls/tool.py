"""Calling the operator's tools."""

from __future__ import annotations

from prytany.abi.syscalls.form import Argument, Syscall

CALLS = (
    Syscall(
        "tool_call",
        "tools",
        (
            Argument("name", "str", "`module.function`, as `tool_list` names it"),
            Argument("arguments", "dict[str, Any]", "by name; checked against the tool's schema", {}),
        ),
        "Any",
        {
            "EPERM": "the tool was not granted to the caller's run",
            "EINVAL": "the arguments do not fit the tool's schema; the message says where",
            "EAGAIN": "too many calls wait for one of its resources",
            "EPOLICY": "the tool is not loaded in this kernel",
            "ETOOL": "the tool raised, or its process ended and trying again did not help; `cause` says which",
            "EINDOUBT": "it was begun, its outcome is not known, and the operator said to go on without it",
        },
        "Call a tool and answer its result. What its effect may have done in a crash is settled as its class says.",
    ),
    Syscall(
        "tool_list",
        "tools",
        (),
        "list[dict[str, Any]]",
        {"EPOLICY": "a tool is not loaded in this kernel"},
        "The tools that the caller may call: name, description, parameters (a JSON Schema) and effect.",
    ),
)
