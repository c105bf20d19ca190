"""Contexts: conversations that the kernel keeps, as chains of hashes."""

from __future__ import annotations

from prytany.abi.syscalls.form import Argument, Syscall

_CONTEXT = Argument("context", "int", "the number of one's own context")
_ABSENT = "the caller has no context of that number"
_LOST = "content of it was forgotten or damaged"

CALLS = (
    Syscall(
        "context_open",
        "model",
        (
            Argument("messages", "list[dict[str, Any]]", "what it begins with, such as a system message; may be empty"),
            Argument("labels", "list[str] | None", "of the whole context; they are in every node's hash", None),
        ),
        "dict[str, Any]",
        {"EDQUOT": "the caller has too many contexts, or the messages are too large for one"},
        "Open a context, and answer its number as `context`, its head as `node`, and its `length` in messages.",
    ),
    Syscall(
        "context_append",
        "model",
        (
            _CONTEXT,
            Argument("messages", "list[dict[str, Any]]", "role and content, OpenAI's chat form"),
            Argument(
                "source", "str", "`user`, `tool:NAME` or `agent:PID`, on the caller's word; the caller, if empty", ""
            ),
            Argument("labels", "list[str] | None", "of these messages; the context has them from here on", None),
        ),
        "dict[str, Any]",
        {
            "ENOENT": _ABSENT,
            "EBUSY": "a model is being asked in it",
            "EDQUOT": "it is full",
            "EPERM": "only the kernel says that the operator or a model said something",
        },
        "Append messages, and answer `context`, `node` and `length`.",
    ),
    Syscall(
        "context_fork",
        "model",
        (_CONTEXT, Argument("node", "bytes", "where; the head when empty", b"")),
        "dict[str, Any]",
        {
            "ENOENT": f"{_ABSENT}, or it has no such node",
            "EDQUOT": "the caller has too many contexts",
            "EIO": _LOST,
        },
        "Open a second context that shares all up to a node, copying nothing. Answers as `context_open` does.",
    ),
    Syscall(
        "context_read",
        "model",
        (
            _CONTEXT,
            Argument("first", "int", "the number of the first message, from 0", 0),
            Argument("count", "int", "how many, from 1 to 1,000", 100),
        ),
        "dict[str, Any]",
        {
            "ENOENT": _ABSENT,
            "EIO": _LOST,
        },
        "Read length and messages, as many as fit. They are recorded like any answer: read what is needed, once.",
    ),
    Syscall(
        "context_close",
        "model",
        (_CONTEXT,),
        "None",
        {"ENOENT": _ABSENT, "EBUSY": "a model is being asked in it"},
        "Let go of a context. Its nodes stay in the journal, and its forks stay as they are.",
    ),
)
