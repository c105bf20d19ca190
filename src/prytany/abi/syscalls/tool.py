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
            "EDEADLK": "nobody of those that wait for each other could have gone on; `cycle` says who waits for what",
            "EINDOUBT": "it was begun, its outcome is not known, and the operator said to go on without it",
        },
        "Call a tool and answer its result. What its effect may have done in a crash is settled as its class says.",
    ),
    Syscall(
        "tool_hold",
        "tools",
        (
            Argument("name", "str", "of a tool, as `tool_list` has it"),
            Argument("arguments", "dict[str, Any]", "those by which it says what it needs", {}),
            Argument("timeout_ms", "int", "how long to wait, counted while the kernel is down too; 0 is for ever", 0),
        ),
        "int",
        {
            "EPERM": "the tool was not granted to the caller's run",
            "EINVAL": "the arguments do not fit, or the tool needs nothing to itself; or a time is out of bounds",
            "EAGAIN": "too many calls wait for one of its resources, or the caller holds too many",
            "EPOLICY": "the tool is not loaded in this kernel",
            "ETIMEDOUT": "it was not the caller's turn in time",
            "EDEADLK": "nobody of those that wait for each other could have gone on; `cycle` says who waits for what",
        },
        "Wait until what a call of the tool would need is the caller's, over all its calls, and answer its number.",
    ),
    Syscall(
        "tool_release",
        "tools",
        (Argument("hold", "int", "what `tool_hold` answered"),),
        "bool",
        {},
        "Let go of it: others have it when nothing of the caller's is under way there. False: it was not held.",
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
