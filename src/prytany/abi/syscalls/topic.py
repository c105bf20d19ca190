"""Events: what is published under a topic reaches all who are subscribed to it, in one scope."""

from __future__ import annotations

from prytany.abi.syscalls.form import Argument, Syscall

_PATTERN = Argument("pattern", "str", "a topic, or one with `*` for any one token, or `>` at its end for all further")

CALLS = (
    Syscall(
        "topic_publish",
        "ipc",
        (
            Argument("topic", "str", "tokens with dots between them, such as `prices.eurusd`"),
            Argument("body", "Any", "plain data"),
        ),
        "int",
        {},
        "Publish an event to all who are subscribed to its topic; its number in the scope. Waits for nobody.",
    ),
    Syscall(
        "topic_subscribe",
        "ipc",
        (
            _PATTERN,
            Argument(
                "since",
                "Any",
                "what comes first: a number, `start`, `last` of each topic, `{'time_ns': N}`; None is nothing",
                None,
            ),
        ),
        "dict[str, int]",
        {"EAGAIN": "the caller has too many subscriptions"},
        "Have what matches put into the mailbox; `number` of the last before, `first` in the log, how many are `gone`.",
    ),
    Syscall(
        "topic_unsubscribe",
        "ipc",
        (_PATTERN,),
        "bool",
        {},
        "End a subscription. False says that there was none.",
    ),
)
