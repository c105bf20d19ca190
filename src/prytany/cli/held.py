"""Signals to `up` while nobody listens for them yet: from the first line of the command on, and while a home is opened.

TERM ends the process there and then, as a kernel ends that is killed, and nothing is lost. That has to be done by hand:
the first process of a container has no default. HUP is held until the fleet is up, and obeyed then.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

TERMINATED = 128 + signal.SIGTERM
SAID = "stopped while it was opening its home; nothing is lost"


class HangUps:
    """HUPs, of which any number that nobody has heard are one."""

    def __init__(self) -> None:
        self._terminals = [fd for fd in (0, 1, 2) if os.isatty(fd)]
        self._held = False
        self._hear: Callable[[], object] | None = None

    @property
    def terminal_gone(self) -> bool:
        """There was a terminal when the command began, and it is not there any more."""
        return bool(self._terminals) and not any(map(os.isatty, self._terminals))

    def come(self) -> None:
        """There is one."""
        if self._hear is None:
            self._held = True
        else:
            self._hear()

    def hear(self, hear: Callable[[], object] | None) -> None:
        """Have each told to `hear` from now on, what was held first; None holds them again. It is called wherever the
        process is."""
        self._hear = hear
        if hear is not None and self._held:
            self._held = False
            hear()


_first: list[HangUps] = []
"""Of a process that was begun as `prytany up`."""


def _end(number: int, frame: object) -> None:
    text = f'{{"note":"{SAID}"}}' if "--json" in sys.argv else SAID
    with suppress(OSError, ValueError):  # nobody reads it
        if select.select([], [2], [], 0)[1]:  # a terminal that is stopped takes nothing
            os.write(2, f"{text}\n".encode())
    os._exit(TERMINATED)


def hold(hang_ups: HangUps) -> None:
    """TERM ends the process, and HUP is held, from now on."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, lambda number, frame: hang_ups.come())


def hold_from_the_start() -> None:
    """The same in a process that is nothing but this command, before anything is imported for it."""
    _first.append(HangUps())
    hold(_first[0])


@contextmanager
def held() -> Generator[HangUps]:
    """The same within."""
    hang_ups = _first.pop() if _first else HangUps()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    hold(hang_ups)
    try:
        yield hang_ups
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
