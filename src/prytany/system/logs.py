"""What processes print: a bounded file each, in the home. When it is full, the older half goes, and the file says so.

    file = [NUL "dropped " number "\\n"] what was printed, as it is

The head says how many bytes were printed before what is there. It is the kernel's alone: where a program's first byte
is a NUL, a head that says 0 stands before it.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prytany.abi import limits
from prytany.abi.errors import Eio, Enoent
from prytany.journal.plain import open_plain, read_plain

_HEAD = re.compile(rb"\x00dropped ([0-9]{1,18})\n")
_CUT_BYTES_MAX = 4_096  # looked at for the end of the line that the cut goes through


class Log(NamedTuple):
    """What is kept of what was printed."""

    dropped: int
    """Bytes that were printed before it and are not kept."""
    printed: bytes


def read_log(home: Path, name: int | str) -> Log | None:
    """What a process, or a file of tools (`tools.NAME`), printed, None where there is nothing; raises Eio."""
    path = home / "logs" / f"{name}.log"
    try:
        if not stat.S_ISDIR(path.parent.lstat().st_mode):
            raise Eio(f"{path.parent} is not a folder")
        return _parsed(read_plain(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Eio(f"{path} cannot be read: {error.strerror}") from None


def _parsed(data: bytes) -> Log:
    head = _HEAD.match(data)
    return Log(int(head[1]), data[head.end() :]) if head else Log(0, data)


def _head(dropped: int) -> bytes:
    return b"\x00dropped %d\n" % dropped


class Logs:
    """The logs of one home."""

    def __init__(self, home: Path) -> None:
        """Open or make the folder; raises Enoent when there is no home, Eio when what is there is no folder."""
        self._folder = home / "logs"
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
            with os.fdopen(open_plain(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as file:
                size = file.tell()
                head = _head(0) if not size and data[:1] == b"\x00" else b""
                fits = size + len(head) + len(data) <= limits.LOG_BYTES_MAX
                if fits:
                    file.write(head + data)
            if not fits:
                self._cut(path, data)

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

    def read(self, pid: int | str) -> bytes:
        """What is kept, as `read_log`; b"" where there is nothing."""
        log = read_log(self._folder.parent, pid)
        return log.printed if log is not None else b""

    def forget(self, pid: int) -> bool:
        """Remove what a process printed; whether there was any."""
        path = self.path(pid)
        there = path.exists()
        path.with_suffix(".part").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        return there
