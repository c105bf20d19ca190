"""What the kernel knows of a process that has a worker, and of no other: nothing here is in the journal."""

from __future__ import annotations

from prytany.kernel.replay import Cursor
from prytany.ports.runner import Worker


class Live:
    """One worker's state. `cursor` is there until the worker has reached the frontier of its record."""

    __slots__ = ("cursor", "delivered", "epoch", "last_n", "last_ns", "leaving", "pid", "upto", "worker")

    def __init__(self, pid: int, cursor: Cursor, upto: int, epoch: int = 0, base: int = 0) -> None:
        self.pid = pid
        self.epoch = epoch
        self.upto = upto
        """The last entry that its record held when it was read."""
        self.cursor: Cursor | None = cursor
        self.worker: Worker | None = None
        self.last_n = base
        self.last_ns = 0
        """The time of the last item that was sent."""
        self.delivered = 0
        self.leaving = False
        """Its end is the kernel's doing: it says nothing about the program."""

    def send(self, n: int, time_ns: int, errno: str, value: bytes) -> None:
        """Hand over one item."""
        self.last_ns = time_ns
        if self.worker is not None:
            self.worker.send(n, time_ns, errno, value)

    def kill(self) -> None:
        """End the worker, and take no notice of how it ends."""
        self.leaving = True
        if self.worker is not None:
            self.worker.kill()
