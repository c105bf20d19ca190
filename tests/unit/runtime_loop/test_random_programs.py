"""The replay law over programs that hypothesis makes up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.runtime_loop.kernel_end import run

OPS = ["sequence", "gather", "completed", "group", "first", "hurried", "slept"]
trees = st.recursive(
    st.integers(0, 99),
    lambda inner: st.builds(
        lambda op, jobs: [op, *jobs], st.sampled_from(OPS), st.lists(inner, min_size=1, max_size=5)
    ),
    max_leaves=25,
)


def _holds(tree: Any, seed: int, heap: int) -> None:
    live = run("tree.py", tree, seed=seed)
    assert live.ending[0] == 0, f"seed {seed}: {live.ending} {live.stderr}"
    again = run("tree.py", tree, heap=heap, hash_seed=heap, replay=live.items, drip=bool(heap % 2))
    assert again.calls == live.calls, f"seed {seed}, heap {heap}"


@settings(max_examples=12, deadline=None)
@given(tree=trees, seed=st.integers(0, 2**16), heap=st.integers(1, 4))
def test_a_random_program_replays(tree: Any, seed: int, heap: int) -> None:
    _holds(tree, seed, heap)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(tree=trees, seed=st.integers(0, 2**16), heap=st.integers(1, 4))
def test_many_random_programs_replay(tree: Any, seed: int, heap: int) -> None:
    _holds(tree, seed, heap)
