"""Landlock: which files a worker can see, as a ruleset that is built once and applied in each child.

The version of the machine (its ABI, 1 to 7) decides what can be handled; a right that this kernel does not know is
left out here and is refused by `seccomp.py` instead, so that an older kernel denies no less. Must not be used to
subtract: a folder that is granted is granted with all that is in it. It does not cover `stat`, UDP, or unix sockets
that have a path.

Source: Documentation/userspace-api/landlock.rst of Linux.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_CREATE_VERSION = 1
_RULE_PATH_BENEATH = 1

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_WRITE_FILE, _TRUNCATE, _IOCTL_DEV = 1 << 1, 1 << 14, 1 << 15
_EXECUTE = 1 << 0
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV  # the others make sense on folders only
_NET_TCP = 3  # bind and connect
_SCOPED = 3  # abstract unix sockets and signals

ABI_SCOPES_SIGNALS = 6

_libc = ctypes.CDLL(None, use_errno=True)


def _syscall(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def abi_version() -> int:
    """The Landlock version of this machine; 0 when there is none (not Linux, not built in, or not booted with it)."""
    if not sys.platform.startswith("linux"):
        return 0
    try:
        return _syscall(_CREATE, None, 0, _CREATE_VERSION)
    except OSError:
        return 0


def missing(abi: int) -> str:
    """What stands in the way of Landlock, and how to mend it; "" when nothing does."""
    if abi > 0:
        return ""
    if not sys.platform.startswith("linux"):
        return f"Landlock is a part of Linux, this is {platform.system()}"
    return (
        f"Landlock is off in Linux {platform.release()}: it wants 5.13 or newer, CONFIG_SECURITY_LANDLOCK, "
        "and `landlock` among the names of the boot option lsm="
    )


def handled_fs(abi: int) -> int:
    """Every right on files that this version can take away."""
    if abi >= 5:
        return (1 << 16) - 1
    return (1 << {1: 13, 2: 14, 3: 15, 4: 15}[abi]) - 1


def _attributes(abi: int) -> bytes:
    """The ruleset's attributes in the size that this version knows; a longer one answers E2BIG."""
    if abi >= ABI_SCOPES_SIGNALS:
        return struct.pack("=QQQ", handled_fs(abi), _NET_TCP, _SCOPED)
    if abi >= 4:
        return struct.pack("=QQ", handled_fs(abi), _NET_TCP)
    return struct.pack("=Q", handled_fs(abi))


def build(read_only: Iterable[str], read_write: Iterable[str] = (), *, abi: int | None = None) -> int:
    """A ruleset that takes everything away but these paths; returns its descriptor, which the caller closes.

    Build it before a drop of the uid: each path is opened here, with the rights of the caller. Nothing may be
    executed, read-only or not: that is a right of its own, which mapping a library does not need.

    Args:
        read_only: folders (with all in them) and files that can be read and listed.
        read_write: the same, that can also be written, made and removed.
        abi: a version to pretend, for tests; never more than the machine's.

    Raises:
        OSError: ENOSYS, this machine has no Landlock; ENOENT, a granted path does not exist (with its name).
    """
    version = abi_version() if abi is None else abi
    reason = missing(version)
    if reason:
        raise OSError(errno.ENOSYS, reason)
    attributes = _attributes(version)
    ruleset = _syscall(_CREATE, attributes, len(attributes), 0)
    try:
        for path in read_only:
            _grant(ruleset, path, _READ_FILE | _READ_DIR)
        for path in read_write:
            _grant(ruleset, path, handled_fs(version) & ~_EXECUTE)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def _grant(ruleset: int, path: str, rights: int) -> None:
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):
            rights &= _FILE_RIGHTS  # a right of folders on a file answers EINVAL
        _syscall(_ADD, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, beneath), 0)
    finally:
        os.close(beneath)


def restrict_self(ruleset: int) -> None:
    """Put the calling thread under `ruleset`, for ever. Wants PR_SET_NO_NEW_PRIVS first."""
    _syscall(_RESTRICT, ruleset, 0)
