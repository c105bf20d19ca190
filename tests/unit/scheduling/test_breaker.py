"""The breaker: it opens, asks once, and closes; and it never shuts an endpoint for ever."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from prytany.scheduling.breaker import DOUBLINGS_MAX, FAILURES_MAX, OPEN_NS, Breaker, State

SECOND_NS = 1_000_000_000


def opened(now_ns: int = SECOND_NS) -> Breaker:
    breaker = Breaker()
    for key in range(FAILURES_MAX):
        breaker.begun(key)
        breaker.failed(key, "unreachable", now_ns)
    return breaker


def test_it_opens_after_failures_in_a_row_and_says_why() -> None:
    breaker = opened()
    assert breaker.state(SECOND_NS) is State.OPEN
    assert breaker.cause == "unreachable"
    assert breaker.ready_ns(SECOND_NS) == SECOND_NS + OPEN_NS


def test_a_success_in_between_counts_anew() -> None:
    breaker = Breaker()
    for key in range(10 * FAILURES_MAX):
        if key % FAILURES_MAX == 0:
            breaker.succeeded(key)
        else:
            breaker.failed(key, "timeout", SECOND_NS)
    assert breaker.state(SECOND_NS) is State.CLOSED


def test_half_open_lets_one_through_and_its_end_decides() -> None:
    breaker, now_ns = opened(), SECOND_NS + OPEN_NS
    assert breaker.state(now_ns) is State.HALF_OPEN
    assert breaker.ready_ns(now_ns) == now_ns
    breaker.begun(70)
    assert breaker.ready_ns(now_ns) is None
    breaker.succeeded(3)  # a call from before the breaker opened
    assert breaker.ready_ns(now_ns) is None
    breaker.succeeded(70)
    assert breaker.state(now_ns) is State.CLOSED


def test_a_probe_that_fails_doubles_the_time_up_to_a_bound() -> None:
    breaker, now_ns, times = opened(), SECOND_NS, []
    for key in range(100, 110):
        ready_ns = breaker.ready_ns(now_ns)
        assert ready_ns is not None
        times.append(ready_ns - now_ns)
        now_ns = ready_ns
        breaker.begun(key)
        breaker.failed(key, "timeout", now_ns)
    assert times[:3] == [OPEN_NS, 2 * OPEN_NS, 4 * OPEN_NS]
    assert max(times) == OPEN_NS << DOUBLINGS_MAX


def test_a_probe_that_nobody_waits_for_makes_room_for_another() -> None:
    breaker, now_ns = opened(), SECOND_NS + OPEN_NS
    breaker.begun(70)
    breaker.gone(70)
    assert breaker.ready_ns(now_ns) == now_ns


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["succeeded", "failed", "gone"]), st.integers(0, 5)), max_size=60))
def test_whatever_happens_it_can_be_asked_again_once_all_have_ended(ends: list[tuple[str, int]]) -> None:
    breaker, now_ns, key = Breaker(), SECOND_NS, 0
    for end, seconds in ends:
        now_ns += seconds * SECOND_NS
        ready_ns = breaker.ready_ns(now_ns)
        assert ready_ns is not None, "nothing is under way, so nothing could free it"
        now_ns, key = ready_ns, key + 1
        breaker.begun(key)
        if end == "failed":
            breaker.failed(key, "timeout", now_ns)
        elif end == "gone":
            breaker.gone(key)
        else:
            breaker.succeeded(key)
