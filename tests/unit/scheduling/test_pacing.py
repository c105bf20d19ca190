"""Pacing: nothing that it lets begin trips any of the three limiters, and hardly anything that was paid for is left."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prytany.scheduling.pacing import MARGIN_NS, PPM, SLOT_NS, WINDOW_NS, Pace
from prytany.testing.limiters import LIMITERS, MINUTE_NS

SECOND_NS = 1_000_000_000
LIMIT = 10_000
LARGEST = 400
gaps = st.one_of(st.just(0), st.integers(0, 200 * SECOND_NS))
calls = st.lists(st.tuples(st.integers(1, LARGEST), gaps), min_size=1, max_size=120)


@pytest.mark.parametrize("kind", ["fixed", "sliding", "bucket"])
@settings(max_examples=40, deadline=None)
@given(asked=calls, way_ns=st.lists(st.integers(0, 200_000_000), min_size=1, max_size=7))
def test_what_is_paced_trips_no_limiter(kind: str, asked: list[tuple[int, int]], way_ns: list[int]) -> None:
    pace, limiter, now_ns, arrived_ns = Pace(LIMIT), LIMITERS[kind](LIMIT, MINUTE_NS, LARGEST), SECOND_NS, 0
    for number, (amount, gap_ns) in enumerate(asked):
        now_ns = pace.ready_ns(amount, now_ns + gap_ns)
        assert pace.ready_ns(amount, now_ns) == now_ns
        pace.take(amount, now_ns)
        arrived_ns = max(arrived_ns, now_ns + way_ns[number % len(way_ns)])
        assert limiter.wait_ns(amount, arrived_ns) == 0
        limiter.take(amount, arrived_ns)


@pytest.mark.parametrize("kind", LIMITERS)
def test_a_backlog_uses_almost_all_of_every_limiter(kind: str) -> None:
    pace, limiter, now_ns, used = Pace(LIMIT), LIMITERS[kind](LIMIT, MINUTE_NS, LARGEST), SECOND_NS, 0
    while now_ns < 601 * SECOND_NS:
        amount = 100 + used * 7 % 300
        now_ns = pace.ready_ns(amount, now_ns)
        pace.take(amount, now_ns)
        assert limiter.wait_ns(amount, now_ns) == 0
        limiter.take(amount, now_ns)
        used += amount
    assert used >= 0.97 * LIMIT * 10


def test_a_strict_pace_fits_a_bucket_that_holds_one_call() -> None:
    pace, limiter, now_ns = Pace(60), LIMITERS["small bucket"](60, MINUTE_NS, 1), SECOND_NS
    pace.strict = True
    begun = []
    for _ in range(100):
        now_ns = pace.ready_ns(1, now_ns)
        pace.take(1, now_ns)
        assert limiter.wait_ns(1, now_ns) == 0
        limiter.take(1, now_ns)
        begun.append(now_ns)
    assert all(b - a >= SECOND_NS for a, b in pairwise(begun))


def test_what_is_larger_than_the_limit_waits_for_an_empty_window_and_no_longer() -> None:
    pace = Pace(100)
    assert pace.ready_ns(500, SECOND_NS) == SECOND_NS
    pace.take(10, SECOND_NS)
    ready_ns = pace.ready_ns(500, SECOND_NS)
    assert SECOND_NS + WINDOW_NS <= ready_ns <= SECOND_NS + WINDOW_NS + SECOND_NS
    assert pace.ready_ns(500, ready_ns + 1) == ready_ns + 1


def test_a_correction_gives_back_and_takes_more() -> None:
    pace = Pace(1_000)
    slot = pace.take(900, SECOND_NS)
    assert pace.used == 900
    pace.correct(slot, -800)
    assert pace.used == 100
    later_ns = pace.ready_ns(100, SECOND_NS)
    assert later_ns < SECOND_NS + 10 * SECOND_NS
    pace.correct(slot, 800)
    assert pace.ready_ns(200, later_ns) > SECOND_NS + WINDOW_NS


def test_a_correction_of_what_left_the_window_is_not_counted_in_it() -> None:
    pace = Pace(1_000)
    slot = pace.take(900, SECOND_NS)
    assert pace.ready_ns(1_000, SECOND_NS + 2 * WINDOW_NS) == SECOND_NS + 2 * WINDOW_NS
    pace.correct(slot, 5)
    assert pace.used == 0


def test_it_keeps_a_bounded_number_of_slots_whatever_begins() -> None:
    pace, now_ns = Pace(), SECOND_NS
    for _ in range(50_000):
        now_ns += 10_000_000
        pace.take(1, now_ns)
    assert pace.slots <= (WINDOW_NS + SECOND_NS) // SLOT_NS + 2
    assert pace.share_ppm == PPM


def test_what_began_within_one_slot_leaves_the_window_with_the_last_of_it() -> None:
    pace, last_ns = Pace(10), SECOND_NS + SLOT_NS - 1
    pace.take(5, SECOND_NS)
    pace.take(5, last_ns)
    assert pace.slots == 1
    assert pace.ready_ns(10, last_ns) == last_ns + WINDOW_NS + MARGIN_NS
