"""Identical calls in flight: one is asked, all are answered, whoever goes away meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prytany.scheduling import twins
from prytany.scheduling.budgets import Budgets
from prytany.scheduling.call import Call, Qos
from prytany.scheduling.rates import Limits
from prytany.scheduling.run_queue import Used
from prytany.scheduling.scheduler import Wanted
from prytany.scheduling.twins import TwinScheduler

FAILED, ANSWERED = Used(cause="timeout"), Used(1, 1)


def wanted(key: int, same: bytes = b"a", *, tenant: int = 0, qos: Qos = Qos.UTILITY) -> Wanted:
    return Wanted(Call(key, key, qos, tenant=tenant), "m", n=key, same=same)


def scheduler(concurrency: int = 0) -> TwinScheduler:
    made = TwinScheduler(Budgets())
    made.open("m", Limits(concurrency))
    return made


def begin_all(s: TwinScheduler) -> list[int]:
    """Who begins, in order."""
    begun: list[int] = []
    while (decision := s.next(0)) is not None:
        begun.append(decision.wanted.call.key)
        s.begun(begun[-1], 0)
    return begun


def offered(concurrency: int = 0, keys: int = 3) -> TwinScheduler:
    s = scheduler(concurrency)
    for key in range(1, keys + 1):
        s.offer(wanted(key), 0)
    return s


def taken(s: TwinScheduler, key: int) -> list[int]:
    return [follower.call.key for follower in s.taken(key)]


def test_the_first_to_begin_is_asked_and_the_others_get_its_answer_in_the_order_in_which_they_came() -> None:
    s = offered()
    assert begin_all(s) == [1]
    s.offer(wanted(4), 0)
    assert [s.asked_for(key) for key in (1, 2, 3, 4)] == [0, 1, 1, 1]
    s.settled(1, ANSWERED, 0)
    s.offer(wanted(5), 0)  # before the answer is there for all
    assert taken(s, 1) == [2, 3, 4, 5]
    assert s.spared == 4
    s.offer(wanted(6), 0)
    assert begin_all(s) == [6]


def test_another_tenant_and_another_question_wait_for_nobody() -> None:
    s = offered(keys=1)
    s.offer(wanted(2, tenant=1), 0)
    s.offer(wanted(3, b"b"), 0)
    s.offer(wanted(4, b""), 0)
    s.offer(wanted(5, b""), 0)
    assert sorted(begin_all(s)) == [1, 2, 3, 4, 5]


def test_an_urgent_one_waits_for_its_own_turn_and_not_for_that_of_another() -> None:
    s = scheduler(1)
    s.offer(wanted(1, b""), 0)
    assert begin_all(s) == [1]
    s.offer(wanted(2, qos=Qos.BACKGROUND), 0)
    s.offer(wanted(3, qos=Qos.INTERACTIVE), 0)
    s.settled(1, ANSWERED, 0)
    assert begin_all(s) == [3]
    assert s.asked_for(2) == 3


def test_after_a_failure_those_that_waited_are_asked_for_in_their_turn() -> None:
    s = offered(1)
    assert begin_all(s) == [1]
    s.settled(1, FAILED, 0)
    assert begin_all(s) == [2]
    assert s.asked_for(3) == 2
    assert taken(s, 1) == []
    s.offer(wanted(1), 0)  # its further attempt
    s.settled(2, ANSWERED, 0)
    assert taken(s, 2) == [3, 1]


def test_an_answer_that_is_nobodys_lets_the_others_be_asked() -> None:
    s = offered()
    begin_all(s)
    s.settled(1, ANSWERED, 0)
    s.settled(1, Used(cause="cancelled"), 0)  # its call has ended, and nobody took its answer
    assert begin_all(s) == [2]


def test_one_that_is_wanted_no_more_waits_no_more() -> None:
    s = offered()
    begin_all(s)
    left = s.cancel(2, 0)
    assert left is not None
    assert left.call.key == 2
    assert s.cancel(2, 0) is None
    assert s.get(2) is None
    s.settled(1, ANSWERED, 0)
    assert taken(s, 1) == [3]


def test_one_that_waits_for_a_turn_leaves_its_kind() -> None:
    s = offered(1)
    assert s.cancel(1, 0) is not None
    assert begin_all(s) == [2]
    assert s.get(1) is None


def test_what_begins_at_once_is_never_one_that_would_wait_for_another() -> None:
    s = scheduler()
    assert s.at_once(wanted(1), 0)
    s.admit(wanted(1), 0)
    assert not s.at_once(wanted(2), 0)
    assert s.joins(wanted(2))
    assert not s.joins(wanted(2, b"b"))
    assert s.at_once(wanted(2, b""), 0)


def test_a_change_of_class_is_had_when_it_waits_for_its_turn() -> None:
    s = offered(1)
    begin_all(s)
    s.change(3, 0, qos=Qos.INTERACTIVE, weight=2, deadline_ns=0)
    s.settled(1, FAILED, 0)
    assert begin_all(s) == [3]


def test_no_more_wait_for_one_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twins, "FOLLOWERS_MAX", 2)
    s = offered(keys=5)
    assert begin_all(s) == [1, 4, 5]
    s.settled(4, FAILED, 0)
    s.settled(5, ANSWERED, 0)
    s.settled(1, ANSWERED, 0)
    assert (taken(s, 5), taken(s, 1)) == ([], [2, 3])


WAYS = ["offer", "begin", "answered", "failed", "cancel"]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(WAYS), st.integers(0, 8), st.integers(0, 1), st.booleans()), max_size=60))
def test_whatever_happens_each_is_asked_or_waits_and_of_a_kind_one_is_asked(
    done: list[tuple[str, int, int, bool]],
) -> None:
    s, key = scheduler(2), 0
    open_calls: dict[int, tuple[int, bytes]] = {}
    under_way: dict[int, tuple[int, bytes]] = {}
    for what, number, tenant, other in done:
        if what == "offer":
            key += 1
            open_calls[key] = tenant, b"a" if other else b"b"
            s.offer(wanted(key, open_calls[key][1], tenant=tenant), 0)
        elif what == "begin" and (decision := s.next(0)) is not None:
            begins = decision.wanted.call.key
            assert open_calls[begins] not in under_way.values()
            s.begun(begins, 0)
            under_way[begins] = open_calls[begins]
        elif what in ("answered", "failed") and under_way:
            ends = list(under_way)[number % len(under_way)]
            s.settled(ends, ANSWERED if what == "answered" else FAILED, 0)
            kind = under_way.pop(ends)
            del open_calls[ends]
            if what == "answered":
                follows = [k for k, name in open_calls.items() if name == kind and s.asked_for(k) == ends]
                assert taken(s, ends) == follows
                for follower in follows:
                    del open_calls[follower]
        elif what == "cancel" and (waiting := [k for k in open_calls if k not in under_way]):
            left = waiting[number % len(waiting)]
            assert s.cancel(left, 0) is not None
            del open_calls[left]
        for k, name in open_calls.items():
            assert s.get(k) is not None
            if asked := s.asked_for(k):
                assert under_way[asked] == name
    while open_calls:
        while (decision := s.next(10**15)) is not None:
            s.begun(decision.wanted.call.key, 10**15)
            under_way[decision.wanted.call.key] = (0, b"")
        ends = next(iter(under_way))
        del under_way[ends], open_calls[ends]
        s.settled(ends, ANSWERED, 10**15)
        for follower in taken(s, ends):
            del open_calls[follower]
