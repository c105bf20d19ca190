"""How an effect ends that has more to say than its result."""

from __future__ import annotations

from typing import NamedTuple

from prytany.abi import events as ev


class Finished(NamedTuple):
    """An effect's end: the packed result, or the packed error of that errno; and what belongs into the same entry."""

    value: bytes
    errno: str = ""
    events: tuple[ev.Event, ...] = ()
