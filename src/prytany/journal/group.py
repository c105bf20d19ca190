"""What passes from the loop's thread to the writer's, and how it is put together into groups.

A turn is what one turn of the loop appended. Turns that have piled up while the writer was busy are merged, up to a
bound; a command (a snapshot, a forgetting) is never overtaken and never overtakes.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import NamedTuple

from prytany.ports.store import Body, Row, StoreError


class Turn(NamedTuple):
    """Entries in the order of the chain, and the large bodies that belong to them."""

    rows: list[Row]
    large: list[Body]
    reserve: bool


class Command(NamedTuple):
    """Something else to be done on the writer's thread, at its place in the order."""

    run: Callable[[], None]
    refuse: Callable[[StoreError], None]


def merge(
    first: Turn, queue: SimpleQueue[Turn | Command | None], entries_max: int
) -> tuple[Turn, list[Turn | Command | None]]:
    """`first` and the turns that wait behind it, without waiting for more.

    Returns:
        The merged turn, of at most `entries_max` entries unless `first` alone is larger; and what was taken from
        the queue and did not fit, at most one thing.
    """
    rows, large, reserve = first
    while True:
        try:
            item = queue.get_nowait()
        except Empty:
            return Turn(rows, large, reserve), []
        if not isinstance(item, Turn) or len(rows) + len(item.rows) > entries_max:
            return Turn(rows, large, reserve), [item]
        rows += item.rows
        large += item.large
        reserve = reserve or item.reserve
