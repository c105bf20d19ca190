"""Notices: people outside are told what needs them. What is to be told, and what became of it, is in the journal.

    something comes up ─▶ fold: tallied by channel and kind ─▶ look: `notice.opened` ─▶ durable ─▶ courier
                                                                                          │
                                             `notice.delivered`, or `notice.missed` ◀─────┘
                                                                     with the time of the next attempt, or given up

A notice is told at least once, under one id: an attempt whose result is not recorded is made again. One notice of a
channel is under way at a time. Nothing leaves before what it says is durable; a crash loses nothing, since what was
tallied is a fold of the journal as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from operator import itemgetter
from typing import Protocol

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import KernelError
from prytany.kernel.faults import Core as Faulty
from prytany.kernel.faults import panic
from prytany.kernel.letters import letter, shown_name
from prytany.ports.clock import Clock
from prytany.ports.courier import Courier, Missed
from prytany.supervision.channels import Channel, Notice
from prytany.supervision.fleets import Fleets
from prytany.supervision.noticing import channel_of, storms, telling

AT_ONCE = 16
"""Attempts that are under way, of all channels; a fleet without any may have one beyond it."""
OPENINGS_AT_ONCE = 256
"""In one entry."""
CAUSE_CHARS_MAX = 64
ID_CHARS = 32
_MS = 1_000_000


class Core(Faulty, Protocol):
    """The kernel, as notices see it."""

    fleets: Fleets

    def now_ns(self) -> int:
        """The kernel's time."""
        ...

    def lost(self, task: asyncio.Task[None]) -> None:
        """A task has ended; what it raised stops the kernel."""
        ...


class Notices:
    """See the module. Does nothing until `begin`."""

    def __init__(self, kernel: Core, couriers: Mapping[str, Courier], clock: Clock, home: str = "") -> None:
        """`couriers` are by fleet and channel, as `key_of` names them; `home` is where one looks."""
        self._k = kernel
        self._couriers = couriers
        self._clock = clock
        self._home = home
        self._begun = self._asked = self._flushing = False
        self._seen = 0
        self._trying: dict[str, tuple[int, asyncio.Task[None]]] = {}
        """By channel: the number of its fleet, and the attempt."""
        self._turn = 0
        self._turns: dict[str, int] = {}
        """When each channel had its last one."""
        self._timer: asyncio.Task[None] | None = None
        self._quiet: list[asyncio.Future[None]] = []

    def begin(self) -> None:
        """Go on where the journal stands."""
        self._begun = True
        self.look()

    def news(self) -> None:
        """Something may have come up; costs a comparison where nothing has."""
        if self._k.fleets.news != self._seen:
            self.look()

    def look(self) -> None:
        """Open and try what is due, in the loop's next turn."""
        if self._begun and not self._asked and not self._k.closing:
            self._asked = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._asked = False
        if self._k.closing or self._k.ledger.journal.failure is not None:
            return
        try:
            self._seen = self._k.fleets.news
            self._open()
            self._try()
        except KernelError:
            return  # the journal is broken, and says so elsewhere
        except Exception as error:
            panic(self._k, error, "notices could not be seen to")
            return
        if self._quiet and self._is_quiet():
            quiet, self._quiet = self._quiet, []
            for waits in quiet:
                if not waits.done():
                    waits.set_result(None)

    def _open(self) -> None:
        """Decide what is a storm, and what is told now."""
        fleets, now_ns = self._k.fleets, self._k.now_ns()
        if stormed := list(storms(fleets, now_ns)):
            self._k.ledger.commit(stormed, {}, payer=0)
        if not fleets.telling:
            return
        opened: list[ev.Event] = []
        for number, channel in telling(fleets):
            for due in channel.openings(now_ns, flush=self._flushing):
                notice = fleets.next_notice + len(opened)
                opened.append(ev.NoticeOpened(
                    notice, number, channel.at, due.kind, due.count, due.since_ns, _shown(due.about),
                    self._id(notice), due.until_ns, due.left,
                ))  # fmt: skip
            if len(opened) >= OPENINGS_AT_ONCE:
                self.look()
                break
        if opened:
            self._k.ledger.commit(opened, {}, payer=0)

    def _id(self, notice: int) -> str:
        """Names it for ever, and no other, be it in a home that was restored from a backup of this one."""
        home = self._k.table.home_at(self._k.ledger.journal.next_seq())
        return self._k.ledger.digest(b"notice %d " % notice + home).hex()[:ID_CHARS]

    def _try(self) -> None:
        """Begin the attempts that are due, and look again when the next is.

        Whose turn was longest ago comes first, and a fleet that has none under way has one at once: receivers that
        hang take time from those of their own fleet alone.
        """
        now_ns, durable = self._k.now_ns(), self._k.ledger.journal.durable
        next_ns: int | None = None
        due: list[tuple[int, int, int, Notice]] = []
        for number, channel in telling(self._k.fleets):
            key = key_of(number, channel.at)
            if key in self._trying:
                continue
            notice = channel.due(now_ns, durable)
            if notice is None:
                at_ns = channel.next_ns()
                next_ns = at_ns if next_ns is None or (at_ns is not None and at_ns < next_ns) else next_ns
            else:
                due.append((self._turns.get(key, 0), number, channel.at, notice))
        if not due and not self._trying:
            self._turns.clear()  # of channels that may be gone
        for _, number, at, notice in sorted(due, key=itemgetter(0)):
            if len(self._trying) < AT_ONCE or not any(fleet == number for fleet, _ in self._trying.values()):
                self._begin_attempt(number, at, notice)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if next_ns is not None:
            self._timer = asyncio.ensure_future(self._wake(next_ns))
            self._timer.add_done_callback(self._k.lost)

    def _begin_attempt(self, number: int, at: int, notice: Notice) -> None:
        key = key_of(number, at)
        self._turn += 1
        self._turns[key] = self._turn
        task = asyncio.ensure_future(self._attempt(key, number, at, notice))
        self._trying[key] = number, task
        task.add_done_callback(self._k.lost)

    async def _wake(self, at_ns: int) -> None:
        await self._clock.sleep_until(at_ns)
        self._timer = None
        self.look()

    async def _attempt(self, key: str, number: int, at: int, notice: Notice) -> None:
        said, missed, fleet = b"", None, self._k.fleets.fleets.get(number)
        try:
            courier = self._couriers.get(key)
            if courier is None or fleet is None:
                raise Missed("unavailable")
            async with asyncio.timeout(2 * limits.NOTICE_TIMEOUT_MS / 1_000):
                said = await courier.deliver(letter(notice, fleet.name, self._home))
        except Missed as error:
            missed = error
        except TimeoutError:
            missed = Missed("timeout")
        except Exception as error:
            missed = Missed(f"the courier failed: {type(error).__name__}")
        finally:
            self._trying.pop(key, None)
        channel = channel_of(self._k.fleets, number, at)
        if self._k.closing or channel is None or channel.waiting.get(notice.number) is not notice:
            self.look()
            return  # it stops, and does it again; or an operator said that nobody is told any more
        self._record(number, channel, notice, said if missed is None else missed.said, missed)

    def _record(self, number: int, channel: Channel, notice: Notice, said: bytes, missed: Missed | None) -> None:
        attempt, said = notice.attempts + 1, said[: limits.NOTICE_SAID_BYTES_MAX]
        digest = self._k.ledger.digest(said)
        event: ev.Event
        if missed is None:
            event = ev.NoticeDelivered(notice.number, number, channel.at, attempt, digest)
        else:
            until_ns = self._next_ns(attempt, missed)
            cause = missed.cause[:CAUSE_CHARS_MAX]
            event = ev.NoticeMissed(notice.number, number, channel.at, attempt, cause, until_ns, digest)
        try:
            self._k.ledger.commit((event,), {digest: said} if said else {}, payer=0)
        except KernelError:
            return  # the journal is broken: the next kernel does it again

    def _next_ns(self, attempt: int, missed: Missed) -> int:
        """When it is tried again; 0 for never."""
        if not missed.again or attempt >= limits.NOTICE_ATTEMPTS_MAX:
            return 0
        pause_ms = max(limits.NOTICE_BACKOFF_MS << (attempt - 1), missed.retry_after_ms)
        return self._k.now_ns() + min(pause_ms, limits.NOTICE_BACKOFF_MS_MAX) * _MS

    def _is_quiet(self) -> bool:
        """Whether everything was told once, or tried."""
        fleets = self._k.fleets
        return not self._asked and not self._trying and fleets.news == self._seen and not any(
            channel.tallies or any(not n.attempts for n in channel.waiting.values()) for _, channel in telling(fleets)
        )  # fmt: skip

    async def drain(self) -> int:
        """Tell what there is, periods or not, and wait until everything was tried once, or for some time; how many
        notices were not delivered. For a kernel that is about to end."""
        fleets = self._k.fleets
        if not self._k.closing and (fleets.telling or fleets.suspects or fleets.news != self._seen):
            quiet: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._quiet.append(quiet)
            self._flushing = True
            self.look()
            await asyncio.wait([quiet], timeout=limits.NOTICE_DRAIN_MS / 1_000)
        return sum(len(channel.waiting) for _, channel in telling(fleets))

    async def close(self) -> None:
        """Stop; the next kernel goes on."""
        tasks = [*(task for _, task in self._trying.values()), *([self._timer] if self._timer is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def key_of(fleet: int, at: int) -> str:
    """What a channel's courier is known by."""
    return f"{fleet}/{at}"


def _shown(about: list[ev.Subject]) -> list[ev.Subject]:
    """With names that people can be shown."""
    return [msgspec.structs.replace(subject, name=shown_name(subject.name)) for subject in about]
