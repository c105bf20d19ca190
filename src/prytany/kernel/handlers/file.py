"""Files of the operator, on unveiled paths. Whether a path is unveiled is checked where it is opened, by the kernel's
driver: a check of the name here and an open there would be a race."""

from __future__ import annotations

from typing import Any

from prytany.kernel.outcome import Context, Opened
from prytany.process.process import Process


def sys_file_read(k: Context, p: Process, n: int, a: Any) -> Opened:
    """Read a whole file."""
    return Opened(after=k.paced.ask(p, n, b"", brings=True))


def sys_file_write(k: Context, p: Process, n: int, a: Any) -> Opened:
    """Put a whole file in place."""
    return Opened(after=k.paced.ask(p, n, a.data, brings=False))


def sys_file_list(k: Context, p: Process, n: int, a: Any) -> Opened:
    """The names in a folder."""
    return Opened(after=k.paced.ask(p, n, b"", brings=True))
