"""A file that is there whole or not at all: written beside its place, 0600, and put there when it is on the disk.

What a killed writer has left beside it is its own to begin again with, and nobody else's: the lock on it says whether
somebody is still at it.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from prytany.abi.errors import Ebusy, Einval, Eio, Enoent, Enospc
from prytany.abi.names import check_name
from prytany.journal.plain import open_plain
from prytany.ports.store import StoreFull
from prytany.system.keep import sync


@contextmanager
def new_file(path: Path, home: Path, *, force: bool = False) -> Generator[Path]:
    """Where to write what is to be at `path`; it is put there at the end, unless something was raised.

    Args:
        path: the file that is to be.
        home: it is not to lie in this folder: it is kept for when that is lost.
        force: what is at `path` is replaced, if it is a file.

    Raises:
        Einval: something is at `path`, and is not to be, or not a file; or `path` lies in the home.
        Enoent: there is no folder for it.
        Ebusy: another is writing it.
        Enospc: the disk is full.
        Eio: it cannot be written.
    """
    check_name(str(path))
    try:
        folder = path.parent.resolve(strict=True)
    except (OSError, RuntimeError):
        raise Enoent(f"there is no folder {path.parent}") from None
    inside = Path(os.path.realpath(home))
    if folder == inside or inside in folder.parents:
        raise Einval(f"{path} would lie in the home itself, and be lost with it")
    path = folder / path.name
    part = folder / f".{path.name}.unfinished"
    _drop_second_name(part, path)
    _refuse_taken(path, force)
    fd = _begin(part)
    try:
        try:
            yield part
            os.fsync(fd)
            _put(part, path, force)
            sync(folder)
        except BaseException as error:
            with suppress(OSError):
                part.unlink()
            if isinstance(error, StoreFull):
                raise Enospc(f"{path} cannot be written: the disk is full") from error
            if isinstance(error, OSError):
                raise Eio(f"{path} cannot be written: {error.strerror or error}") from error
            raise
    finally:
        os.close(fd)


def _drop_second_name(part: Path, path: Path) -> None:
    """Who was killed when its file was in place, and not yet out of the other, has left it two names."""
    with suppress(OSError):
        if os.path.samestat(part.lstat(), path.lstat()):
            part.unlink()


def _refuse_taken(path: Path, force: bool) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise Einval(f"{path}: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise Einval(f"{path} is there, and is no regular file")
    if not force:
        raise Einval(f"{path} is there already")


def _begin(part: Path) -> int:
    """An empty file, ours alone; its descriptor holds the lock."""
    try:
        fd = open_plain(part, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise Eio(f"{part} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found, named = os.fstat(fd), os.stat(part, follow_symlinks=False)
        if (found.st_dev, found.st_ino) != (named.st_dev, named.st_ino):
            raise BlockingIOError
        if found.st_uid != os.geteuid() or found.st_nlink != 1:
            raise Eio(f"{part} is somebody's, or another file's second name: remove it")
        os.fchmod(fd, 0o600)
        os.ftruncate(fd, 0)
    except (BlockingIOError, FileNotFoundError):
        os.close(fd)
        raise Ebusy(f"another command is writing {part}") from None
    except OSError as error:
        os.close(fd)
        raise Eio(f"{part} cannot be written: {error.strerror}") from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def _put(part: Path, path: Path, force: bool) -> None:
    if force:
        os.replace(part, path)
        return
    try:
        os.link(part, path)  # unlike a rename it does not replace what has come there meanwhile
    except FileExistsError:
        raise Einval(f"{path} is there already") from None
    except OSError:  # a file system without links
        _refuse_taken(path, force)
        os.replace(part, path)
    else:
        part.unlink(missing_ok=True)
