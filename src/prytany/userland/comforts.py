"""Time, chance and a log for programs: `proc.sleep`, `proc.now`, `proc.random`, `proc.log`.

All of them repeat in a replay: a sleep is a call, the time is that of the last answer, chance comes from the recorded
seed, and a line that was logged before is not logged again.
"""

from __future__ import annotations

import math
import random  # noqa: TID251 seeded from the record, never by itself
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from prytany.abi.errors import Einval
from prytany.userland.calls import Calls

SLEEP_S_MAX = 100 * 366 * 86_400
LINE_CHARS_MAX = 16_384
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Ambient(NamedTuple):
    """What a program's surroundings give to its comforts."""

    now_ns: Callable[[], int]
    """The recorded time, nanoseconds since 1970."""
    say: Callable[[str], None]
    """Puts a line into the process's log, once."""


class Comforts:
    """A part of `Process`."""

    calls: Calls

    def _settle_in(self, start: Mapping[str, Any], ambient: Ambient) -> None:
        self._ambient = ambient
        self._seed: bytes = start.get("seed", b"")
        self._chance: random.Random | None = None

    async def sleep(self, seconds: float) -> None:
        """Wait, without a place or a worker; the time runs on while the kernel is down.

        Args:
            seconds: from now on, which is the time of the last answer; nothing below 0, and at most a hundred years.

        Raises:
            Einval: it is no such number.
        """
        if not math.isfinite(seconds) or seconds > SLEEP_S_MAX:
            raise Einval(f"a sleep takes seconds, at most {SLEEP_S_MAX}, and not {seconds!r}", call="timer_wait")
        await self.calls.timer_wait(self._ambient.now_ns() + max(0, round(seconds * 1e9)))

    def now(self) -> datetime:
        """The time, in UTC: that of the last answer, which stands still while the program computes."""
        return _EPOCH + timedelta(microseconds=self._ambient.now_ns() // 1000)

    def random(self) -> float:
        """A number from 0 to below 1, from the recorded seed. Not for secrets: the operator can know it."""
        if self._chance is None:  # most programs never ask, and to seed it takes longer than to make a call
            self._chance = random.Random(self._seed)
        return self._chance.random()

    def log(self, message: object, **facts: object) -> None:
        """Put one line into the process's log: the time, the message, and facts as `name=value`.

        Args:
            message: what to say; line breaks are escaped, so that it stays one line.
            facts: what belongs to it.
        """
        said = " ".join((str(message), *(f"{name}={value!r}" for name, value in facts.items())))
        line = said[:LINE_CHARS_MAX].replace("\r", "\\r").replace("\n", "\\n")
        self._ambient.say(f"{self.now().isoformat(timespec='milliseconds')} {line}\n")
