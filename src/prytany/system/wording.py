"""Words of errors about names: what was written, short enough to be shown, and what may have been meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

WRITTEN_CHARS_MAX = 60
NAMES_MAX = 20
"""That an error lists."""


def visible(text: str) -> str:
    """Text on one line, with what cannot be seen as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quoted(written: str) -> str:
    """What was written, short enough for a line of an error."""
    return repr(written if len(written) <= WRITTEN_CHARS_MAX else written[:WRITTEN_CHARS_MAX] + "…")


def meant(written: str, known: Iterable[str]) -> str:
    """`; is NAME meant?` where a known name is near, else the names that there are."""
    names = sorted(known)
    if near := get_close_matches(written, names, n=1):
        return f"; is {near[0]!r} meant?"
    if not names:
        return "; there are none"
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return f"; there are {', '.join(names[:NAMES_MAX])}{more}"
