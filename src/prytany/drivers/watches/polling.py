"""A watch that looks: at each file's stamp, every second. It needs nothing of the operating system, and works on any
file system, networked ones too; decision 152 says why that is enough."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from glob import iglob
from itertools import islice

LOOK_S = 1.0
FILES_MAX = 10_000
"""Of one trigger; what is beyond is not looked at."""
Stamp = tuple[int, int, int]
"""When it was changed and how large it is, and which it is."""


class PollingWatch:
    """See the module."""

    def __init__(self, look_s: float = LOOK_S) -> None:
        self._look_s = look_s

    async def changes(self, patterns: Sequence[str], since_ns: int, debounce_ms: int) -> AsyncIterator[list[str]]:
        """See `Watch`."""
        loop = asyncio.get_running_loop()
        known = await loop.run_in_executor(None, look, patterns)
        changed: set[str] = {path for path, (_, _, changed_ns) in known.items() if changed_ns > since_ns}
        quiet_ns = 0
        while True:
            if changed and quiet_ns >= debounce_ms * 1_000_000:
                yield sorted(changed)
                changed.clear()
                quiet_ns = 0
            wait_s = min(self._look_s, max(0.01, debounce_ms / 1000)) if changed else self._look_s
            await asyncio.sleep(wait_s)
            quiet_ns += round(wait_s * 1e9)
            now = await loop.run_in_executor(None, look, patterns)
            new = {path for path in now.keys() | known.keys() if now.get(path) != known.get(path)}
            if new:
                changed |= new
                quiet_ns = 0
            known = now


def look(patterns: Sequence[str]) -> dict[str, Stamp]:
    """The stamps of all files that match; a file that cannot be looked at is not there."""
    found: dict[str, Stamp] = {}
    for pattern in patterns:
        for path in islice(iglob(pattern, recursive=True), FILES_MAX - len(found)):
            try:
                stat = os.stat(path)
            except OSError:
                continue
            if not os.path.isdir(path) or path == pattern:
                found[path] = (stat.st_size, stat.st_ino, max(stat.st_mtime_ns, stat.st_ctime_ns))
    return found
