"""The kernel that holds a home, as the operating system knows it: its process, and whether that is stopped."""

from __future__ import annotations

import os
from typing import NamedTuple


class Holder(NamedTuple):
    """Who holds the home's lock."""

    os_pid: int
    """0 where that cannot be known."""
    stopped: bool
    """By a signal (Ctrl-Z, SIGSTOP) or a debugger: it does nothing until it is let go on."""


def holder_of(folder_fd: int) -> Holder:
    """Who holds the open home, as its lock says."""
    try:
        fd = os.open("lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder_fd)
        with os.fdopen(fd, "rb") as file:
            written = file.read(20).strip()
    except OSError:
        return Holder(0, False)
    os_pid = int(written) if written.isdigit() else 0
    return Holder(os_pid, bool(os_pid) and _state(os_pid) in ("T", "t"))


def _state(os_pid: int) -> str:
    """One letter of /proc; the name before it may hold anything. Source: proc_pid_stat(5)."""
    try:
        with open(f"/proc/{os_pid}/stat", "rb") as file:
            return file.read(4096).rpartition(b") ")[2][:1].decode("ascii", "replace")
    except OSError:
        return ""
