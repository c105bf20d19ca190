"""The home: the folder of one shard, and the right to be its only kernel.

    .prytany/          0700, ours
      lock             held (flock) by the kernel that runs here; its pid
      format           the version of this layout
      journal.db       the store               head     the anchor
      reserve          of the store            keys     the keyring, 0600
      workers          the processes that the kernel has started
      place, placed    that it was begun here
      control          the operator's socket, 0600, while a kernel runs

It makes the folder and checks it; what lies in it is others' to open. The lock goes with the process, however that
ends.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import stat
from pathlib import Path

from prytany.abi.errors import Eacces, Ebusy, Einval, Eio, Enoent
from prytany.abi.names import check_name
from prytany.journal.place import FIRST, mark_place
from prytany.journal.plain import read_plain

FORMAT = 2
"""The newest that this version knows: 2 is that of a home whose journal begins with a base."""
FORMAT_NEW = 1
"""Of a new home; so older versions open it, too, until something is archived."""
BEGUN = frozenset({"journal.db", "head", "keys"})
"""What a home has one of at least, once anything was recorded in it."""


def raise_format(path: Path, number: int = FORMAT) -> None:
    """Have older versions refuse the home at `path`; durable on return. Raises Eio."""
    try:
        fd = os.open(path / "format", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            found = os.pread(fd, 20, 0).strip()
            if not found.isdigit() or int(found) < number:
                os.pwrite(fd, f"{number}\n".encode(), 0)
                os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise Eio(f"cannot write {path / 'format'}: {error.strerror}") from None


def check_format(path: Path) -> None:
    """Look whether the home at `path` is one that this version knows, without a lock; of one that has no number
    nothing is said.

    Raises:
        Einval: it was made by a newer version.
        Eio: that cannot be read.
    """
    try:
        found = read_plain(path / "format", 20).strip()
    except FileNotFoundError:
        return
    except OSError as error:
        raise Eio(f"cannot read {path / 'format'}: {error.strerror}") from None
    if found:
        _refuse_newer(path, found)


def _refuse_newer(path: Path, found: bytes) -> None:
    if not found.isdigit():
        raise Eio(f"{path / 'format'} is damaged")
    if int(found) > FORMAT:
        message = f"{path} has format {int(found)}; this version knows formats up to {FORMAT}"
        newer = Einval(message, detail={"format": int(found), "known": FORMAT})
        newer.add_note("use the prytany that made it, or a later one; nothing was changed")
        raise newer


class Home:
    """An opened home, locked until `close`."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open the home at `path`.

        Raises:
            Enoent: it is not there and is not to be created.
            Eacces: it belongs to somebody else, or others may look into it.
            Ebusy: another kernel runs in it; `detail["pid"]` says which, 0 if that cannot be read.
            Einval: it is no folder, or was made by a newer version.
            Eio: it cannot be read or written.
        """
        self.path = path
        check_name(str(path))
        try:
            if create:
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Enoent(f"no home at {path}") from None
        except (FileExistsError, NotADirectoryError):
            raise Einval(f"{path} is not a folder") from None
        except OSError as error:
            raise Eio(f"cannot open {path}: {error.strerror}") from error
        self._lock_fd = -1
        try:
            self._check_folder()
            if not create:
                self._check_is_home()
            self._take_lock()
            self._check_format()
            if FIRST.issuperset(os.listdir(self._folder_fd)):
                mark_place(self._folder_fd)
        except OSError as error:
            self.close()
            raise Eio(f"cannot use {path}: {error.strerror}") from error
        except BaseException:
            self.close()
            raise

    @property
    def journal(self) -> Path:
        """The store's file."""
        return self.path / "journal.db"

    @property
    def anchor(self) -> Path:
        """The anchor's file."""
        return self.path / "head"

    @property
    def keys(self) -> Path:
        """The keyring's file."""
        return self.path / "keys"

    @property
    def folder_fd(self) -> int:
        """The folder that was checked, for what is opened in it by name; open until `close`."""
        return self._folder_fd

    def _check_folder(self) -> None:
        found = os.fstat(self._folder_fd)
        if found.st_uid != os.geteuid():
            raise Eacces(f"{self.path} belongs to uid {found.st_uid}", detail={"uid": found.st_uid})
        mode = stat.S_IMODE(found.st_mode)
        if mode & 0o077 and not mode & 0o022 and not os.listdir(self._folder_fd):
            os.fchmod(self._folder_fd, 0o700)  # a plain `mkdir`, of which nobody has seen or put in anything
        elif mode & 0o077:
            error = Eacces(f"{self.path} is open to others (mode {mode:04o}); make it 0700", detail={"mode": mode})
            error.add_note(f"see that nobody has put anything there, and: chmod 700 {shlex.quote(str(self.path))}")
            raise error

    def _check_is_home(self) -> None:
        """A folder in which none was begun is none, and nothing is put into it."""
        if BEGUN.isdisjoint(os.listdir(self._folder_fd)):
            raise Enoent(f"no home at {self.path}")

    def _open(self, name: str, flags: int) -> int:
        """A file of the folder that was checked, not of whatever has its name by now."""
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=self._folder_fd)

    def _take_lock(self) -> None:
        self._lock_fd = self._open("lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held_by = os.pread(self._lock_fd, 20, 0).strip()
            pid = int(held_by) if held_by.isdigit() else 0
            raise Ebusy(f"{self.path} is in use by process {pid or 'unknown'}", detail={"pid": pid}) from None
        os.ftruncate(self._lock_fd, 0)
        os.pwrite(self._lock_fd, f"{os.getpid()}\n".encode(), 0)

    def _check_format(self) -> None:
        fd = self._open("format", os.O_RDWR | os.O_CREAT)
        try:
            found = os.pread(fd, 20, 0).strip()
            if not found:
                os.pwrite(fd, f"{FORMAT_NEW}\n".encode(), 0)
                os.fsync(fd)
                os.fsync(self._folder_fd)
            else:
                _refuse_newer(self.path, found)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let the lock go. The file stays: removing it would let two kernels hold two locks."""
        for fd in (self._lock_fd, self._folder_fd):
            if fd >= 0:
                os.close(fd)
        self._lock_fd = self._folder_fd = -1
