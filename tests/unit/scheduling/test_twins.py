"""Identical calls in flight: one is asked, all are answered, whoever goes away meanwhile."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from prytany.scheduling.twins import FOLLOWERS_MAX, Twins


def test_the_first_is_asked_and_the_others_get_its_answer() -> None:
    twins = Twins()
    assert [twins.join(0, b"a", key) for key in (1, 2, 3)] == [False, True, True]
    assert twins.join(1, b"a", 4) is False  # another tenant's
    assert twins.answered(2) == []
    assert twins.answered(1) == [2, 3]
    assert (twins.spared, len(twins)) == (2, 1)
    assert twins.join(0, b"a", 5) is False


def test_where_the_one_that_was_asked_goes_the_next_is_asked() -> None:
    twins = Twins()
    for key in (1, 2, 3):
        twins.join(0, b"a", key)
    assert twins.left(2) is None
    assert twins.left(1) == 3
    assert twins.left(3) is None
    assert twins.left(3) is None
    assert len(twins) == 0


def test_no_more_wait_for_one_than_a_bound() -> None:
    twins = Twins()
    joined = [twins.join(0, b"a", key) for key in range(FOLLOWERS_MAX + 2)]
    assert joined.count(True) == FOLLOWERS_MAX
    assert twins.left(FOLLOWERS_MAX + 1) is None
    assert len(twins.answered(0)) == FOLLOWERS_MAX


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["join", "answered", "left"]), st.integers(0, 8), st.booleans()), max_size=60)
)
def test_of_each_kind_exactly_one_is_asked_while_any_waits(done: list[tuple[str, int, bool]]) -> None:
    twins, asked, waiting, key = Twins(), dict[bytes, int](), dict[int, bytes](), 100
    for what, number, other in done:
        if what == "join":
            key, name = key + 1, b"a" if other else b"b"
            assert twins.join(0, name, key) == (name in asked)
            if name in asked:
                waiting[key] = name
            else:
                asked[name] = key
            continue
        known = sorted([*asked.values(), *waiting])
        if not known:
            continue
        chosen = known[number % len(known)]
        name = waiting.get(chosen, b"a" if asked.get(b"a") == chosen else b"b")
        if what == "answered":
            given_to = twins.answered(chosen)
            if asked.get(name) == chosen:
                assert given_to == [k for k, n in waiting.items() if n == name]
                del asked[name]
                waiting = {k: n for k, n in waiting.items() if n != name}
            else:
                assert given_to == []
        elif waiting.pop(chosen, None) is not None:
            assert twins.left(chosen) is None
        else:
            successor = twins.left(chosen)
            assert successor == next((k for k, n in waiting.items() if n == name), None)
            del asked[name]
            if successor is not None:
                asked[name] = successor
                del waiting[successor]
        assert len(twins) == len(asked) + len(waiting)
