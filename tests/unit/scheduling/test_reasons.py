"""Each policy says why a call is next, and what it says is so."""

from __future__ import annotations

import pytest

from prytany.scheduling.call import Call, Qos
from prytany.scheduling.policies import POLICIES, Moment
from prytany.scheduling.words import span

S = 1_000_000_000
AT = Moment(100 * S, S, 4)


def _call(key: int, agent: int, qos: Qos = Qos.UTILITY, *, at_s: int = 99, deadline_s: int = 0) -> Call:
    return Call(key, agent, qos, 100, 100, 1, deadline_s * S, offered_ns=at_s * S)


@pytest.mark.parametrize("name", POLICIES)
def test_whoever_is_next_has_a_reason_under_every_policy(name: str) -> None:
    policy = POLICIES[name]()
    calls = [_call(key, key % 3, list(Qos)[key % 4], at_s=60 + key, deadline_s=(key % 2) * 200) for key in range(1, 12)]
    for call in calls:
        policy.offer(call, AT)
    while (first := policy.first(AT)) is not None:
        assert policy.because(first, AT)
        assert policy.first(AT) is first  # to ask changes nothing
        policy.begin(first, AT)


def test_a_class_that_is_overdue_says_so_and_the_highest_says_that() -> None:
    policy = POLICIES["classes"]()
    person, old = _call(1, 1, Qos.INTERACTIVE), _call(2, 2, Qos.BACKGROUND, at_s=10)
    policy.offer(person, AT)
    assert policy.because(person, AT).startswith("interactive is the highest class that waits")
    policy.offer(old, AT)
    assert policy.first(AT) is old
    assert "background has waited for 1 min 30 s, longer than its patience" in policy.because(old, AT)


def test_fair_share_names_what_was_served_and_who_was_served_least() -> None:
    policy = POLICIES["fair_share"]()
    for key in (1, 2, 3):
        policy.offer(_call(key, 1), AT)
    first = policy.first(AT)
    assert first is not None
    assert policy.because(first, AT) == "no other process waits"
    policy.begin(first, AT)
    policy.offer(_call(4, 2), AT)
    least = policy.first(AT)
    assert least is not None
    assert policy.because(least, AT).startswith("of 2 processes that wait, its own was served least")


def test_a_deadline_is_its_own_or_its_classes() -> None:
    policy = POLICIES["earliest_deadline"]()
    own, none = _call(1, 1, deadline_s=101), _call(2, 2, Qos.BACKGROUND)
    policy.offer(own, AT)
    policy.offer(none, AT)
    assert policy.because(own, AT) == "its deadline is the earliest: in 1.0 s (its own)"
    assert "that of its class, background" in policy.because(none, AT)


def test_lengths_of_time_are_said_as_people_do() -> None:
    assert [span(ns) for ns in (-5, S // 2, 61 * S, 7_300 * S)] == ["0.0 s", "0.5 s", "1 min 1 s", "2 h 1 min"]
