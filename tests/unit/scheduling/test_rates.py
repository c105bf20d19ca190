"""Rates: a refusal slows everybody and the rate finds what the endpoint allows, with no call lost."""

from __future__ import annotations

from prytany.scheduling.pacing import PPM, WINDOW_NS
from prytany.scheduling.rates import AWAY_PAUSES, CUT_PPM, PAUSE_NS, Limits, Rates, Told

SECOND_NS = 1_000_000_000


def test_a_refusal_stops_everybody_until_the_time_it_names() -> None:
    rates = Rates(Limits(requests_per_minute=600))
    rates.take(1, SECOND_NS)
    rates.refused(SECOND_NS, 2 * SECOND_NS, 7 * SECOND_NS)
    assert rates.ready_ns(1, 2 * SECOND_NS) == 9 * SECOND_NS
    rates.refused(SECOND_NS, 3 * SECOND_NS, SECOND_NS)
    assert rates.ready_ns(1, 3 * SECOND_NS) == 9 * SECOND_NS


def test_the_pause_doubles_where_none_is_named_and_not_for_those_that_were_on_their_way() -> None:
    rates, now_ns, pauses = Rates(Limits(requests_per_minute=600)), SECOND_NS, []
    for _ in range(4):
        rates.refused(now_ns, now_ns)
        rates.refused(now_ns, now_ns)
        pauses.append(rates.paused_ns - now_ns)
        now_ns = rates.paused_ns
    assert pauses == [PAUSE_NS, 2 * PAUSE_NS, 4 * PAUSE_NS, 8 * PAUSE_NS]
    rates.succeeded(now_ns, now_ns + 1)
    rates.refused(now_ns, now_ns + 1)
    assert rates.paused_ns == now_ns + 1 + PAUSE_NS


def test_one_overrun_is_one_cut_however_many_calls_it_sends_away() -> None:
    rates = Rates(Limits(requests_per_minute=600))
    rates.refused(1, 10 * SECOND_NS)
    assert rates.requests.strict
    assert rates.requests.share_ppm == PPM
    rates.succeeded(11 * SECOND_NS, 12 * SECOND_NS)
    for _ in range(20):
        rates.refused(12 * SECOND_NS, 13 * SECOND_NS)
    assert rates.requests.share_ppm == CUT_PPM
    for _ in range(20):  # nothing has succeeded since: the endpoint is shut, and says nothing of its rate
        rates.refused(14 * SECOND_NS, 15 * SECOND_NS)
    assert rates.requests.share_ppm == CUT_PPM


def test_what_was_cut_comes_back_by_a_hundredth_a_minute_of_success() -> None:
    rates, now_ns = Rates(Limits(requests_per_minute=600)), SECOND_NS
    rates.requests.strict = rates.tokens.strict = True
    rates.refused(1, now_ns)
    for _ in range(600):
        now_ns += WINDOW_NS // 60
        rates.succeeded(now_ns - 1, now_ns)
    assert 0.99 * PPM <= rates.requests.share_ppm <= PPM


def test_a_refusal_makes_a_limit_where_nobody_named_one() -> None:
    rates, now_ns = Rates(), SECOND_NS
    for _ in range(100):
        assert rates.ready_ns(10, now_ns) == now_ns
        rates.take(10, now_ns)
        now_ns += SECOND_NS // 10
    rates.refused(now_ns - 1, now_ns, SECOND_NS)
    assert 500 <= rates.requests.limit <= 620
    assert rates.requests.allowed < rates.requests.limit
    before = rates.requests.allowed
    for _ in range(200):
        now_ns += SECOND_NS * 6
        rates.succeeded(now_ns - 1, now_ns)
    assert rates.requests.allowed > 1.8 * before


def test_a_refusal_of_the_first_calls_is_a_pause_and_no_limit() -> None:
    rates = Rates()
    rates.take(10, SECOND_NS)
    rates.refused(SECOND_NS, 2 * SECOND_NS, SECOND_NS)
    assert rates.ready_ns(10, 2 * SECOND_NS) == 3 * SECOND_NS
    assert (rates.requests.limit, rates.tokens.limit) == (0, 0)


def test_headers_lower_a_limit_and_raise_it_no_higher_than_the_operator_does() -> None:
    rates = Rates(Limits(requests_per_minute=600))
    rates.told(SECOND_NS, requests=Told(limit=480), tokens=Told(limit=1_000))
    assert (rates.requests.limit, rates.tokens.limit) == (480, 1_000)
    rates.told(SECOND_NS, requests=Told(limit=10_000))
    assert rates.requests.limit == 600
    rates.told(SECOND_NS, tokens=Told(limit=2_000), requests=Told(left=3))
    assert (rates.requests.limit, rates.tokens.limit) == (600, 2_000)


def test_nothing_left_is_a_pause_of_at_most_a_window() -> None:
    rates = Rates(Limits(requests_per_minute=600))
    rates.told(SECOND_NS, requests=Told(left=0, reset_ns=3 * SECOND_NS))
    assert rates.ready_ns(1, SECOND_NS) == 4 * SECOND_NS
    rates.told(SECOND_NS, tokens=Told(left=0, reset_ns=10**18))
    assert rates.ready_ns(1, SECOND_NS) <= SECOND_NS + WINDOW_NS


def test_an_endpoint_is_away_where_it_names_more_than_a_minute_or_refuses_again_and_again() -> None:
    rates = Rates()
    rates.refused(SECOND_NS, SECOND_NS, 59 * SECOND_NS)
    assert not rates.away(SECOND_NS)
    rates.refused(SECOND_NS, SECOND_NS, 61 * SECOND_NS)
    assert rates.away(SECOND_NS)
    assert not rates.away(rates.paused_ns)  # it may be asked again
    rates, now_ns = Rates(), SECOND_NS
    for _ in range(AWAY_PAUSES):
        assert not rates.away(now_ns)
        now_ns = rates.paused_ns + 1
        rates.refused(now_ns, now_ns)
    assert rates.away(now_ns)
    rates.succeeded(now_ns, now_ns)
    assert not rates.away(now_ns)
