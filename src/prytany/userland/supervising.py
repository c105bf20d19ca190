"""Supervising, as an author of agents does it.

    await proc.supervise("one_for_all", intensity=3, period_s=10)
    await proc.spawn(Ledger, restart="permanent")
    await proc.spawn(reader, restart="transient", shutdown_ms=500)

The kernel carries it out, also while this process waits or is put away.
"""

from __future__ import annotations

import math

from prytany.abi.errors import Einval
from prytany.abi.supervision import INTENSITY, PERIOD_MS, PERIOD_MS_MAX
from prytany.userland.calls import Calls


class Supervising:
    """A part of `Process`."""

    calls: Calls

    async def supervise(
        self, strategy: str = "one_for_one", *, intensity: int = INTENSITY, period_s: float = PERIOD_MS / 1000
    ) -> None:
        """Say how the children are supervised that this process spawns with `restart`.

        Args:
            strategy: who begins again with a child that failed: `one_for_one` nobody, `one_for_all` all,
                `rest_for_one` those that were started after it; `dynamic` is as the first, for many children alike.
            intensity: where more children have to begin again within the period than this, all are ended, and this
                process fails, which is then for its own supervisor to see to.
            period_s: that period, seconds.

        Raises:
            Einval: there is no such strategy, or a number is out of bounds.
            Eperm: `proc` is not pledged.
        """
        if not (math.isfinite(period_s) and abs(period_s) <= PERIOD_MS_MAX / 1000):
            raise Einval(f"a period is seconds, at most a day, and not {period_s!r}", call="process_supervise")
        await self.calls.process_supervise(strategy, intensity, round(period_s * 1000))

    async def link(self, pid: int, *, trap: bool = False) -> None:
        """End with another process of the run or fleet, when that ends with a status other than 0 or its incarnation
        fails; and it with this one, where it descends from it.

        Args:
            pid: the other.
            trap: this one does not end, but gets a message `exit`, at any end: pid, status, signal, reason, restarting.

        Raises:
            Esrch: there is none alive of that pid.
            Eperm: it is of another run and fleet, or `ipc` is not pledged.
            Eagain: there are too many.
        """
        await self.calls.process_link(pid, int(trap))

    async def unlink(self, pid: int) -> bool:
        """Undo that; False where there was nothing to undo."""
        return await self.calls.process_unlink(pid)

    async def monitor(self, pid: int) -> int:
        """Be told once of the end of another process, by a message `down`: ref, pid, status, signal, reason, and
        `restarting`, where only its incarnation ended. One that has ended is told of at once.

        Returns:
            `ref`, the monitor's number.

        Raises:
            Esrch: there never was one of that pid.
            Eperm, Eagain: as `link`.
        """
        return await self.calls.process_monitor(pid)

    async def demonitor(self, ref: int) -> bool:
        """Be told no more; False where the message was sent already."""
        return await self.calls.process_demonitor(ref)
