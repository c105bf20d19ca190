"""Virtual time: a loop that never waits, and a journal without a thread, so that a seed decides everything.

The loop's time goes on to the next timer as soon as nothing is ready; where there is no timer either, nothing could
ever happen again, and that is an error. The journal commits in the loop, after a delay that the test draws.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

from prytany.journal.writer import Journal

ROUNDED_NS = 100
"""A time as short as the loop's resolution would be over at once, for ever."""


class Deadlock(Exception):
    """Nothing is ready, and no timer is left."""


class _NoFiles(selectors.DefaultSelector):
    """A selector that looks at its files and never waits for them: what it would wait goes onto the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Deadlock("nothing is ready, and no timer is left")
            self.now_ns += round(max(timeout, 0) * 1e9)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time; `now_ns` starts at a fixed moment."""

    START_NS = 1_790_000_000_000_000_000

    def __init__(self) -> None:
        self._files = _NoFiles()
        super().__init__(self._files)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._files.now_ns / 1e9

    @property
    def now_ns(self) -> int:
        """The virtual time, nanoseconds since the epoch."""
        return self.START_NS + self._files.now_ns


class VirtualClock:
    """The clock port on a virtual loop. Each look is a nanosecond later, so that no two are the same."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._looks = 0

    def now_ns(self) -> int:
        """The loop's time."""
        self._looks += 1
        return self._loop.now_ns + self._looks

    async def sleep_until(self, deadline_ns: int) -> None:
        """Return at the first turn at or after `deadline_ns`."""
        await asyncio.sleep(max(0, deadline_ns - self._loop.now_ns) / 1e9)
        if deadline_ns > self._loop.now_ns:  # a float of seconds is not exact
            await asyncio.sleep((deadline_ns - self._loop.now_ns + ROUNDED_NS) / 1e9)


class SteppedJournal(Journal):
    """A journal that commits on its loop, `delay()` seconds after the turn that appended."""

    def __init__(self, *args: Any, delay: Callable[[], float], **kwargs: Any) -> None:
        self._delay = delay
        super().__init__(*args, **kwargs)

    def _begin(self) -> None:
        """There is no thread."""

    def _flush(self) -> None:
        super()._flush()
        self._loop.call_later(self._delay(), self._step)

    def _step(self) -> None:
        self._committer.drain()

    def lose(self) -> None:
        """Nothing that was appended and not committed will be: the machine goes out."""
        self._rows.clear()
        self._large.clear()
        self._committer.drop()

    async def close(self) -> None:
        """Commit what is queued and end."""
        self._loop.call_soon(self._step)
        await super().close()
