"""What an effect can end with, beside a plain value: events that belong into the entry which closes its call."""

from __future__ import annotations

from typing import Any, NamedTuple

from prytany.abi import events as ev


class Finished(NamedTuple):
    """A result with its events; or, where there is an errno, `[message, detail]` of an error."""

    value: Any
    used: tuple[ev.Event, ...] = ()
    """What it took; recorded however it ended."""
    events: tuple[ev.Event, ...] = ()
    """What the result changes; recorded with it or not at all."""
    errno: str = ""
    contents: tuple[bytes, ...] = ()
    """What the events name."""
    shared: tuple[bytes, ...] = ()
    """And what others name as well."""
