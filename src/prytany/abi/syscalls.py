"""The system-call table, as data.

Stubs (`userland/calls.py`) and the manual page (`docs/manual/syscalls.md`) are generated from it, the trap decodes
arguments by it, and a test holds the handlers to the errors that it lists. A call is never removed or changed in
meaning; arguments are added at the end, with a default. Source of the form: seL4's interface tables.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec


class Argument(NamedTuple):
    """One argument; `type` is written as in an annotation, `default` is for callers of an older table."""

    name: str
    type: str
    meaning: str
    default: object = msgspec.NODEFAULT


class Syscall(NamedTuple):
    """One call."""

    name: str
    pledge: str
    """The class that a process must have pledged, or "" for what every process may."""
    arguments: tuple[Argument, ...]
    result: str
    errors: dict[str, str]
    """What it can end with, and why; beside the ones that any call can (`COMMON_ERRORS`)."""
    meaning: str
    since: str = "0.1"


COMMON_ERRORS: dict[str, str] = {
    "EPERM": "the call's class is not in the caller's pledge; or there is no such call",
    "EINVAL": "an argument is missing, of the wrong type, or too large",
    "EAGAIN": "too many of the caller's calls are in flight",
    "EDQUOT": "the caller's share of the journal is used up",
    "ECANCELED": "the caller cancelled the call before it had a result",
}

PLEDGES: dict[str, str] = {
    "proc": "start, wait for and signal processes",
    "model": "ask models",
    "tools": "call tools",
    "files.read": "read unveiled files",
    "files.write": "write unveiled files",
}
"""The classes that a process can pledge."""

_CHILD = Argument("pid", "int", "the process")

SYSCALLS: tuple[Syscall, ...] = (
    Syscall("nop", "", (Argument("data", "bytes", "anything"),), "None", {}, "Do nothing, durably. For measuring."),
    Syscall(
        "process_spawn",
        "proc",
        (
            Argument("program", "str", "`file.py:function`, or `:function` for one beside the caller's own"),
            Argument("args", "list[Any]", "its positional arguments"),
            Argument("kwargs", "dict[str, Any]", "its keyword arguments", {}),
            Argument("name", "str", "shown to people; the function's name by default", ""),
            Argument(
                "pledge",
                "list[str] | None",
                "its classes; never more than the caller's; None is what the program declares",
                None,
            ),
        ),
        "int",
        {
            "ENOENT": "no such program",
            "EPERM": "the child would have more than its parent",
            "EAGAIN": "the table, the caller's children or the depth is at its bound",
        },
        "Start a child process and answer its pid at once; it runs when there is a place for it.",
    ),
    Syscall(
        "process_wait",
        "proc",
        (_CHILD,),
        "dict[str, Any]",
        {"ECHILD": "no such child, or it was waited for already"},
        "Wait until a child has terminated, answer its status, reason and result, and reap it.",
    ),
    Syscall(
        "process_exit",
        "",
        (
            Argument("status", "int", "0 is success, to 255"),
            Argument("result", "Any", "handed to whoever waits", None),
            Argument("error", "dict[str, Any] | None", "type, message and traceback, where the program failed", None),
        ),
        "None",
        {},
        "End the calling process. It has no answer.",
    ),
    Syscall(
        "process_signal",
        "proc",
        (_CHILD, Argument("signal", "int", "its POSIX number")),
        "None",
        {"ESRCH": "no such process", "EPERM": "it is not a descendant of the caller"},
        "Send a signal to a descendant.",
    ),
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
    Syscall(
        "model_chat",
        "model",
        (
            Argument("messages", "list[dict[str, Any]]", "role and content, OpenAI's chat form"),
            Argument("model", "str", "the model's name; the default one when empty", ""),
            Argument("options", "dict[str, Any]", "max_tokens, temperature, seed, stop, schema, tools", {}),
        ),
        "dict[str, Any]",
        {
            "ENOENT": "no model of that name",
            "EMODEL": "the endpoint failed, and trying again did not help; `cause` says how",
        },
        "Ask a model, and answer text, tool_calls, finish and usage.",
    ),
    Syscall(
        "file_read",
        "files.read",
        (Argument("path", "str", "below an unveiled folder, as the program names it"),),
        "bytes",
        {
            "ENOENT": "no such file",
            "EACCES": "not unveiled for reading, or it climbs or links out of what is",
            "EINVAL": "not a regular file, or too large for one call",
            "EIO": "the disk failed",
        },
        "Read a whole file.",
    ),
    Syscall(
        "file_write",
        "files.write",
        (
            Argument("path", "str", "below a folder unveiled for writing"),
            Argument("data", "bytes", "the whole content"),
        ),
        "int",
        {
            "ENOENT": "the folder does not exist",
            "EACCES": "not unveiled for writing, protected, or it climbs or links out of what is unveiled",
            "EINVAL": "not a regular file",
            "ENOSPC": "the disk is full; the old content stands",
            "EIO": "the disk failed; the old content stands",
        },
        "Put a whole file in place at once, and answer its size in bytes. The same content again changes nothing.",
    ),
    Syscall(
        "file_list",
        "files.read",
        (Argument("path", "str", "an unveiled folder, or one below it"),),
        "list[str]",
        {
            "ENOENT": "no such folder",
            "EACCES": "not unveiled for reading, or it climbs or links out of what is",
            "EINVAL": "not a folder, or too many names",
            "EIO": "the disk failed",
        },
        "The names in a folder, sorted; a folder's ends in `/`.",
    ),
)

TABLE: dict[str, Syscall] = {call.name: call for call in SYSCALLS}

_TYPES: dict[str, Any] = {
    "Any": Any,
    "bytes": bytes,
    "int": int,
    "str": str,
    "list[Any]": list[Any],
    "list[str] | None": list[str] | None,
    "dict[str, Any]": dict[str, Any],
    "dict[str, Any] | None": dict[str, Any] | None,
    "list[dict[str, Any]]": list[dict[str, Any]],
}


def arguments_type(call: Syscall) -> type[msgspec.Struct]:
    """The array-like record that the arguments of `call` decode to."""
    fields: list[Any] = []
    for a in call.arguments:
        if a.default is msgspec.NODEFAULT:
            fields.append((a.name, _TYPES[a.type]))
        elif isinstance(a.default, dict):
            fields.append((a.name, _TYPES[a.type], msgspec.field(default_factory=dict)))
        else:
            fields.append((a.name, _TYPES[a.type], a.default))
    return msgspec.defstruct(call.name, fields, array_like=True, frozen=True)
