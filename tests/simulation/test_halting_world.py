"""Whatever is frozen, drained, upgraded or restored while calls wait in any way: nothing is lost, nothing is asked
again that was answered, nothing stays set aside, and all calls end."""

from __future__ import annotations

import pytest

from prytany.abi import events as ev
from prytany.kernel.folding import fold
from tests.simulation.halting_world import HaltingWorld
from tests.simulation.model_world import check
from tests.simulation.sweep import again


def one(seed: int) -> HaltingWorld:
    """Live a seed's world, and look at its journal."""
    with again(one, seed):
        world = HaltingWorld(seed)
        try:
            world.run()
            check(world.shard, frozenset(world.drained))
            assert fold(world.shard.store.reader())[0].digest() == world.live_digest
            for model in world.models.values():
                assert model.active == 0
                assert model.most <= model.features.limits.concurrency
            assert "crashed" not in {used.cause for used in world.shard.events(ev.ModelUsed)}
        finally:
            world.shard.loop.close()
        return world


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60, 1_000))
def test_nothing_is_lost_and_nothing_asked_twice_in_many_worlds(seed: int) -> None:
    one(seed)


def test_a_call_that_a_person_had_made_again_is_forgotten_when_its_process_is_stopped_and_killed() -> None:
    one(598)


def test_nothing_is_lost_and_nothing_asked_twice_wherever_it_halts_which_is_in_all_these_ways() -> None:
    done, by, put_aside = dict[str, int](), set[str](), 0
    kinds = set[type]()
    for seed in range(60):
        world = one(seed)
        put_aside += world.saving.put_aside
        for what, count in world.done.items():
            done[what] = done.get(what, 0) + count
        for entry in world.shard.entries():
            kinds |= {type(event) for event in entry.events}
            by |= {event.by for event in entry.events if isinstance(event, ev.ModelSpared)}
    ways = ("under way", "queued", "parked on a budget", "a twin", "in a pause")
    met = {f"{what}: {way}" for what in ("freeze", "drain") for way in ways}
    assert set(done) >= {"drain", "quiet", "restore", "upgrade at once", "freeze: put aside", *met}
    assert put_aside > 0
    assert by == {"twin", "kept"}
    assert {ev.ProcessUpgraded, ev.ProcessUpgrading, ev.HomeRestored, ev.ModelQueued, ev.BudgetExceeded} <= kinds
