"""A kernel's signs of life to its service manager: ready, what it does, that it lives, and that it is to stop.

A sign of life is given by the kernel's own loop, and only when the journal's committer has come to what it was asked
since the last one: a loop that stands still gives none, and neither does a kernel that cannot write. One whose journal
is written anew for `journal archive --shrink` lives, however long that takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from prytany.abi.errors import KernelError
from prytany.journal.writer import Journal
from prytany.system.service_manager import EXTENDED_US, ServiceManager

BEAT_S = 5.0
"""Between two signs, where the manager does not want them more often. By the loop's time: a clock can be set."""
MARGIN_US = 30_000_000
"""Of what a stop takes beside the drain."""


class Announcer:
    """One kernel's word to its manager, until `close`."""

    def __init__(self, manager: ServiceManager, journal: Journal, status: Callable[[], str]) -> None:
        """Nothing is said before `begin`; `status` is what the kernel does, in a line."""
        self._manager = manager
        self._journal = journal
        self._status = status
        self._said = ""
        self._ready = False
        self._turn: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Beat from now on. Until `ready`, each beat asks for more time to start."""
        if self._manager.there:
            self._beat()

    def ready(self) -> None:
        """The fleet is up, and the kernel answers."""
        self._ready = True
        self._said = self._status()
        self._manager.tell(READY=1, STATUS=self._said)

    def reloading(self) -> None:
        """It brings its fleet again; `ready` ends that."""
        self._manager.tell(RELOADING=1, MONOTONIC_USEC=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000)

    def stopping(self, within_s: float) -> None:
        """It is to stop, and may take so long for it."""
        self._ready = True
        self._manager.tell(STOPPING=1, EXTEND_TIMEOUT_USEC=int(within_s * 1_000_000) + MARGIN_US)

    def look(self) -> None:
        """One beat: what it does, where that is another thing than before; and that it lives, if it does."""
        fields: dict[str, str | int] = {}
        if (status := self._status()) != self._said:
            self._said = fields["STATUS"] = status
        if not self._ready:
            fields["EXTEND_TIMEOUT_USEC"] = EXTENDED_US
        if self._manager.watchdog_ns and self._lives():
            fields["WATCHDOG"] = 1
        self._manager.tell(**fields)

    def _lives(self) -> bool:
        """Whether the committer came to what it was asked at the last beat; it is asked again."""
        if self._turn is not None and not self._turn.done():
            return self._journal.shrinking
        failed = self._turn is not None and (self._turn.cancelled() or self._turn.exception() is not None)
        self._turn = None
        with contextlib.suppress(KernelError):
            self._turn = self._journal.turn()
        return self._turn is not None and not failed

    def _beat(self) -> None:
        step_s = self._manager.watchdog_ns / 2e9 or BEAT_S
        self._timer = asyncio.get_running_loop().call_later(min(step_s, BEAT_S), self._beat)
        self.look()

    def close(self) -> None:
        """Say no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._manager.close()
