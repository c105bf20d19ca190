"""A bank whose accounts are agents that are killed at random: transfers by message, and not a cent is lost."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random  # noqa: TID251 seeded
from typing import Any

import msgspec
import pytest

from prytany.abi import events as ev
from prytany.abi.errors import KernelError
from prytany.abi.signals import Signal
from prytany.kernel.folding import fold
from prytany.kernel.kernel import Kernel
from prytany.testing.virtual_shard import VirtualShard, passes
from prytany.userland.process import Process
from prytany.userland.server import Server
from tests.simulation.shards import SHARDS

BEGUN_WITH = 1_000


class Account(Server):
    """Cents, and the transfers that came in: a sender that failed in between says the same again."""

    state: dict[str, Any] = {"cents": BEGUN_WITH, "seen": []}  # noqa: RUF012 each activation has its own copy

    async def on_pay(self, to: int, cents: int, fails: bool = False) -> None:
        cents = min(cents, self.state["cents"])
        self.state["cents"] -= cents
        await self.proc.send(to, "credit", cents=cents, transfer=self.message.number)
        if fails and self.message.attempt == 1:
            raise ValueError("after it was sent, and before it is done")

    async def on_credit(self, cents: int, transfer: int) -> None:
        if transfer not in self.state["seen"]:
            self.state["seen"].append(transfer)
            self.state["cents"] += cents


async def branch(proc: Process, accounts: int) -> None:
    await proc.supervise("dynamic", intensity=1_000, period_s=60)
    for _ in range(accounts):
        await proc.spawn(Account, restart="permanent")
    await proc.sleep(10_000_000)


async def bank(proc: Process, branches: int, accounts: int) -> None:
    await proc.supervise("one_for_one", intensity=1_000, period_s=60)
    for _ in range(branches):
        await proc.spawn(branch, accounts, restart="permanent")
    await proc.sleep(10_000_000)


def accounts_of(kernel: Kernel) -> Sequence[int]:
    return [p.pid for p in kernel.table.processes.values() if p.name == "Account" and p.alive]


def soak(branches: int, accounts: int, transfers: int, lives: int, kills: int) -> VirtualShard:
    """Transfers at random, some of which fail half way, members and kernels that end at random; then all is counted."""
    shard = VirtualShard(
        {"bank": bank, "branch": branch, "Account": Account}, {}, pledge=("ipc", "proc"),
        entropy=Random(7).randbytes, running_max=branches * accounts + branches + 1,
    )  # fmt: skip
    SHARDS.append(shard)
    rng = Random(11)

    async def opens(kernel: Kernel) -> None:
        shard.spawn(kernel, "bank", branches, accounts)
        while len(accounts_of(kernel)) < branches * accounts:
            await passes(1)
        await passes(1)

    async def works(kernel: Kernel) -> None:
        await passes(0.1)
        pids = list(accounts_of(kernel))
        for n in range(transfers // lives):
            payer, to = rng.sample(pids, 2)
            try:
                kernel.operator.send(payer, "pay", {"to": to, "cents": rng.randrange(400), "fails": n % 7 == 0}, uid=0)
                if n % (transfers // lives // kills) == 0:
                    kernel.operator.signal(rng.choice(pids), Signal.KILL, uid=0, judged=True)
            except KernelError:
                continue
            if n % 20 == 0:
                await passes(0.01)

    async def rests(kernel: Kernel) -> None:
        await passes(400)

    shard.run(opens)
    for _ in range(lives):
        head = shard.store.reader().head()
        assert head is not None
        shard.run(works, stop_at=head.seq + rng.randrange(transfers, 8 * transfers) // lives)
    shard.run(rests)
    return shard


def balances(shard: VirtualShard) -> list[int]:
    """Of all accounts, by their last states."""
    state, _ = fold(shard.store.reader())
    kept: dict[int, int] = {}
    for row in shard.store.reader().rows(1):
        for event in ev.decode_entry(row.record).events:
            if isinstance(event, ev.MessageDone) and event.state:
                kept[event.pid] = row.seq
    found: list[int] = []

    async def read(kernel: Kernel) -> None:
        for p in state.table.processes.values():
            if p.name == "Account":
                assert p.alive, f"{p.pid}: {p.reason}"
                found.append(msgspec.msgpack.decode(kernel.content(p.snapshot, p.snapshot_seq))[1]["cents"])

    shard.run(read)
    return found


def check(shard: VirtualShard, accounts: int) -> None:
    state, _ = fold(shard.store.reader())
    assert not state.trees.due
    assert not any(box.waiting or box.in_hand or box.dead for box in state.post.boxes.values())
    found = balances(shard)
    assert len(found) == accounts
    assert sum(found) == accounts * BEGUN_WITH, "to the cent"
    assert len(set(found)) > 5, "something was paid"
    assert shard.events(ev.ProcessFailed)


def test_a_bank_of_agents_that_are_killed_loses_no_cent() -> None:
    check(soak(4, 10, 400, 4, 10), 40)


@pytest.mark.slow
def test_a_bank_of_ten_thousand_agents_that_are_killed_loses_no_cent() -> None:
    check(soak(100, 100, 20_000, 4, 100), 10_000)
