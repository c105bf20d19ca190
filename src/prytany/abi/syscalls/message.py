"""Messages between the processes of a run, or of a fleet."""

from __future__ import annotations

from prytany.abi.syscalls.form import Argument, Syscall

_SEND = (
    Argument("to", "int | str", "the receiver, by pid or name: of the same run, or of the same fleet"),
    Argument("type", "str", "what the receiver chooses its handler by"),
    Argument("body", "Any", "plain data"),
)
_NUMBER = Argument("message", "int", "the number of a message in hand")
_TIMEOUT = Argument("timeout_ms", "int", "how long to wait, counted while the kernel is down too; 0 is for ever", 0)
_SEND_ERRORS = {
    "ESRCH": "no such process, or it has ended; `near` are names that there are",
    "EPERM": "the receiver is of another run and not of the same fleet, or has not pledged `ipc`",
    "EINVAL": "several processes are called so: `pids`; or an argument is wrong",
    "EAGAIN": "the receiver's mailbox is full; of a caller that waits: too many wait before it",
}
_TAKES = (
    Argument("types", "list[str] | None", "take one of these types; none said is any", None),
    Argument("sender", "int", "take one of this sender; 0 is any", 0),
    Argument("fields", "dict[str, Any]", "take one whose body has these, with these values", {}),
)
_TAKE_ERRORS = {
    "EBUSY": "another of the caller's calls waits for any message, as this would",
    "EAGAIN": "too many of the caller's calls wait for messages, or it has too many in hand",
}
_NOT_IN_HAND = "no such message is in hand; or it is too large"

CALLS = (
    Syscall(
        "message_send",
        "ipc",
        (*_SEND, Argument("wait_ms", "int", "how long to wait for room in a full mailbox; -1 is for ever", 0)),
        "int",
        {
            **_SEND_ERRORS,
            "ETIMEDOUT": "there was no room in time, and it was not sent",
            "EDEADLK": "the receiver waits for the caller, by way of others too; see `cycle`; it was not sent",
        },
        "Put a message into a mailbox, and answer its number. The messages of one sender keep their order.",
    ),
    Syscall(
        "message_call",
        "ipc",
        (*_SEND, _TIMEOUT, Argument("wait", "int", "1: wait for room in a full mailbox as well, within that time", 0)),
        "Any",
        {
            **_SEND_ERRORS,
            "EDEADLK": "the caller itself is the receiver, or waits for the caller, by way of others too; see `cycle`",
            "EINVAL": "as of `message_send`; or the receiver rejected the message",
            "EPIPE": "the receiver ended, or failed at the message too often, before it replied",
            "ETIMEDOUT": "no reply came in time; the message may still be worked on",
        },
        "Send a message and wait for the reply to it.",
    ),
    Syscall(
        "message_receive",
        "ipc",
        (_TIMEOUT, *_TAKES),
        "dict[str, Any]",
        {**_TAKE_ERRORS, "ETIMEDOUT": "none came in time"},
        "Take the oldest message that is asked for in hand, until it is done; it comes back after a failure.",
    ),
    Syscall(
        "message_next",
        "ipc",
        (
            Argument("message", "int", "the number of a message in hand; 0 for none"),
            Argument("reply", "Any", "the answer to it, where a reply is awaited", None),
            _TIMEOUT,
            *_TAKES,
        ),
        "dict[str, Any]",
        {
            **_TAKE_ERRORS,
            "EINVAL": _NOT_IN_HAND,
            "ETIMEDOUT": "none came in time; the message before is done all the same",
        },
        "Finish with a message and take the next in one: `message_done` and `message_receive` for half the price.",
    ),
    Syscall(
        "message_reply",
        "ipc",
        (_NUMBER, Argument("body", "Any", "plain data")),
        "bool",
        {"EINVAL": _NOT_IN_HAND},
        "Answer a message in hand before it is done. False says that nobody waits for it (any more).",
    ),
    Syscall(
        "message_done",
        "ipc",
        (
            Argument("message", "int", "the number of a message in hand; 0 for the state alone", 0),
            Argument("state", "bytes | None", "a snapshot: the caller's record begins again from it", None),
            Argument("reply", "Any", "the answer, where a reply is awaited", None),
            Argument(
                "reject", "str", "why it is refused, not answered; where nobody waits it becomes a dead letter", ""
            ),
        ),
        "None",
        {"EINVAL": _NOT_IN_HAND, "EBUSY": "calls of the caller are in flight, and a snapshot cannot hold them"},
        "Finish with a message, its reply and the state in one: it is never handed out again.",
    ),
)
