"""The contexts that the kernel holds, of all tenants: read by one's process, and kept within the bounds of one tier.

What is to be packed or to leave is decided in `memory.tiers`; here it is done. A tenant's chains are its own, with its
own digest: what one tenant holds is never found by another's place, whoever says the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prytany.kernel.effects.chains import Chains, Strand
from prytany.kernel.turn import others_first
from prytany.memory.tiers import Runs, Step, Tiers
from prytany.ports.store import Reader

Digest = Callable[[bytes], bytes]


class HeldContexts:
    """See the module."""

    def __init__(
        self, reader: Callable[[], Reader], digest_of: Callable[[int], Digest], bytes_max: int, runs: Runs,
        lost: Callable[[asyncio.Task[None]], None],
    ) -> None:  # fmt: skip
        """`reader` gives the view of what is durable, `digest_of` a tenant's keyed digest; `lost` is told of a task
        that has ended."""
        self._reader = reader
        self._digest_of = digest_of
        self._runs = runs
        self._lost = lost
        self._chains: dict[int, Chains] = {}
        self._sweeping: asyncio.Task[None] | None = None
        self.tiers = Tiers(bytes_max)
        """With the counts of what became of reads."""

    async def read(self, tenant: int, pid: int, seq: int, at: int) -> tuple[Strand, int]:
        """The chain of a context of `pid`, and its length; see `Chains.read`. Raises Eio as that does."""
        chains = self._chains.get(tenant)
        if chains is None:
            chains = self._chains[tenant] = Chains(self._reader, self._digest_of(tenant), self.tiers, tenant)
        strand, length = await chains.read(seq, at, pid)
        while (key := self.tiers.beyond(strand.key)) is not None:
            self._leave(key)
        if self.tiers.due:
            self._sweep(self.tiers.next)
        return strand, length

    def squeeze(self) -> None:
        """The machine has no memory left: all that waits is packed, whatever the marks say."""
        self._sweep(self.tiers.waiting)

    def let_go(self, pid: int) -> None:
        """Nothing of that process is held any more, in any form: it has ended, or what it said is forgotten."""
        for chains in self._chains.values():
            chains.let_go(pid)

    async def close(self) -> None:
        """Stop."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)

    def _sweep(self, decide: Callable[[Runs], Step | None]) -> None:
        """Beside everything else, one at a time."""
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.get_running_loop().create_task(self._make_room(decide))
            self._sweeping.add_done_callback(self._lost)

    async def _make_room(self, decide: Callable[[Runs], Step | None]) -> None:
        while (step := decide(self._runs)) is not None:
            if step.do == "drop":
                self._leave(step.key)
            elif not await self._chains[self.tiers.tenant_of(step.key)].pack(step.key):
                await others_first()  # it was used meanwhile, and so comes last now

    def _leave(self, key: int) -> None:
        self._chains[self.tiers.tenant_of(key)].drop(key)
        self.tiers.dropped(key)
