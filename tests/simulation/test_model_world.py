"""Whatever happens to processes, models, budgets and machines: each attempt begins once, within what its endpoint takes
and its budgets hold, and ends once; and a journal folds to what its kernel had."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from prytany.abi import events as ev
from prytany.kernel.folding import fold
from tests.simulation.model_world import World, check
from tests.simulation.sweep import again


def one(seed: int) -> World:
    """Live a seed's world, and look at its journal."""
    with again(one, seed):
        world = World(seed)
        try:
            world.run()
            check(world.shard)
            assert fold(world.shard.store.reader())[0].digest() == world.live_digest
            for model in world.models.values():
                assert model.active == 0
                most = model.features.limits.concurrency
                assert model.most <= most
        finally:
            world.shard.loop.close()
        return world


@pytest.mark.parametrize("seed", range(20))
def test_attempts_begin_once_and_end_once_within_what_is_allowed(seed: int) -> None:
    one(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 1_000))
def test_attempts_begin_once_and_end_once_in_many_worlds(seed: int) -> None:
    one(seed)


def test_worlds_have_what_they_are_to_have() -> None:
    """Else the others would prove nothing."""
    causes, kinds, lives = set[str](), set[type](), 0
    for seed in range(20):
        world = one(seed)
        lives += world.shard.lives
        for entry in world.shard.entries():
            kinds |= {type(event) for event in entry.events}
            causes |= {event.cause for event in entry.events if isinstance(event, ev.ModelUsed)}
    assert lives > 20
    assert {"", "lost", "cancelled", "rate_limited", "unreachable", "timeout"} <= causes
    assert {
        ev.ModelQueued,
        ev.BudgetExceeded,
        ev.BudgetAdded,
        ev.ProcessExeced,
        ev.ProcessFailed,
        ev.CallPiece,
    } <= kinds


HEAD = "from tests.simulation.test_model_world import one; r = one({}).shard.store.reader().head(); print(r.hash.hex())"


def test_the_order_is_the_same_whatever_the_hash_seed() -> None:
    def head(hash_seed: str) -> str:
        command = [sys.executable, "-c", HEAD.format(7)]
        return subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
        ).stdout

    assert head("1") == head("2") != ""
