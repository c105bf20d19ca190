"""The memory of the machine, as far as this kernel may use it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

PPM = 1_000_000
PRESSURE = "memory pressure"
"""The reason of processes that stand still for want of it."""


class Sample(NamedTuple):
    """How it stands now."""

    free_bytes: int
    """That can still be had without anything being written out."""
    total_bytes: int
    """Of the machine, or what its share is limited to."""
    stalled_ppm: int = 0
    """Share of the last ten seconds in which something had to wait for memory."""


class Memory(Protocol):
    """What says how it stands."""

    def sample(self) -> Sample | None:
        """How it stands; None where nobody can say."""
        ...
