"""Files made in a folder by descriptors of it: what becomes a link between a look and a write leads nowhere else.

Nothing that is there is changed, but for a file that holds nothing: what a command that was killed has begun.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def _is(fd: int, content: bytes) -> bool:
    """Whether that is all that a regular file holds."""
    found = os.fstat(fd)
    same = stat.S_ISREG(found.st_mode) and found.st_size == len(content)
    return same and (not content or os.pread(fd, len(content), 0) == content)


class New:
    """What is made beneath `root`, which is made too; what was made can be taken away again."""

    def __init__(self, root: Path) -> None:
        """Nothing is made yet."""
        self._root = root
        self._above: list[Path] = []
        self._made: list[tuple[int, str, bool]] = []
        self._folders: dict[str, int] = {}
        self.names: list[str] = []
        """Of what was made, from `root`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for fd in self._folders.values():
            os.close(fd)

    def begin(self) -> None:
        """Make the folder, with what is missing above it; raises OSError."""
        self._make(self._root)
        self._folders[""] = os.open(self._root, _FOLDER)

    def _make(self, place: Path) -> None:
        if place.is_dir():
            return
        self._make(place.parent)
        try:
            place.mkdir()
        except FileExistsError:
            if not place.is_dir():  # else another command was faster
                raise
        else:
            self._above.append(place)

    def folder(self, name: str, mode: int = 0o777) -> int:
        """A folder of that name, which may be there already and is no link; raises OSError."""
        if name not in self._folders:
            root = self._folders[""]
            try:
                os.mkdir(name, mode, dir_fd=root)
            except FileExistsError:
                pass
            else:
                self._added(root, name, name, folder=True)
            self._folders[name] = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=root)
        return self._folders[name]

    def file(self, name: str, text: str) -> None:
        """A file with `text`; raises OSError, FileExistsError where there is one that holds anything else."""
        above, _, last = name.rpartition("/")
        at = self.folder(above)
        try:
            fd = os.open(last, _FILE | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=at)
        except FileExistsError:
            fd = os.open(last, _FILE, dir_fd=at)
            if not _is(fd, b""):
                os.close(fd)
                if self._holds(at, last, text):
                    return
                raise
            self.names.append(name)
        else:
            self._added(at, last, name)
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)

    @staticmethod
    def _holds(at: int, last: str, text: str) -> bool:
        fd = os.open(last, _FILE & ~os.O_WRONLY, dir_fd=at)
        try:
            return _is(fd, text.encode())
        finally:
            os.close(fd)

    def _added(self, at: int, last: str, name: str, *, folder: bool = False) -> None:
        self._made.append((at, last, folder))
        self.names.append(name)

    def take_away(self) -> None:
        """Remove what was made, the last first; of a folder that others have put something in, nothing."""
        for at, name, folder in reversed(self._made):
            with suppress(OSError):
                os.rmdir(name, dir_fd=at) if folder else os.unlink(name, dir_fd=at)
        for place in reversed(self._above):
            with suppress(OSError):
                place.rmdir()
