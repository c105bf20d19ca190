"""Files on unveiled paths, opened by `openat2` beneath a descriptor of the unveiled folder.

A path is never joined and then opened: the operating system itself resolves what the program names, refuses `..`,
absolute links and links that leave (EXDEV), and what was opened is looked at, not its name: regular files only, and no
writing through a second hard link. A FIFO is opened without waiting for its other end. Source: openat2(2).
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import secrets
import stat
import struct
from collections.abc import Generator
from contextlib import contextmanager

from prytany.abi import limits
from prytany.abi.errors import Eacces, Einval, Eio, Enoent, Enospc, KernelError

_OPENAT2 = 437
_RESOLVE = 0x08 | 0x02  # BENEATH | NO_MAGICLINKS
NAMES_MAX = 10_000
PROTECTED = frozenset({".git", ".prytany", ".venv"})
"""Folders that are never written to, wherever they lie below what is unveiled."""
ENVIRONMENT_MARKER = "pyvenv.cfg"
"""What a virtual environment has in its folder: that is not written to either."""
_libc = ctypes.CDLL(None, use_errno=True)


def _openat2(root_fd: int, path: str, flags: int) -> int:
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, _RESOLVE)
    fd: int = _libc.syscall(_OPENAT2, root_fd, os.fsencode(path or "."), how, len(how))
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return fd


def _error(error: OSError, path: str) -> KernelError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Enoent(f"there is no {path!r}")
    if error.errno in (errno.EXDEV, errno.EACCES, errno.EPERM, errno.ELOOP):
        return Eacces(f"{path!r} leads out of what is unveiled, or is not open to the kernel")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Enospc(f"the disk is full; {path!r} is as it was")
    if error.errno in (errno.ENXIO, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL):
        return Einval(f"{path!r} is not a regular file")
    return Eio(f"{path!r}: {error.strerror}")


@contextmanager
def _beneath(unveil: dict[str, str], path: str, mode: str) -> Generator[tuple[int, str], None, None]:
    """The root's descriptor and the path below it, for the longest unveiled folder that holds `path`."""
    if "\0" in path:
        raise Einval("a path holds no zero byte")
    root = max((r for r in unveil if path == r or path.startswith(r.rstrip("/") + "/")), key=len, default=None)
    if root is None or mode not in unveil[root]:
        whole = "" if path.startswith("/") else "; what is unveiled is named by its whole path"
        raise Eacces(f"{path!r} is not unveiled for {'reading' if mode == 'r' else 'writing'}{whole}")
    rest = path[len(root) :].strip("/")
    if mode == "w" and _is_protected(rest.split("/")):
        raise Eacces(f"{path!r} is protected")
    try:
        fd = os.open(root, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    except OSError as error:
        raise _error(error, root) from None
    try:
        yield fd, rest
    except OSError as error:
        raise _error(error, path) from None
    finally:
        os.close(fd)


def _read(unveil: dict[str, str], path: str) -> bytes:
    with _beneath(unveil, path, "r") as (root, rest):
        fd = _openat2(root, rest, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            found = os.fstat(fd)
            most = limits.RESULT_BYTES_MAX - 16
            if not stat.S_ISREG(found.st_mode) or found.st_size > most:
                raise Einval(f"{path!r} is not a regular file of at most {most} bytes")
            content = file.read(most + 1)
    if len(content) > most:
        raise Einval(f"{path!r} grew beyond {most} bytes")
    return content


def _write(unveil: dict[str, str], path: str, data: bytes) -> int:
    with _beneath(unveil, path, "w") as (root, rest):
        folder, _, name = rest.rpartition("/")
        if name in ("", ".", ".."):
            raise Einval(f"{path!r} is not a file's name")
        folder_fd = _openat2(root, folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _refuse_protected(folder_fd, path)
            _refuse_other_kinds(folder_fd, name, path)
            part = f".{name[:200]}.{secrets.token_hex(6)}.part"
            fd = os.open(
                part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder_fd
            )
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(fd)
                os.rename(part, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
            except BaseException:
                os.unlink(part, dir_fd=folder_fd)
                raise
            os.fsync(folder_fd)
        finally:
            os.close(folder_fd)
    return len(data)


def _is_protected(names: list[str]) -> bool:
    """Whether one of these names is closed to agents; some file systems know no case.

    The marker is one of them: whoever wrote it would close the folder to everybody.
    """
    folded = [name.casefold() for name in names]
    return not PROTECTED.isdisjoint(folded) or ENVIRONMENT_MARKER in folded


def _refuse_protected(folder_fd: int, path: str) -> None:
    """A link below what is unveiled may lead to what its own name does not say: look at what was opened."""
    real = os.readlink(f"/proc/self/fd/{folder_fd}").split("/")
    if _is_protected(real):
        raise Eacces(f"{path!r} is protected")
    for depth in range(len(real), 1, -1):
        if os.path.lexists("/".join([*real[:depth], ENVIRONMENT_MARKER])):
            raise Eacces(f"{path!r} is in a virtual environment")


def _refuse_other_kinds(folder_fd: int, name: str, path: str) -> None:
    try:
        found = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise Einval(f"{path!r} is not a regular file with one name")


def _list(unveil: dict[str, str], path: str) -> list[str]:
    """A name that is no UTF-8 is left out: no call could say it."""
    with _beneath(unveil, path, "r") as (root, rest):
        try:
            fd = _openat2(root, rest, os.O_RDONLY | os.O_DIRECTORY)
        except NotADirectoryError:
            raise Einval(f"{path!r} is not a folder") from None
        try:
            with os.scandir(fd) as found:
                names = [
                    e.name + "/" if e.is_dir(follow_symlinks=False) else e.name
                    for e in found
                    if not any("\udc80" <= c <= "\udcff" for c in e.name)  # as os.fsdecode gives what is no UTF-8
                ]
        finally:
            os.close(fd)
    if len(names) > NAMES_MAX:
        raise Einval(f"{path!r} holds more than {NAMES_MAX} names")
    return sorted(names)


class BeneathFiles:
    """See the module. A disk that hangs holds a thread, not the kernel."""

    async def read(self, unveil: dict[str, str], path: str) -> bytes:
        """A whole file."""
        return await asyncio.to_thread(_read, unveil, path)

    async def write(self, unveil: dict[str, str], path: str, data: bytes) -> int:
        """A whole file put in place by rename; its size in bytes."""
        return await asyncio.to_thread(_write, unveil, path, data)

    async def list(self, unveil: dict[str, str], path: str) -> list[str]:
        """Names, sorted; a folder's ends in `/`."""
        return await asyncio.to_thread(_list, unveil, path)
