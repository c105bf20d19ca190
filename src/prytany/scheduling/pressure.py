"""Memory pressure: which agents stand still while the machine has too little memory, and when they go on.

Samples in, actions out. There are three marks, each passed by memory that has become scarce or by work that has to wait
for it, and each eased only well on the other side of it:

    hold        no agent of class background begins
    background  those of class background that run stand still
    utility     so do those of class utility, and none begins

One step up at a look, so that what stands still has the time to give back what it had; and down only after some looks
in a row that were calm. Then they go on in reverse: utility first, the last to stand still before the others, at first
one at a look, then twice as many at each. Initiated and interactive agents are never stopped.

Source: the levels of Linux's pressure stall information as systemd-oomd and Android's lmkd use them; slow start of TCP
(Jacobson, 1988) for going on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import NamedTuple

from prytany.abi.qos import Qos
from prytany.ports.memory import PPM, Sample

CALM_LOOKS = 10
"""In a row, before a level is left."""
AT_ONCE_MAX = 64
"""That go on at one look."""


class Level(IntEnum):
    """How far it has come."""

    CALM = 0
    HOLD = 1
    BACKGROUND = 2
    UTILITY = 3


class Mark(NamedTuple):
    """Where a level begins."""

    free_ppm: int
    """Less than this part is free."""
    free_bytes: int
    """And less than this: a small part of a large machine is much."""
    stalled_ppm: int
    """Or this share of the time something waits for memory."""

    def passed(self, sample: Sample) -> bool:
        """Whether it has come to that."""
        return sample.free_bytes < self._free(sample) or sample.stalled_ppm >= self.stalled_ppm

    def eased(self, sample: Sample) -> bool:
        """Whether it is well over."""
        return 2 * sample.free_bytes >= 3 * self._free(sample) and 2 * sample.stalled_ppm < self.stalled_ppm

    def _free(self, sample: Sample) -> int:
        return min(sample.total_bytes * self.free_ppm // PPM, self.free_bytes)


MARKS = {
    Level.HOLD: Mark(80_000, 2 << 30, 100_000),
    Level.BACKGROUND: Mark(40_000, 1 << 30, 200_000),
    Level.UTILITY: Mark(20_000, 512 << 20, 400_000),
}
CLASS = {Level.BACKGROUND: Qos.BACKGROUND, Level.UTILITY: Qos.UTILITY}
"""Who stands still from that level on."""


class Actions(NamedTuple):
    """What to do now."""

    pause: list[int]
    go_on: list[int]


Running = Callable[[Qos], Iterable[int]]
"""The pids of a class that could stand still, and do not."""
NOTHING = Actions([], [])


class Pressure:
    """See the module.

    Attributes:
        level: how far it has come.
        paused: whom it has made stand still, with their class, in the order in which they were.
        spared: whom somebody let go on meanwhile: they are left alone until it is calm.
    """

    def __init__(self) -> None:
        self.level = Level.CALM
        self.paused: dict[int, Qos] = {}
        self.spared: set[int] = set()
        self._calm = 0
        self._at_once = 1
        self._easing = False

    def look(self, sample: Sample | None, running: Running) -> Actions:
        """What a look at the machine leads to; nobody stands still where nobody can say how it stands (None)."""
        if sample is None:
            return self._calm_at_once()
        wanted = max((level for level, mark in MARKS.items() if mark.passed(sample)), default=Level.CALM)
        if wanted > self.level:
            self.level = Level(self.level + 1)
            return self._stand_still(running)
        if wanted == self.level != Level.CALM:
            return self._stand_still(running) if self._easing else self._not_yet()
        if self.level is Level.CALM:
            return self._go_on(None)
        if not MARKS[self.level].eased(sample):
            return self._not_yet()
        self._calm += 1
        return self._go_down() if self._calm >= CALM_LOOKS else NOTHING

    def holds(self, pid: int, qos: Qos) -> bool:
        """Whether one that would begin stands still instead; it is counted as paused then."""
        if self.level is Level.CALM or pid in self.spared or (self._easing and self.level is Level.HOLD):
            return False
        if qos is not Qos.BACKGROUND and (qos is not Qos.UTILITY or self.level is not Level.UTILITY or self._easing):
            return False
        if pid in self.paused:  # it stood still, and somebody let it go on
            self.spare(pid)
            return False
        self.paused[pid] = qos
        return True

    def spare(self, pid: int) -> None:
        """Somebody has let it go on, whom this is not to argue with."""
        self.paused.pop(pid, None)
        self.spared.add(pid)

    def _stand_still(self, running: Running) -> Actions:
        self._not_yet()
        qos = CLASS.get(self.level)
        found = [pid for pid in running(qos) if pid not in self.spared] if qos is not None else []
        for pid in found:
            assert qos is not None
            self.paused[pid] = qos
        return Actions(found, [])

    def _not_yet(self) -> Actions:
        self._calm, self._at_once, self._easing = 0, 1, False
        return NOTHING

    def _go_down(self) -> Actions:
        """Let some go on whose level is left, or leave it when there is none left."""
        self._easing = True
        if self.level is Level.UTILITY and (going := self._go_on(Qos.UTILITY)).go_on:
            return going
        if self.level is Level.HOLD and (going := self._go_on(None)).go_on:
            return going
        self.level = Level(self.level - 1)
        if self.level is Level.CALM:
            self.spared.clear()
        return self._not_yet()

    def _go_on(self, qos: Qos | None) -> Actions:
        """The next of a class, or of all, that go on: the last to stand still first."""
        going: list[int] = []
        for pid in reversed(self.paused):
            if qos is None or self.paused[pid] is qos:
                going.append(pid)
                if len(going) == self._at_once:
                    break
        if not going:
            self._at_once = 1
            return NOTHING
        self._at_once = min(2 * self._at_once, AT_ONCE_MAX)
        for pid in going:
            del self.paused[pid]
        return Actions([], going)

    def _calm_at_once(self) -> Actions:
        going = list(reversed(self.paused))
        self.paused.clear()
        self.spared.clear()
        self.level = Level.CALM
        self._not_yet()
        return Actions([], going)
