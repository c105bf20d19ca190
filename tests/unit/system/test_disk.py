"""People are told once that the disk is nearly full, and again only after there was room."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.system.disk import free_bytes, watch_disk
from tests.simulation.looped import looped


class Watched:
    """A kernel that is looked after until the last of these looks."""

    def __init__(self, *free: int, channels: bool = True) -> None:
        self.free = list(free)
        self.noted: list[ev.Event] = []
        self.closing = False
        self.fleets = SimpleNamespace(fleets={1: SimpleNamespace(channels={0: None} if channels else {})})
        self.outside = SimpleNamespace(clock=self)
        self.deadlines: list[int] = []

    def now_ns(self) -> int:
        return 1_000

    def note(self, events: tuple[ev.Event, ...]) -> None:
        self.noted.extend(events)

    async def sleep_until(self, deadline_ns: int) -> None:
        self.deadlines.append(deadline_ns)
        self.closing = not self.free

    async def run(self) -> list[int]:
        kernel: Any = self
        await watch_disk(kernel, None, lambda home: self.free.pop(0))  # type: ignore[arg-type]
        return [e.value for e in self.noted if isinstance(e, ev.LimitNeared)]


LOW, SOME, MUCH = limits.DISK_LOW_BYTES - 1, limits.DISK_LOW_BYTES + 1, 3 * limits.DISK_LOW_BYTES


@looped
async def test_it_is_said_once_until_there_was_room_again() -> None:
    watched = Watched(MUCH, LOW, LOW - 1, SOME, LOW - 2, MUCH, LOW - 3)
    assert await watched.run() == [LOW, LOW - 3]
    assert set(watched.deadlines) == {1_000 + limits.DISK_LOOK_MS * 1_000_000}


@looped
async def test_where_nobody_is_told_nothing_is_recorded_and_it_is_said_when_somebody_is() -> None:
    watched = Watched(LOW, LOW, channels=False)
    assert await watched.run() == []


def test_a_disk_that_cannot_be_looked_at_is_not_taken_for_full(tmp_path: Any) -> None:
    assert free_bytes(tmp_path / "no") > MUCH
    assert 0 < free_bytes(tmp_path) < 1 << 62
