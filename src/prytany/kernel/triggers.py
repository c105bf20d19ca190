"""What triggers wait for outside of the journal: times and files. What comes is recorded; what is done for it is
decided by `trigger_fills`.

The next time of each is in the state, so that a crash neither loses nor repeats one. Times that have passed while no
kernel ran, or while the machine slept, are caught up with as the trigger says.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.values import pack
from prytany.kernel import cron
from prytany.kernel.ledger import Ledger
from prytany.ports.clock import Clock
from prytany.ports.watch import Watch
from prytany.supervision.triggers import TIMED, Trigger

LATE_NS = 10_000_000_000
"""A time that is seen later than that was missed."""
FILES = "files"


class Core(Protocol):
    """The kernel, as this sees it."""

    ledger: Ledger
    closing: bool

    def lost(self, task: asyncio.Task[None]) -> None:
        """A task of the kernel's has ended."""
        ...

    def now_ns(self) -> int:
        """The kernel's time."""
        ...

    def digest(self, content: bytes) -> bytes:
        """The keyed digest of `content`."""
        ...

    def entropy(self, size: int) -> bytes:
        """Random bytes; what is drawn goes into an event."""
        ...


class Triggers:
    """See the module."""

    def __init__(self, kernel: Core, clock: Clock, watch: Watch | None) -> None:
        self._k = kernel
        self._clock = clock
        self._watch = watch
        self._timer: asyncio.Task[None] | None = None
        self._watching: dict[str, tuple[int, asyncio.Task[None]]] = {}
        """By trigger: the entry that declared what is watched, or when it was switched on; and the task."""
        self._begun = False

    def begin(self) -> None:
        """From here on."""
        self._begun = True
        self.look()

    def look(self) -> None:
        """Triggers are others than before, or a time has come."""
        if not self._begun or self._k.closing:
            return
        triggers = self._k.ledger.state.triggers.triggers
        for trigger in list(triggers.values()):
            if trigger.on and trigger.spec.kind in TIMED:
                self._time(trigger)
        self._sleep(min((t.wake_ns for t in triggers.values() if t.on and t.wake_ns), default=0))
        wanted = {key: t for key, t in triggers.items() if t.on and t.spec.kind == FILES}
        for key in [key for key, (mark, _) in self._watching.items() if key not in wanted or wanted[key].mark != mark]:
            self._watching.pop(key)[1].cancel()
        for key, trigger in wanted.items():
            if key not in self._watching and self._watch is not None:
                self._watching[key] = trigger.mark, self._task(self._look_at(trigger, trigger.mark))

    def _task(self, work: object) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        task.add_done_callback(self._k.lost)
        return task

    def _sleep(self, until_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._task(self._wait(until_ns)) if until_ns else None

    async def _wait(self, until_ns: int) -> None:
        await self._clock.sleep_until(until_ns)
        self._timer = None
        self.look()

    def _time(self, trigger: Trigger) -> None:
        """Record the times of a trigger that have come, and its next one."""
        now_ns, spec = self._k.now_ns(), trigger.spec
        times: list[int] = []
        left_out = 0
        if trigger.next_ns:
            if trigger.wake_ns > now_ns:
                return
            times, left_out = cron.passed(spec, trigger.next_ns, now_ns)
            kept = _kept(spec, times, now_ns)[: max(0, limits.TRIGGER_QUEUE_MAX - len(trigger.queue))]
            left_out += len(times) - len(kept)
            times = kept
        elif trigger.wake_ns:
            return  # it never comes any more
        next_ns = cron.next_ns(spec, now_ns)
        jitter_ns = int.from_bytes(self._k.entropy(8)) % (spec.jitter_ms * 1_000_000 + 1) if spec.jitter_ms else 0
        wake_ns = next_ns + jitter_ns if next_ns else 0
        if not (times or left_out or next_ns):
            return
        timed = ev.TriggerTimed(trigger.fleet, trigger.name, times, next_ns, wake_ns, left_out)
        self._k.ledger.commit((timed,), {}, payer=0)

    async def _look_at(self, trigger: Trigger, mark: int) -> None:
        assert self._watch is not None
        spec, k = trigger.spec, self._k
        async for paths in self._watch.changes(spec.on, trigger.looked_ns, spec.debounce_ms):
            if k.closing or not trigger.on or trigger.mark != mark:
                return
            content = pack({"paths": paths[: limits.TRIGGER_PATHS_MAX], "count": len(paths)})
            digest = k.digest(content)
            if not trigger.full:
                k.ledger.commit((ev.TriggerSeen(trigger.fleet, trigger.name, digest),), {digest: content}, payer=0)

    async def close(self) -> None:
        """End."""
        self._begun = False
        tasks = [task for _, task in self._watching.values()] + ([self._timer] if self._timer is not None else [])
        self._watching, self._timer = {}, None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _kept(spec: ev.TriggerSpec, times: list[int], now_ns: int) -> list[int]:
    """Those of the times that have come for which something is done."""
    if spec.missed == "all":
        return times
    if spec.missed == "once":
        return times[-1:]
    return [at_ns for at_ns in times if now_ns - at_ns - spec.jitter_ms * 1_000_000 <= LATE_NS][-1:]
