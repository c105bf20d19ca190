"""A uid of its own for each live worker, when the kernel is root.

Invariant: no two live workers of this machine share one, whichever kernel or virtual environment they belong to. So a
kernel first claims a block of uids that no other kernel holds; the claim is an abstract unix socket, which ends with
the process that bound it and leaves nothing behind. Somebody who takes all the names can stop workers from being
started, and nothing else.
"""

from __future__ import annotations

import errno
import heapq
import socket

from prytany.abi.errors import Eagain

UID_BASE = 200_000
BLOCK_UIDS = 4_096
BLOCKS_MAX = 256


class Uids:
    """The block of this process: lowest free first, so that a run's uids repeat."""

    def __init__(self) -> None:
        self._claim: int | None = None
        self._first = 0
        self._used = 0
        self._free: list[int] = []

    def take(self) -> int:
        """A uid that no live worker has; raises Eagain when the block or all blocks are taken."""
        if self._claim is None:
            self._claim_block()
        if self._free:
            return heapq.heappop(self._free)
        if self._used == BLOCK_UIDS:
            raise Eagain(f"all {BLOCK_UIDS} worker uids are in use", detail={"uids": BLOCK_UIDS})
        self._used += 1
        return self._first + self._used - 1

    def give_back(self, uid: int) -> None:
        """The worker that had it is reaped, or never was."""
        heapq.heappush(self._free, uid)

    def _claim_block(self) -> None:
        for block in range(BLOCKS_MAX):
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                claim.bind(f"\0prytany-uids-{block}")
            except OSError as error:
                claim.close()
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            # A bare descriptor: it is held until this process ends, and nothing is to close it before.
            self._claim, self._first = claim.detach(), UID_BASE + block * BLOCK_UIDS
            return
        raise Eagain(f"all {BLOCKS_MAX} blocks of worker uids are claimed", detail={"blocks": BLOCKS_MAX})


worker_uids = Uids()
"""One a process: two launchers of one kernel draw from the same block."""
