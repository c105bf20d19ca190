"""What a program was read from: each file and folder that was looked at, so that a change of any is seen.

A stamp is what the file system says of a file without reading it. Two stamps that are the same mean the same content,
unless it changed twice within one tick of the file system's clock: so a stamp is believed only where the last change
was well before the look, and where it was not, what lies there is read again and compared.

Source: the "racy" entries of git's index.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from prytany.abi.errors import Einval
from prytany.abi.limits import PROGRAM_BYTES_MAX

SETTLED_NS = 2_000_000_000
"""A change this long before the look shows in the stamp; the coarsest file systems tick every two seconds."""
Stamp = tuple[int, int, int, int, int]


class Look(NamedTuple):
    """One file or folder, and what was found: a text, or names."""

    path: str
    stamp: Stamp
    found: bytes | frozenset[str]


def stamp_of(found: os.stat_result) -> Stamp:
    """What tells one content of a file from another. The time of the inode's change cannot be set back."""
    return found.st_ctime_ns, found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


def read_text(path: str) -> tuple[bytes, Stamp]:
    """A program's text. A program names the path, so what lies there is looked at before it is opened, and before it
    is read: to open some devices has effects, and a FIFO would be waited for.

    Raises:
        OSError: it cannot be read, or is no regular file.
        Einval: it is too large.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if found.st_size > PROGRAM_BYTES_MAX:
            raise Einval(f"{path} has more than {PROGRAM_BYTES_MAX} bytes")
        return os.read(fd, found.st_size), stamp_of(found)
    finally:
        os.close(fd)


class Looks:
    """Takes note of what is read for one program."""

    def __init__(self) -> None:
        self.made: list[Look] = []
        self.complete = True
        """Whether all that was looked at is in `made`: what could not be read has nothing to be compared by."""

    def text(self, path: str) -> bytes:
        """The text of a file. Raises as `read_text`."""
        try:
            text, stamp = read_text(path)
        except OSError:
            self.complete = False
            raise
        self.made.append(Look(path, stamp, text))
        return text

    def names(self, folder: str) -> frozenset[str]:
        """The names in a folder; none when it is no folder."""
        try:
            stamp = stamp_of(os.stat(folder))
            names = frozenset(os.listdir(folder))
        except OSError:
            self.complete = False
            return frozenset()
        self.made.append(Look(folder, stamp, names))
        return names


def is_same(look: Look) -> bool:
    """Whether the stamp is still what it was."""
    try:
        return stamp_of(os.stat(look.path)) == look.stamp
    except OSError:
        return False


def reads_same(look: Look) -> bool:
    """Whether there is still to be read what was."""
    try:
        if isinstance(look.found, bytes):
            return read_text(look.path)[0] == look.found
        return frozenset(os.listdir(look.path)) == look.found
    except (OSError, Einval):
        return False
