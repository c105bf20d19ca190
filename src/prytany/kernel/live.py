"""What the kernel knows of a process that has a worker, and of no other: nothing here is in the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from prytany.abi import limits
from prytany.kernel.replay import Cursor
from prytany.ports.runner import Worker
from prytany.process.process import Process


class Live:
    """One worker's state. `cursor` is there until the worker has reached the frontier of its record."""

    __slots__ = (
        "_base", "_taken", "_unasked", "accounts", "agent", "cursor", "cut", "delivered", "epoch", "frame_end",
        "last_n", "last_ns", "leaving", "outdated", "pid", "run", "sent", "upto", "worker",
    )  # fmt: skip

    def __init__(self, process: Process, cursor: Cursor) -> None:
        """A worker for `process`, whose record is what it is now."""
        self.pid = process.pid
        self.run = process.run
        self.epoch = process.epoch
        self._base = process.base
        self._unasked = process.cut_unasked
        self.cut = 0
        """Items that were sent before the record was cut, but for one that stands for the start."""
        self.upto = process.tail
        """The last entry that its record held when it was read."""
        self.cursor: Cursor | None = cursor
        self.worker: Worker | None = None
        self.last_n = process.base
        self.last_ns = 0
        """The time of the last item that was sent."""
        self.sent = 0
        self.delivered = 0
        """Items, the start included: those that were sent, and those that the worker says it took."""
        self.frame_end = 0
        """The last call of the frame that is being taken: after it the worker is idle."""
        self.leaving = False
        """Its end is the kernel's doing: it says nothing about the program."""
        self.accounts: Sequence[str] = ()
        """The budgets that what it takes of the processor is charged to."""
        self.agent = ""
        """Of its fleet, that its process was when it began."""
        self.outdated = False
        """It does not weigh what the class of its process says, and cannot be made to."""
        self._taken: asyncio.Future[None] | None = None

    def idle_after(self, n: int, process: Process) -> bool:
        """Whether nothing happens in the program after call `n`, which is about to be opened, until an item comes.

        An inline program sends each call by itself, so that nobody knows whether it will make another.
        """
        return (
            n == self.frame_end
            and self.in_steps
            and process.took_all(n - self._base, self.delivered - 1, self._unasked)
            and len(process.open) + 1 < limits.FRAME_CALLS_MAX  # else the step may go on in another frame
        )

    def quiet(self, process: Process) -> bool:
        """Whether its program has all that there is for it, and does nothing until a call of it ends; of an inline one,
        if it did what comes of its last item by now."""
        items = (self.delivered if self.in_steps else self.sent) - 1
        return self.cursor is None and process.took_all(self.last_n + 1 - self._base, items, self._unasked)

    @property
    def in_steps(self) -> bool:
        """Whether its worker takes one item, runs until idle, and sends all that it asks; an inline one does not."""
        return self.worker is not None and self.worker.identity != (0, 0)

    def send(self, n: int, time_ns: int, errno: str, value: bytes) -> None:
        """Hand over one item."""
        self.last_ns = time_ns
        self.sent += 1
        if self.worker is not None:
            self.worker.send(n, time_ns, errno, value)

    def kill(self) -> None:
        """End the worker, and take no notice of how it ends."""
        self.leaving = True
        self.on_taken()
        if self.worker is not None:
            self.worker.kill()

    async def wait_taken(self, ahead_max: int) -> None:
        """Return when at most `ahead_max` items are on their way, or the worker is to end."""
        while self.sent - self.delivered > ahead_max and not self.leaving:
            if self._taken is None:
                self._taken = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._taken)

    def on_taken(self) -> None:
        """The worker took items, or takes none any more."""
        if self._taken is not None:
            self._taken.set_result(None)
            self._taken = None
