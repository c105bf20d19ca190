"""Attachments of messages."""

from __future__ import annotations

from prytany.abi.syscalls.form import Argument, Syscall

_NUMBER = Argument("number", "int", "of one that the caller put, or was sent")
_NOT_HELD = "the caller holds no such attachment"

CALLS = (
    Syscall(
        "attachment_put",
        "ipc",
        (
            Argument("content", "bytes", "all of it, or a part: 3 MB at most"),
            Argument("media_type", "str", "what it is, as `image/png`", ""),
            Argument(
                "number", "int", "of one that the caller put and has not sent yet: this goes behind it; 0: new", 0
            ),
        ),
        "int",
        {
            "EINVAL": "it is too large, or its media type is; or nothing more can be put behind that one",
            "EAGAIN": "the caller holds too many",
            "ENOENT": _NOT_HELD,
        },
        "Put content that messages can carry, and answer its number.",
    ),
    Syscall(
        "attachment_read",
        "ipc",
        (_NUMBER, Argument("part", "int", "which of its parts, from 0", 0)),
        "bytes",
        {"ENOENT": _NOT_HELD, "EINVAL": "it has no such part"},
        "Read an attachment that the caller put, or was sent.",
    ),
    Syscall(
        "attachment_drop",
        "ipc",
        (_NUMBER,),
        "None",
        {"ENOENT": _NOT_HELD},
        "Hold an attachment no more. All are let go of when their holders end.",
    ),
)
