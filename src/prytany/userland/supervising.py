"""Supervising, as an author of agents does it.

    await proc.supervise("one_for_all", intensity=3, period_s=10)
    await proc.spawn(Ledger, restart="permanent")
    await proc.spawn(reader, restart="transient", shutdown_ms=500)

The kernel carries it out, also while this process waits or is put away.
"""

from __future__ import annotations

import math

from prytany.abi.errors import Einval
from prytany.abi.supervision import INTENSITY, PERIOD_MS
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
        if not math.isfinite(period_s):
            raise Einval(f"a period is a number of seconds, and not {period_s!r}", call="process_supervise")
        await self.calls.process_supervise(strategy, intensity, round(period_s * 1000))
