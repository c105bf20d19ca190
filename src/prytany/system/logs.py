"""What processes print: a bounded file each, in the home. When it is full, the older half goes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from prytany.abi import limits


def log_path(home: Path, name: int | str) -> Path:
    """The log of a process, or of a file of tools (`tools.NAME`); it may not exist."""
    return home / "logs" / f"{name}.log"


class Logs:
    """The logs of one home."""

    def __init__(self, home: Path) -> None:
        self._home = home
        (home / "logs").mkdir(mode=0o700, exist_ok=True)

    def path(self, pid: int | str) -> Path:
        """As `log_path` says."""
        return log_path(self._home, pid)

    def append(self, pid: int | str, data: bytes) -> None:
        """Add what it printed, as it is; who shows it escapes it."""
        path = self.path(pid)
        with suppress(OSError):  # on a full disk what is printed is lost, and nothing else
            with path.open("ab") as file:
                file.write(data[-limits.LOG_BYTES_MAX :])
                size = file.tell()
            if size > limits.LOG_BYTES_MAX:
                kept = path.read_bytes()[-limits.LOG_BYTES_MAX // 2 :]
                path.write_bytes(kept[kept.find(b"\n") + 1 :])

    def forget(self, pid: int) -> bool:
        """Remove what a process printed; whether there was any."""
        path = self.path(pid)
        there = path.exists()
        path.unlink(missing_ok=True)
        return there
