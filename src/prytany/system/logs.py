"""What processes print: a bounded file each, in the home. When it is full, the older half goes."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from prytany.abi import limits
from prytany.abi.errors import Eio, Enoent
from prytany.journal.plain import open_plain, read_plain


def read_log(home: Path, name: int | str) -> bytes | None:
    """What a process, or a file of tools (`tools.NAME`), printed, None where there is nothing; raises Eio."""
    path = home / "logs" / f"{name}.log"
    try:
        if not stat.S_ISDIR(path.parent.lstat().st_mode):
            raise Eio(f"{path.parent} is not a folder")
        return read_plain(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Eio(f"{path} cannot be read: {error.strerror}") from None


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
        """Add what it printed, as it is; who shows it escapes it."""
        path = self.path(pid)
        with suppress(OSError):  # on a full disk what is printed is lost, and nothing else
            with os.fdopen(open_plain(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as file:
                file.write(data[-limits.LOG_BYTES_MAX :])
                size = file.tell()
            if size > limits.LOG_BYTES_MAX:
                kept = read_plain(path)[-limits.LOG_BYTES_MAX // 2 :]
                with os.fdopen(open_plain(path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
                    file.write(kept[kept.find(b"\n") + 1 :])

    def read(self, pid: int | str) -> bytes:
        """As `read_log`; b"" where there is nothing."""
        return read_log(self._folder.parent, pid) or b""

    def forget(self, pid: int) -> bool:
        """Remove what a process printed; whether there was any."""
        path = self.path(pid)
        there = path.exists()
        path.unlink(missing_ok=True)
        return there
