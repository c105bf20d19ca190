"""Estimates: close to what calls of a kind take, seldom too low, and forgotten in order."""

from __future__ import annotations

from prytany.scheduling.estimate import Estimates


def test_before_anything_is_known_it_is_a_token_each_four_bytes_and_all_that_is_allowed() -> None:
    assert Estimates().guess("a", 400, 1_000) == (100, 1_000)
    assert Estimates().guess("a", 0, 0) == (1, 1)


def test_it_comes_close_to_what_such_calls_take_and_stays_above_most() -> None:
    known, low = Estimates(), 0
    for number in range(400):
        prompt, answer = 300, 100 + number * 37 % 50
        guess = known.guess("a", 1_000, 4_096)
        low += number > 50 and guess[1] < answer
        known.learn("a", 1_000, prompt, answer)
    assert 280 <= known.guess("a", 1_000, 4_096)[0] <= 310
    assert 120 <= known.guess("a", 1_000, 4_096)[1] <= 200
    assert low < 35
    assert known.guess("a", 1_000, 64)[1] == 64


def test_kinds_do_not_know_of_each_other_and_the_oldest_are_forgotten() -> None:
    known = Estimates(kinds_max=2)
    for kind in ("a", "b", "a", "c"):
        known.learn(kind, 100, 100, 7)
    assert len(known) == 2
    assert known.guess("b", 400, 1_000) == (100, 1_000)
    assert known.guess("a", 400, 1_000)[1] < 1_000


def test_a_report_that_makes_no_sense_does_no_harm() -> None:
    known = Estimates()
    for prompt_bytes, prompt, answer in ((0, 10**12, 0), (10**12, 0, 10**12), (0, 0, 0)):
        known.learn("a", prompt_bytes, prompt, answer)
        asked, given = known.guess("a", 1_000, 4_096)
        assert asked >= 1
        assert 1 <= given <= 4_096
