"""The operator's files, on unveiled paths."""

from __future__ import annotations

from prytany.abi.syscalls.form import Argument, Syscall

CALLS = (
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
            "EINDOUBT": "its home was restored from a backup, and the operator said to go on without it",
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
