"""Watching files of the host, as the kernel is given it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol


class Watch(Protocol):
    """Tells of files that change."""

    def changes(self, patterns: Sequence[str], since_ns: int, debounce_ms: int) -> AsyncIterator[list[str]]:
        """The files that were made, changed or removed, sorted, each time that some were and for `debounce_ms` none was
        more; for ever.

        Args:
            patterns: whole paths, with `*`, `?` and `**` as in a shell.
            since_ns: what changed after that, nanoseconds since 1970, is told at first, as far as it is still there.
            debounce_ms: see above.
        """
        ...
