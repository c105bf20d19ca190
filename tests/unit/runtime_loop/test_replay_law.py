"""The replay law: the same items lead to the same calls, whatever the heap, the batching of writes, or the hashes."""

from __future__ import annotations

import pytest

from tests.unit.runtime_loop.kernel_end import run


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_replay_makes_the_same_calls_in_the_same_order(seed: int) -> None:
    live = run("everything.py", seed=seed, hash_seed=5)
    assert live.ending[0] == 0, f"seed {seed}: {live.ending} {live.stderr}"
    assert len(live.calls) > 150
    for heap, drip in ((0, False), (1, True), (3, False), (5, True)):
        again = run("everything.py", seed=seed, hash_seed=5, heap=heap, replay=live.items, drip=drip)
        assert again.calls == live.calls, f"seed {seed}, heap {heap}, drip {drip}"


@pytest.mark.parametrize("hash_seed", [0, 1, 77])
def test_the_order_of_tasks_does_not_rest_on_the_hash_seed(hash_seed: int) -> None:
    live = run("everything.py", seed=4, hash_seed=5)
    again = run("everything.py", hash_seed=hash_seed, heap=2, replay=live.items)
    # A set of strings does rest on it, which is why the kernel records the hash seed.
    assert [c for c in again.calls if c[2] != "names"] == [c for c in live.calls if c[2] != "names"]
    assert again.named("names") != live.named("names")


def test_every_idle_moment_is_told_once() -> None:
    live = run("everything.py", seed=6)
    delivered = [frame[0] for frame in live.frames]
    assert delivered == sorted(set(delivered))
    assert [call[1] for call in live.calls] == list(range(1, len(live.calls) + 1))
