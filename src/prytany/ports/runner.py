"""The runner: what makes a process run, in a worker or inline.

The kernel and a worker exchange frames (`abi.wire`): items go down, and `[delivered, calls]` comes up. A runner moves
bytes and reports ends; it never looks into a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

Call = tuple[int, str, msgspec.Raw]
"""Number, name and packed arguments."""
UTILITY = 2
"""The class of whoever has none of its own; 0 is the most urgent, 3 the least."""


class Worker(Protocol):
    """One running incarnation."""

    def send(self, n: int, time_ns: int, errno: str, value: bytes) -> None:
        """Hand over one item; `value` is packed. Never blocks: what waits is bounded by the calls in flight."""
        ...

    def kill(self) -> None:
        """End it at once. Nothing is heard of it any more but `Host.on_left`; its process may have another worker."""
        ...

    @property
    def identity(self) -> tuple[int, int]:
        """The operating system's pid and start time, or (0, 0) for a program without a process of its own."""
        ...

    def at_frontier(self) -> None:
        """The replay is over: from here on the kernel need not be told when it is idle."""
        ...

    def hear(self) -> None:
        """What was printed so far was printed before, and is dropped; what comes now is kept."""
        ...

    def log(self, text: str) -> None:
        """Put a line of the kernel's own into the process's log."""
        ...

    def weigh(self, qos: int) -> bool:
        """Its process is of that class from now on. False where the machine refuses to weigh it so: a worker that is
        begun anew would be."""
        ...

    def take_cpu_us(self) -> int:
        """Processor time since it was last asked; what its end is told with is the rest."""
        ...


class Host(Protocol):
    """The kernel, as a runner sees it."""

    def on_frame(self, pid: int, delivered: int, calls: Sequence[Call]) -> None:
        """The worker of `pid` took `delivered` items in all and makes these calls."""
        ...

    def on_exit(self, pid: int, status: int, signal: int, reason: str, cpu_us: int) -> None:
        """The worker of `pid` is gone by itself. Called once, and after it nothing else for that worker."""
        ...

    def on_lost(self, pid: int, reason: str) -> None:
        """The worker of `pid` is gone through no act of its program, e.g. with what it was forked from; its process
        goes on in another. Called once, and after it nothing else for that worker."""
        ...

    def on_left(self, pid: int, cpu_us: int) -> None:
        """A worker of `pid` that was killed is gone, and took so much that was not told."""
        ...


class Runner(Protocol):
    """Starts workers of one kind."""

    async def start(self, pid: int, item: bytes, host: Host, qos: int = UTILITY) -> Worker:
        """A new worker for `pid`, which waits for its first item; `item` is the packed start item, for what the runner
        must know before, and `qos` the class of its process. Raises KernelError when none can be had."""
        ...

    async def close(self) -> None:
        """End every worker."""
        ...
