"""The disk of a home, looked at from time to time: people are told before it is full and the kernel has to stop.

Once it is full nothing can be recorded, and so nobody told.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.kernel.kernel import Kernel
from prytany.ports.clock import Clock

ENOUGH = 2
"""Times `limits.DISK_LOW_BYTES` have to be free again before little is said again."""


def free_bytes(home: Path) -> int:
    """What an ordinary user can still write there; a disk that cannot be looked at is not taken for full."""
    try:
        room = os.statvfs(home)
    except OSError:
        return 1 << 62
    return room.f_bavail * room.f_frsize


async def watch_disk(kernel: Kernel, home: Path, free: Callable[[Path], int] = free_bytes) -> None:
    """Record that the disk is nearly full, whenever it comes to that and a fleet has channels by which it is told."""
    clock: Clock = kernel.outside.clock
    said = False
    while not kernel.closing:
        left = free(home)
        if left < limits.DISK_LOW_BYTES and not said:
            if any(fleet.channels for fleet in kernel.fleets.fleets.values()):
                kernel.note((ev.LimitNeared("disk", left),))
                said = True
        elif left >= ENOUGH * limits.DISK_LOW_BYTES:
            said = False
        await clock.sleep_until(kernel.now_ns() + limits.DISK_LOOK_MS * 1_000_000)
