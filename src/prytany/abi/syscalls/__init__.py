"""The system-call table, as data.

Stubs (`userland/calls.py`) and the manual page (`docs/manual/syscalls.md`) are generated from it, the trap decodes
arguments by it, and a test holds the handlers to the errors that it lists. A call is never removed or changed in
meaning; arguments are added at the end, with a default. Source of the form: seL4's interface tables.
"""

from __future__ import annotations

from prytany.abi.syscalls import (
    call,
    context,
    file,
    handoff,
    lock,
    message,
    model,
    pipe,
    process,
    schedule,
    segment,
    supervise,
    tool,
    topic,
)  # fmt: skip
from prytany.abi.syscalls.form import Argument, Syscall, arguments_type

__all__ = ["COMMON_ERRORS", "PLEDGES", "SYSCALLS", "TABLE", "Argument", "Syscall", "arguments_type"]

COMMON_ERRORS: dict[str, str] = {
    "EPERM": "the call's class is not in the caller's pledge; or there is no such call",
    "EINVAL": "an argument is missing, of the wrong type, or too large, or there are too many",
    "EAGAIN": "too many of the caller's calls are in flight",
    "EDQUOT": "a share of the journal is used up; `cause` says whether the process's, its tenant's, or its history's",
    "EIO": "content that the journal named is missing or was forgotten; or a driver failed, or gave too large a result",
    "ECANCELED": "the caller cancelled the call before it had a result",
}

PLEDGES: dict[str, str] = {
    "proc": "start, wait for and signal processes",
    "pipe": "write and read streams, and join children by them",
    "ipc": "send and receive messages, lock names, share values, publish events, within the same run or fleet",
    "model": "ask models, and keep conversations with them",
    "tools": "call tools",
    "files.read": "read unveiled files",
    "files.write": "write unveiled files",
}
"""The classes that a process can pledge."""

SYSCALLS: tuple[Syscall, ...] = (
    *call.CALLS, *process.CALLS, *message.CALLS, *model.CALLS, *context.CALLS, *file.CALLS,
    *tool.CALLS, *schedule.CALLS, *lock.CALLS, *segment.CALLS, *handoff.CALLS, *supervise.CALLS, *topic.CALLS,
    *pipe.CALLS,
)  # fmt: skip

TABLE: dict[str, Syscall] = {call.name: call for call in SYSCALLS}
