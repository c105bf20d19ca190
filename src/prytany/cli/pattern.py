"""A regular expression that a person gave, searched for a bounded time.

Python's own engine can take longer than the world lasts at a short pattern and a short line. It looks for signals while
it works, so an alarm ends it: a pattern that takes too long is refused, and nothing hangs.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from prytany.abi.errors import Einval
from prytany.cli.failure import advised

PATTERN_CHARS_MAX = 1_000
SEARCH_S = 2.0
"""For all lines of one look, or for reading the pattern; of the processor's time."""


class Pattern:
    """Used in the main thread alone, where signals arrive."""

    def __init__(self, text: str, search_s: float = SEARCH_S) -> None:
        """Read it; raises Einval."""
        self._search_s = search_s
        if len(text) > PATTERN_CHARS_MAX:
            raise Einval(f"a pattern has at most {PATTERN_CHARS_MAX} characters")
        try:
            with self._bounded():
                self._pattern = re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise advised(
                Einval(f"{text[:100]!r} is no regular expression: {error}"),
                r"put a backslash before what is meant as it stands, as in \( or \[",
            ) from None

    def matching(self, lines: Sequence[str]) -> list[str]:
        """The lines that it is in; raises Einval where finding out takes too long."""
        with self._bounded():
            return [line for line in lines if self._pattern.search(line) is not None]

    @contextmanager
    def _bounded(self) -> Generator[None]:
        def end(number: int, frame: object) -> None:
            raise advised(
                Einval(f"the pattern takes more than {self._search_s:g} s of search"),
                "leave out repetitions of what repeats itself, as in (a+)+",
            )

        before = signal.signal(signal.SIGVTALRM, end)
        signal.setitimer(signal.ITIMER_VIRTUAL, self._search_s)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)
