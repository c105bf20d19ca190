"""TERM and Ctrl-C on a kernel that stays: the first drains it, the second stops it at once, the third ends the process.

While a home is opened nobody listens yet; see `held`.
"""

from __future__ import annotations

import asyncio
import signal

TOLD = (signal.SIGTERM, signal.SIGINT)


class Stops:
    """What a kernel was told, in the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.first: asyncio.Future[None] = self._loop.create_future()
        self.second: asyncio.Future[None] = self._loop.create_future()
        for number in TOLD:
            self._loop.add_signal_handler(number, self.told)

    def told(self) -> None:
        """Once more."""
        if not self.first.done():
            self.first.set_result(None)
        elif not self.second.done():
            self.second.set_result(None)
            for number in TOLD:  # whatever keeps it from closing, the next one ends the process
                self._loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL)
