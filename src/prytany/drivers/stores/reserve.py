"""The reserve: disk space that is held so that a full disk can still be dealt with.

A file of zeros whose blocks are really allocated. It is given back to the file system by cutting it to nothing, and
made whole again when there is space. While it is not whole, ordinary commits are refused: otherwise they would eat
what the release has freed for those that need it.

The file is also what the store's lock hangs on (flock), since it is open exactly as long as the store. The database
file itself must not be opened here: closing any descriptor of it would drop SQLite's own locks in this process.

Source: the "reserved blocks" of ext4, for one program.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from prytany.ports.store import StoreError, StoreLocked


class Reserve:
    """Allocated space of `size_bytes`, and the lock of the store."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        """Take the lock, then as much of the reserve as the disk gives.

        A disk that is full already does not keep the store from opening: its operator has to be able to look.

        Raises:
            StoreLocked: another store holds it.
            StoreError: the file cannot be opened.
        """
        self._size_bytes = size_bytes
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError as error:
            raise StoreError(f"cannot open {path}: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise StoreError(f"cannot open {path}: not a regular file")
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise StoreLocked(f"{path.parent} is held by another store") from error
        except OSError as error:  # a file system without locks
            os.close(self._fd)
            raise StoreError(f"cannot lock {path}: {error.strerror}") from error
        self.whole = False
        self.refill()

    def refill(self) -> bool:
        """Make the reserve whole again, or leave nothing of it; whether it is whole."""
        if self.whole:
            return True
        try:
            if self._size_bytes:
                os.posix_fallocate(self._fd, 0, self._size_bytes)
                os.fsync(self._fd)
            self.whole = True
        except OSError:
            # A partly allocated reserve would look like one and hold less than it promises.
            os.ftruncate(self._fd, 0)
        return self.whole

    def release(self) -> bool:
        """Give the space back to the disk; False when there was none to give."""
        if not self.whole or not self._size_bytes:
            return False
        os.ftruncate(self._fd, 0)
        os.fsync(self._fd)
        self.whole = False
        return True

    def close(self) -> None:
        """Let the lock go; what is allocated stays."""
        os.close(self._fd)
