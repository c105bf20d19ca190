"""Reading the small files of a home: only what is a regular file, and no more of it than there can be.

A home can come from somebody else. A FIFO in the place of a file would keep its reader for ever, a device would fill
the memory, and a link would lead to what the home does not hold.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

FILE_BYTES_MAX = 64 << 20


def open_plain(path: Path, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """A descriptor of the regular file at `path`, opened without waiting and through no link at its end.

    Raises:
        OSError: it cannot be opened, or is no regular file (EINVAL).
    """
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, mode)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file")
    return fd


def read_plain(path: Path, bytes_max: int = FILE_BYTES_MAX) -> bytes:
    """What the regular file at `path` holds, cut at `bytes_max`; raises OSError as `open_plain`."""
    with os.fdopen(open_plain(path), "rb") as file:
        return file.read(bytes_max)
