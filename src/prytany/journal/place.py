"""Whether a home was begun where it lies, or came there with what somebody else made.

What a home records is run, and what its file `trusted` says is not asked about. So one that came in an archive is no
home that may be used just because it was found there. What tells them apart is the one time of a file that nobody can
set: that of the change of its inode. `place` is empty and never changed, and `placed` says when it was made. A copy
has another time; a home that is renamed, with all above it, has not.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from prytany.journal.plain import read_plain

MARK, SAID = "place", "placed"
FIRST = frozenset({"lock", "format", MARK, SAID})
"""What a home holds before anything is recorded: nothing that would be believed."""
SAID_BYTES_MAX = 40


def mark_place(folder_fd: int) -> None:
    """Say of a home that it is used where it lies: whoever opened it named it, or began it. Where that cannot be said,
    it is only asked about when it is found the next time."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_CREAT
    with suppress(OSError):
        os.close(os.open(MARK, flags | os.O_RDONLY, 0o600, dir_fd=folder_fd))
        said = b"%d\n" % os.stat(MARK, dir_fd=folder_fd, follow_symlinks=False).st_ctime_ns
        fd = os.open(SAID, flags | os.O_RDWR, 0o600, dir_fd=folder_fd)
        try:
            if os.pread(fd, SAID_BYTES_MAX, 0) != said:
                os.ftruncate(fd, 0)
                os.pwrite(fd, said, 0)
        finally:
            os.close(fd)


def is_placed(home: Path) -> bool:
    """Whether the home was used here before, or holds nothing yet. Raises OSError where it cannot be looked at."""
    if FIRST.issuperset(os.listdir(home)):
        return True
    try:
        said = read_plain(home / SAID, SAID_BYTES_MAX)
        return said == b"%d\n" % os.lstat(home / MARK).st_ctime_ns
    except FileNotFoundError:
        return False
