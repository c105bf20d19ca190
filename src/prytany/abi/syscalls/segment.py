"""Small values that processes of one scope share."""

from __future__ import annotations

from prytany.abi.syscalls.form import Argument, Syscall

_NAME = Argument("name", "str", "of the segment, in the caller's scope")
_VERSION = Argument(
    "version", "int", "only if this is the version that is there, 0 for none at all; -1 is whatever is there", -1
)
_OTHER = "another version is there; `version` in the detail says which, 0 for none"
_NO_NAME = "the name is empty or too long, or a version or a time is out of bounds"

CALLS = (
    Syscall(
        "segment_read",
        "ipc",
        (_NAME,),
        "list[Any]",
        {"EINVAL": _NO_NAME, "ENOENT": "there is no such segment"},
        "What a segment holds, and its version.",
    ),
    Syscall(
        "segment_write",
        "ipc",
        (_NAME, Argument("value", "Any", "plain data"), _VERSION),
        "int",
        {
            "EINVAL": f"{_NO_NAME}; or the value is too large",
            "EBUSY": _OTHER,
            "EDQUOT": "the scope has as many segments, or as many bytes in them, as it may have",
        },
        "Put a value into a segment, and answer the version that it has now: each write's is above those before.",
    ),
    Syscall(
        "segment_wait",
        "ipc",
        (
            _NAME,
            Argument("after", "int", "the version that the caller knows; 0 where it knows of none", 0),
            Argument("timeout_ms", "int", "how long to wait, counted while the kernel is down too; 0 is for ever", 0),
        ),
        "list[Any]",
        {
            "EINVAL": _NO_NAME,
            "ETIMEDOUT": "it did not change in time",
            "EAGAIN": "too many wait for it",
        },
        "Wait until it has another version, and answer as `segment_read`: the newest; nil and 0 where it was removed.",
    ),
    Syscall(
        "segment_delete",
        "ipc",
        (_NAME, _VERSION),
        "None",
        {"EINVAL": _NO_NAME, "ENOENT": "there is no such segment", "EBUSY": _OTHER},
        "Remove a segment.",
    ),
    Syscall(
        "segment_list",
        "ipc",
        (Argument("prefix", "str", "what their names begin with", ""),),
        "list[dict[str, Any]]",
        {"EINVAL": "the prefix is too long"},
        "The segments of the caller's scope, by name: name, version and bytes.",
    ),
)
