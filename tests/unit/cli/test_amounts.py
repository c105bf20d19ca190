"""Budgets as people write them."""

from __future__ import annotations

import pytest

from prytany.abi.budgets import AMOUNT_MAX, KEPT, NONE, RUN_DEFAULT, Bounds, Budget, checked, over
from prytany.abi.errors import Einval
from prytany.cli.amounts import KEYS, bounds_of, read_bounds, read_more, words_of


def test_what_is_not_named_is_kept() -> None:
    said = read_bounds(["tokens=10,usd=1.5", "wall=10m"], "--budget")
    assert bounds_of(said.total) == {"tokens": 10, "usd_micros": 1_500_000, "wall_ms": 600_000}
    assert (said.total.calls, said.minute.tokens) == (KEPT, KEPT)
    found = over(RUN_DEFAULT, read_bounds(["tokens=7"], "--budget"))
    assert (found.total.tokens, found.total.usd_micros) == (7, RUN_DEFAULT.total.usd_micros)
    assert found.minute == Bounds()


def test_a_bound_or_all_of_them_are_taken_away() -> None:
    assert read_bounds(["unlimited"], "--set") == Budget()
    said = read_bounds(["usd=unlimited", "calls/min=3"], "--set")
    assert (said.total.usd_micros, said.minute.calls) == (NONE, 3)
    assert over(RUN_DEFAULT, said).total == Bounds(tokens=1_000_000)


@pytest.mark.parametrize("text", ["", "x", "tokens", "tokens=1.5", "tokens=-1", "tokens=²", "usd=nan", "usd=1e3",
                                  "usd=.",
                                  "wall=5", "wall/min=1m", "gold=1", "unlimited,tokens=1", "tokens=1,tokens=2",
                                  f"tokens={AMOUNT_MAX + 1}", "tokens/h=1", "wall=999999999w"])  # fmt: skip
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(Einval):
        read_bounds([text], "--set")


def test_more_is_added_up_and_is_more_than_nothing() -> None:
    assert read_more(["tokens=1", "tokens=2,usd=0.000001"]) == Bounds(tokens=3, usd_micros=1)
    for texts in (["tokens=0"], ["tokens/min=1"], ["unlimited"], ["tokens=unlimited"], [f"tokens={AMOUNT_MAX}"] * 2):
        with pytest.raises(Einval):
            read_more(texts)


def test_words_say_what_is_bounded() -> None:
    assert words_of({}, {}) == "what it likes: it is not bounded"
    assert words_of({"tokens": 1_000_000, "usd_micros": 5_000_000}, {}) == "1,000,000 tokens and $5"
    assert words_of({"wall_ms": 90_000}, {"calls": 3}) == "1 min 30 s and 3 calls of models a minute"


def test_every_bound_has_a_name_that_people_write() -> None:
    assert sorted(KEYS.values()) == sorted(Bounds.__struct_fields__)


def test_what_comes_from_elsewhere_is_checked() -> None:
    good = Budget(Bounds(KEPT, NONE, 0), Bounds(tokens=KEPT))
    assert checked(good) is good
    assert checked(None) is None
    for bad in (Budget(Bounds(-3)), Budget(Bounds(AMOUNT_MAX + 1)), Budget(minute=Bounds(wall_ms=1))):
        with pytest.raises(Einval):
            checked(bad)
