"""Ranked: the order is always that of the ranks, whatever was moved or dropped, and what is left behind is bounded."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from prytany.scheduling.ranked import SPARE, Ranked

steps = st.lists(st.tuples(st.integers(0, 12), st.one_of(st.none(), st.integers(0, 5))), max_size=120)


@settings(deadline=None)
@given(steps)
def test_the_first_is_the_lowest_rank_and_then_the_lowest_key(done: list[tuple[int, int | None]]) -> None:
    ranked: Ranked[int] = Ranked()
    model: dict[int, int] = {}
    for key, rank in done:
        if rank is None:
            ranked.drop(key)
            model.pop(key, None)
        else:
            ranked.put(key, rank)
            model[key] = rank
        assert len(ranked) == len(model)
        assert ranked.first() == min(model, key=lambda k: (model[k], k), default=None)
        assert ranked.entries <= 2 * len(model) + SPARE + 1


def test_a_rank_that_is_moved_for_ever_leaves_nothing_behind() -> None:
    ranked: Ranked[int] = Ranked()
    for rank in range(10_000):
        ranked.put(1, rank)
    assert ranked.entries <= SPARE + 3
