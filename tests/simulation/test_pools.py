"""Pools: many of one agent behind one mailbox, that grow and shrink with it, and lose no message."""

from __future__ import annotations

from collections import Counter
from random import Random  # noqa: TID251 seeded
from typing import Any

from prytany.abi import events as ev
from prytany.abi.errors import KernelError
from prytany.abi.signals import Signal
from prytany.kernel.fleet_trees import Pooled, Tree, start_tree
from prytany.kernel.fleets import Agent
from prytany.kernel.folding import fold, fold_from_start
from prytany.kernel.kernel import Kernel
from prytany.kernel.outcome import Program
from prytany.testing.virtual_shard import VirtualShard, passes
from prytany.userland.process import Process
from prytany.userland.server import Server
from tests.simulation.shards import SHARDS


class Desk(Server):
    """Takes a second for each, and fails at some."""

    state: int = 0

    async def on_do(self, n: int, fails: int = 0) -> str:
        await self.proc.sleep(1)
        if self.message.attempt <= fails:
            raise ValueError("told to")
        self.state += 1
        return f"{n} by {self.proc.name}"


async def asks(proc: Process, pool: int, count: int) -> list[str]:
    return [await proc.call(pool, "do", n=n) for n in range(count)]


PROGRAMS: dict[str, Any] = {"Desk": Desk, "asks": asks}
POOL = Pooled(1, 4, 2, 5_000)


def shard_of_pools(seed: int = 0) -> VirtualShard:
    shard = VirtualShard(PROGRAMS, {}, pledge=("ipc", "proc"), entropy=Random(seed).randbytes, running_max=100)
    SHARDS.append(shard)
    return shard


def begins(kernel: Kernel) -> int:
    """A fleet with one pool, in its own mailbox; the pool's pid."""
    program = Program("Desk", "Desk", b"# Desk", ("ipc", "proc"), True)
    number = kernel.fleet_operator.declare(
        "f", [Agent("desk", "inline", program)], models={}, tools=[], resolved=b"f", uid=0, stays=True
    )
    return start_tree(
        kernel, number, Tree("desk", "dynamic", 50, 60_000, "permanent", ["desk"] * POOL.least, POOL), uid=0
    )


def send(kernel: Kernel, pool: int, count: int, fails: int = 0) -> None:
    for n in range(count):
        kernel.operator.send(pool, "do", {"n": n, "fails": fails}, uid=0)


def done(shard: VirtualShard) -> Counter[int]:
    return Counter(e.number for e in shard.events(ev.MessageDone) if e.number)


def test_a_pool_grows_with_what_waits_and_shrinks_when_nothing_comes() -> None:
    shard = shard_of_pools()
    sizes: list[int] = []

    async def does(kernel: Kernel) -> None:
        pool = begins(kernel)
        await passes(0.5)
        for count, seconds in ((1, 0.5), (8, 0.5), (10, 20), (0, 60)):
            send(kernel, pool, count)
            await passes(seconds)
            sizes.append(len(kernel.state.pools.pools[pool].members))

    shard.run(does)
    assert sizes[0] == 1, "one at work is enough for one message"
    assert sizes[1] == 4, "at once, and no more than it may have"
    assert sizes[-1] == 1
    assert sorted(done(shard).values()) == [1] * 19
    state, _ = fold(shard.store.reader())
    assert state.digest() == fold_from_start(shard.store.reader()).state.digest()
    taken = Counter(e.receiver for e in shard.events(ev.MessageTaken))
    assert len(taken) == 4, "all had some"


def test_who_is_ended_has_nothing_in_hand_and_a_busy_member_is_not_ended() -> None:
    shard = shard_of_pools()

    async def does(kernel: Kernel) -> None:
        pool = begins(kernel)
        await passes(0.5)
        send(kernel, pool, 40)
        await passes(100)

    shard.run(does)
    in_hand: dict[int, set[int]] = {}
    for entry in shard.entries():
        for e in entry.events:
            match e:
                case ev.MessageTaken():
                    in_hand.setdefault(e.receiver, set()).add(e.number)
                case ev.MessageDone():
                    in_hand[e.pid].discard(e.number) if e.number else None
                case ev.ProcessExited():
                    assert not in_hand.get(e.pid), f"{e.pid} ended with {in_hand[e.pid]} in hand"
                case _:
                    pass
    assert len(done(shard)) == 40


def test_the_message_of_a_member_that_fails_goes_back_and_its_sender_is_answered_by_another() -> None:
    shard = shard_of_pools()

    async def does(kernel: Kernel) -> Any:
        pool = begins(kernel)
        await passes(0.5)
        send(kernel, pool, 4, fails=1)
        send(kernel, pool, 1, fails=9)
        await passes(60)

    shard.run(does)
    assert len(done(shard)) == 4
    assert [e.reason for e in shard.events(ev.MessageDead)] == ["attempts"]
    assert not [e for e in shard.events(ev.ProcessExited) if e.failed]


def test_kernels_and_members_that_end_anywhere_lose_no_message_and_none_is_done_twice() -> None:
    for seed in range(12):
        shard, rng = shard_of_pools(seed), Random(seed)

        async def sends(kernel: Kernel) -> None:
            pool = begins(kernel)
            await passes(0.1)
            send(kernel, pool, 12)
            await passes(0.5)

        async def harms(kernel: Kernel, rng: Random = rng) -> None:
            for _ in range(6):
                await passes(rng.random())
                members = list(kernel.state.pools.members)
                try:
                    kernel.operator.signal(rng.choice(members), Signal.KILL, uid=0, judged=rng.random() < 0.8)
                except (KernelError, IndexError):
                    continue

        async def ends(kernel: Kernel) -> int:
            await passes(200)
            return len(kernel.state.post.box(1).waiting)

        shard.run(sends)
        for _ in range(3):
            head = shard.store.reader().head()
            assert head is not None
            shard.run(harms, stop_at=head.seq + rng.randrange(2, 40))
        left = shard.run(ends)
        pools = fold(shard.store.reader())[0].pools.pools
        finished, dead = done(shard), {e.number for e in shard.events(ev.MessageDead)}
        assert max(finished.values(), default=1) == 1, f"seed {seed}"
        assert len(finished) + len(dead) + left == 12, f"seed {seed}: {finished} {dead} {left}"
        assert not left or not pools or not pools[1].members, f"seed {seed}: {left} wait for nobody"
