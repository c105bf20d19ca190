"""The folder of a home, looked at from time to time: a kernel whose home was removed or moved stops.

What it went on to write would lie in files that nobody can open again, and nobody could reach it: its socket is gone as
well. Where another home is begun in the place, two kernels would do the same work. A commit after the removal is
refused at once (`journal.anchor`); this is for a kernel that has nothing to write, and for a folder that was moved.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from prytany.abi import limits
from prytany.journal.home import Home
from prytany.ports.clock import Clock
from prytany.ports.store import StoreError, StoreGone


def is_there(home: Home) -> bool:
    """Whether the home's path still leads to the folder that was opened, with its journal; one that cannot be looked at
    is taken to be there."""
    try:
        named, opened = os.stat(home.path), os.fstat(home.folder_fd)
        os.stat(home.journal.name, dir_fd=home.folder_fd, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


async def watch_home(home: Home, clock: Clock, gone: Callable[[StoreError], None]) -> None:
    """Look whether it is there, until it is not: then `gone` is told, once."""
    while is_there(home):
        await clock.sleep_until(clock.now_ns() + limits.HOME_LOOK_MS * 1_000_000)
    gone(StoreGone(f"{home.path} was removed, or moved, under the kernel"))
