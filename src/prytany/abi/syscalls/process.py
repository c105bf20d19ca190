"""Starting, waiting for, signalling and ending processes."""

from __future__ import annotations

from prytany.abi.syscalls.form import Argument, Syscall

_CHILD = Argument("pid", "int", "the process")

CALLS = (
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
            Argument("restarts", "int", "how many times the kernel restarts it when it fails", 0),
            Argument(
                "tools", "list[str] | None", "by name; never more than the caller's; None is what the caller has", None
            ),
            Argument(
                "qos", "str", "its class of service; never above the caller's; empty is what it has by itself", ""
            ),
            Argument("weight", "int", "its share beside others of its class; never above the caller's; 0 is that", 0),
            Argument(
                "budget",
                "dict[str, Any] | None",
                "of it and all below it: tokens, usd, calls, wall_s, processor_s, and per_minute of the first three",
                None,
            ),
            Argument(
                "restart",
                "str",
                "permanent, transient or temporary: the caller supervises it; empty is by `restarts` alone",
                "",
            ),
            Argument("shutdown_ms", "int", "between TERM and KILL when the caller ends it; -1 is the default", -1),
            Argument("progress_ms", "int", "it fails when it does nothing of its own for so long; 0 is any time", 0),
            Argument(
                "ends", "dict[str, Any] | None", "`stdin` and `stdout`: pipes of which the caller has that end", None
            ),
        ),
        "int",
        {
            "ENOENT": "no such program, or no such end of a pipe",
            "EACCES": "it lies where the caller may write",
            "EPERM": "the child would have more than its parent",
            "EAGAIN": "the table, the caller's children or the depth is at its bound; or the caller is being ended",
        },
        "Start a child process and answer its pid at once; it runs when there is a place for it.",
    ),
    Syscall(
        "process_wait",
        "proc",
        (_CHILD,),
        "dict[str, Any]",
        {
            "ECHILD": "no such child, or it was waited for already",
            "EDEADLK": "it waits for the caller, by way of others too; `cycle` says who waits for what",
        },
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
        "process_exec",
        "",
        (Argument("state", "bytes", "what the program begins again with"),),
        "None",
        {},
        "Begin the same program again, with a state and an empty record. Calls in flight end; it has no answer.",
    ),
    Syscall(
        "process_signal",
        "proc",
        (_CHILD, Argument("signal", "int", "its POSIX number")),
        "None",
        {
            "ESRCH": "no such process",
            "EPERM": "it is not a descendant of the caller",
            "EAGAIN": "it does not run now, and could not be told",
        },
        "Send a signal to a descendant.",
    ),
)
