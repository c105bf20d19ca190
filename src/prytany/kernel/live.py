"""What the kernel knows of a process that has a worker, and of no other: nothing here is in the journal."""

from __future__ import annotations

from prytany.kernel.replay import Cursor
from prytany.ports.runner import Worker


class Live:
    """One worker's state. `cursor` is there until the worker has reached the frontier of its record."""

    __slots__ = ("cursor", "delivered", "last_n", "last_ns", "leaving", "pid", "run", "sent", "upto", "worker")

    def __init__(self, pid: int, cursor: Cursor, upto: int, run: int = 0) -> None:
        self.pid = pid
        self.run = run
        self.upto = upto
        """The last entry that its record held when it was read."""
        self.cursor: Cursor | None = cursor
        self.worker: Worker | None = None
        self.last_n = 0
        self.last_ns = 0
        """The time of the last item that was sent."""
        self.delivered = 0
        """Items that it has taken."""
        self.sent = 0
        """Items that were handed to it; when it has taken as many, it is idle."""
        self.leaving = False
        """Its end is the kernel's doing: it says nothing about the program."""

    def send(self, n: int, time_ns: int, errno: str, value: bytes) -> None:
        """Hand over one item."""
        self.last_ns = time_ns
        self.sent += 1
        if self.worker is not None:
            self.worker.send(n, time_ns, errno, value)

    def kill(self) -> None:
        """End the worker, and take no notice of how it ends."""
        self.leaving = True
        if self.worker is not None:
            self.worker.kill()
