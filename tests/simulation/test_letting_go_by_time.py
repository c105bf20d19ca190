"""A kernel in which nothing happens lets go of runs when their time is over, and of none before."""

from __future__ import annotations

import asyncio

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.kernel.letting_go import PAUSE_NS, keep_letting_go, let_go
from prytany.kernel.quotas import DEFAULT_QUOTAS
from prytany.process.table import Table
from prytany.testing.virtual_time import VirtualClock, VirtualLoop

DAY_NS = 86_400_000_000_000


class Owner:
    """A kernel of which only the ends of runs are looked at."""

    def __init__(self, loop: VirtualLoop, days: float) -> None:
        self.quotas = DEFAULT_QUOTAS._replace(ended_run_ms=int(days * 86_400_000))
        self.table = Table()
        self.clock = VirtualClock(loop)
        self.gone: list[tuple[int, int]] = []
        self.looks = 0
        self.closing = False

    def now_ns(self) -> int:
        self.looks += 1
        return self.clock.now_ns()

    def note(self, events: tuple[ev.Event, ...]) -> None:
        for event in events:
            assert isinstance(event, ev.ProcessReaped)
            if not self.closing:
                del self.table.ended[event.pid]
                self.gone.append((event.pid, self.clock.now_ns()))


async def days(owner: Owner, count: float) -> None:
    await owner.clock.sleep_until(owner.clock.now_ns() + int(count * DAY_NS))


def live(keep: float, closing: bool = False) -> tuple[Owner, int]:
    loop = VirtualLoop()
    owner = Owner(loop, keep)

    async def run() -> int:
        began_ns = owner.clock.now_ns()
        ageing = asyncio.ensure_future(keep_letting_go(owner, owner.clock))
        await days(owner, 1)
        for pid in range(1, 201):
            owner.table.ended[pid] = owner.clock.now_ns()
        await days(owner, 1.5)
        owner.table.ended[201] = owner.clock.now_ns()
        owner.closing = closing
        await days(owner, 30)
        ageing.cancel()
        await asyncio.gather(ageing, return_exceptions=True)
        return began_ns

    try:
        return owner, loop.run_until_complete(run())
    finally:
        loop.close()


def test_each_goes_when_its_time_is_over() -> None:
    owner, began_ns = live(7)
    assert [pid for pid, _ in owner.gone] == list(range(1, 202))
    assert not owner.table.ended
    for pid, gone_ns in owner.gone:
        since_ns = began_ns + int((1 if pid < 201 else 2.5) * DAY_NS)
        assert 7 * DAY_NS <= gone_ns - since_ns < 7 * DAY_NS + 2 * PAUSE_NS, pid
    assert owner.looks < 50, "it sleeps in between"


def test_how_long_they_are_kept_is_the_operators_to_say() -> None:
    owner, began_ns = live(0.5)
    assert owner.gone[-1][1] - began_ns < 3.1 * DAY_NS
    assert not live(60)[0].gone


def test_a_kernel_that_stops_is_asked_once_and_no_more() -> None:
    owner, _ = live(7, closing=True)
    assert len(owner.table.ended) == 201
    assert owner.looks < 50


def test_nothing_is_decided_of_what_is_not_due() -> None:
    table = Table()
    table.ended[1] = 1_000
    keep_ns = limits.ENDED_RUN_MS * 1_000_000
    assert let_go(table, 999 + keep_ns) == ()
    assert let_go(table, 1_000 + keep_ns) == (ev.ProcessReaped(1),)
    assert let_go(table, 1_000 + keep_ns, keep_ms=2 * limits.ENDED_RUN_MS) == ()
