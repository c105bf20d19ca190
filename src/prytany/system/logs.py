"""What processes print: a bounded file each, in the home. When it is full, the older half goes, and the file says so.

    file = [NUL "dropped " number "\\n"] what was printed, as it is

The head says how many bytes were printed before what is there. It is the kernel's alone: where a program's first byte
is a NUL, a head that says 0 stands before it.

Beside it lies `NAME.times`: marks of 16 bytes, at most one a second, each the number of bytes that had been printed
before and the wall clock's time then. What one mark says holds up to the next.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from prytany.abi import limits
from prytany.abi.errors import Eio, Enoent
from prytany.drivers.clocks.system import SystemClock
from prytany.journal.plain import FILE_BYTES_MAX, open_plain, read_plain

T = TypeVar("T")
_HEAD = re.compile(rb"\x00dropped ([0-9]{1,18})\n")
_HEAD_BYTES_MAX = 32
_CUT_BYTES_MAX = 4_096  # looked at for the end of the line that the cut goes through
_MARK = struct.Struct("<QQ")
MARK_NS = 1_000_000_000
"""The least time between two marks."""


class Log(NamedTuple):
    """What is kept of what was printed."""

    dropped: int
    """Bytes that were printed before it and are not kept."""
    printed: bytes

    @property
    def end(self) -> int:
        """How many bytes were ever printed."""
        return self.dropped + len(self.printed)


def read_log(home: Path, name: int | str, after: int = 0) -> Log | None:
    """What a process, or a file of tools (`tools.NAME`), printed after its first `after` bytes; None where there is no
    log; raises Eio."""
    path = home / "logs" / f"{name}.log"
    return _reading(path, lambda: _read_after(path, after))


def _read_after(path: Path, after: int) -> Log:
    with os.fdopen(open_plain(path), "rb") as file:
        begins = _parsed(file.read(_HEAD_BYTES_MAX))
        head_bytes = file.tell() - len(begins.printed)
        size = file.seek(0, os.SEEK_END) - head_bytes
        skipped = min(max(0, after - begins.dropped), size)
        file.seek(head_bytes + skipped)
        return Log(begins.dropped + skipped, file.read(FILE_BYTES_MAX))


def printed_since(home: Path, name: int | str, time_ns: int) -> int | None:
    """How many bytes had been printed at that time, or up to a second before; None where no times are kept."""
    marks = list(_marks(_read(home / "logs" / f"{name}.times") or b""))
    at = next((at for at, marked_ns in marks if marked_ns + MARK_NS > time_ns), None)
    return at if at is not None or not marks else 1 << 63


def _read(path: Path) -> bytes | None:
    return _reading(path, lambda: read_plain(path))


def _reading(path: Path, read: Callable[[], T]) -> T | None:
    try:
        if not stat.S_ISDIR(path.parent.lstat().st_mode):
            raise Eio(f"{path.parent} is not a folder")
        return read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Eio(f"{path} cannot be read: {error.strerror}") from None


def _marks(data: bytes) -> Iterator[tuple[int, int]]:
    """What is whole of the marks."""
    return _MARK.iter_unpack(data[: len(data) // _MARK.size * _MARK.size])


def _parsed(data: bytes) -> Log:
    head = _HEAD.match(data)
    return Log(int(head[1]), data[head.end() :]) if head else Log(0, data)


def _head(dropped: int) -> bytes:
    return b"\x00dropped %d\n" % dropped


class Logs:
    """The logs of one home."""

    def __init__(self, home: Path, now_ns: Callable[[], int] | None = None) -> None:
        """Open or make the folder; raises Enoent when there is no home, Eio when what is there is no folder."""
        self._folder = home / "logs"
        self._now_ns = now_ns or SystemClock().now_ns
        try:
            self._folder.mkdir(mode=0o700)
        except FileExistsError:
            if not stat.S_ISDIR(self._folder.lstat().st_mode):
                raise Eio(f"{self._folder} is not a folder") from None
        except FileNotFoundError:
            raise Enoent(f"no home at {home}") from None
        except OSError as error:
            raise Eio(f"cannot make {self._folder}: {error.strerror}") from None

    def path(self, pid: int | str) -> Path:
        """The log of a process, or of a file of tools (`tools.NAME`); it may not exist."""
        return self._folder / f"{pid}.log"

    def append(self, pid: int | str, data: bytes) -> None:
        """Add what it printed, as it is; who shows it escapes it. The file never has more than the bound."""
        path = self.path(pid)
        with suppress(OSError):  # on a full disk what is printed is lost, and nothing else
            with os.fdopen(open_plain(path, os.O_RDWR | os.O_APPEND | os.O_CREAT), "ab") as file:
                size = file.tell()
                head = _head(0) if not size and data[:1] == b"\x00" else b""
                fits = size + len(head) + len(data) <= limits.LOG_BYTES_MAX
                with suppress(OSError):
                    self._mark(path.with_suffix(".times"), file.fileno(), size)
                if fits:
                    file.write(head + data)
            if not fits:
                self._cut(path, data)

    def _mark(self, path: Path, log_fd: int, size: int) -> None:
        """Say when what comes now was printed, unless the last mark is good enough."""
        now_ns = self._now_ns()
        with os.fdopen(open_plain(path, os.O_RDWR | os.O_APPEND | os.O_CREAT), "ab") as file:
            marked = file.tell()
            last = next(_marks(os.pread(file.fileno(), _MARK.size, marked - _MARK.size)) if marked else iter(()), None)
            if last is not None and 0 <= now_ns - last[1] < MARK_NS:
                return
            before = _HEAD.match(os.pread(log_fd, _HEAD_BYTES_MAX, 0)) if size else None
            at = size + (int(before[1]) - before.end() if before else 0)
            file.write(bytes(-marked % _MARK.size) + _MARK.pack(at, now_ns))

    def _cut(self, path: Path, data: bytes) -> None:
        """Keep the newer half of what is there with `data`, from the beginning of a line where there is one near."""
        before = _parsed(read_plain(path))
        newest = (before.printed + data)[-limits.LOG_BYTES_MAX // 2 :]
        kept = newest[newest.find(b"\n", 0, _CUT_BYTES_MAX) + 1 :]
        head = _head(before.dropped + len(before.printed) + len(data) - len(kept))
        part = path.with_suffix(".part")
        with os.fdopen(open_plain(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(head + kept)
        part.rename(path)  # at once: who is killed in between has the one or the other
        with suppress(OSError, Eio):
            self._cut_marks(path.with_suffix(".times"), before.dropped + len(before.printed) + len(data) - len(kept))

    def _cut_marks(self, path: Path, dropped: int) -> None:
        """Forget when that was printed which is no longer there: the marks stay as few as the log is small."""
        marks = list(_marks(_read(path) or b""))
        first = max((n for n, (at, _) in enumerate(marks) if at <= dropped), default=0)
        part = path.with_suffix(".part")
        with os.fdopen(open_plain(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(b"".join(_MARK.pack(*mark) for mark in marks[first:]))
        part.rename(path)

    def read(self, pid: int | str) -> bytes:
        """What is kept, as `read_log`; b"" where there is nothing."""
        log = read_log(self._folder.parent, pid)
        return log.printed if log is not None else b""

    def older(self, time_ns: int) -> list[int]:
        """The processes to whose logs nothing was added since that time, whether or not anybody knows them still."""
        found: list[int] = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                name, _, kind = entry.name.rpartition(".")
                if kind == "log" and name.isascii() and name.isdigit():
                    with suppress(OSError):
                        if entry.stat(follow_symlinks=False).st_mtime_ns < time_ns:
                            found.append(int(name))
        return sorted(found)

    def forget(self, pid: int) -> bool:
        """Remove what a process printed; whether there was any."""
        path = self.path(pid)
        there = path.exists()
        path.with_suffix(".part").unlink(missing_ok=True)
        path.with_suffix(".times").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        return there
