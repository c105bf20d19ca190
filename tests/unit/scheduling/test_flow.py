"""Bytes a second: what begins, what waits, and in which order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prytany.scheduling.flows import KEPT_MIN, Flows, Rated
from prytany.scheduling.meter import BURST_NS
from prytany.scheduling.sharing import Wanted

S = 1_000_000_000
RATE = 1_000


def own(agent: object, rate: int = RATE) -> Rated:
    """An agent with a rate, in a fleet of its own without one."""
    return Rated(agent, "agent", 0, rate, 2)


def nobody(flows: Flows) -> bool:
    return (flows._where, flows.next_ns()) == ({}, None)


def takes(size: int) -> Wanted:
    return Wanted(size, False)


BRINGS = Wanted(0, True)


def test_a_seconds_worth_begins_at_once_and_what_is_beyond_waits() -> None:
    flows = Flows()
    assert [flows.ask(own("a"), (1, n), takes(400), 0) for n in range(4)] == [True, True, False, False]
    assert flows.next_ns() == S // 5
    assert flows.due(S // 5 - 1) == []
    assert flows.due(S // 5) == [(1, 2)]
    assert flows.due(S) == [(1, 3)]
    assert flows.next_ns() is None


def test_who_asks_later_passes_nobody_be_it_for_less() -> None:
    flows = Flows()
    assert flows.ask(own("a"), (1, 1), takes(1_000), 0)
    assert not flows.ask(own("a"), (1, 2), takes(900), 0)
    assert not flows.ask(own("a"), (2, 1), takes(1), 0)
    assert not flows.ask(own("a"), (2, 2), takes(0), S // 2)
    assert flows.due(2 * S) == [(1, 2), (2, 1), (2, 2)]


def test_what_is_larger_than_a_second_begins_when_nothing_is_owed_and_is_paid_off_after() -> None:
    flows = Flows()
    assert flows.ask(own("a"), (1, 1), takes(10_000), 0)
    assert not flows.ask(own("a"), (1, 2), takes(5_000), 0)
    assert flows.next_ns() == 10 * S
    assert flows.due(10 * S) == [(1, 2)]


def test_what_a_call_brings_lets_the_next_one_wait() -> None:
    flows = Flows()
    assert flows.ask(own("a"), (1, 1), BRINGS, 0)
    assert not flows.settle((1, 1), 7_000, S)
    assert not flows.ask(own("a"), (1, 2), takes(0), S)
    assert flows.next_ns() == 6 * S


def test_many_at_once_that_bring_nobody_knows_what_are_not_all_begun() -> None:
    flows = Flows()
    assert [flows.ask(own("a"), (1, n), BRINGS, 0) for n in range(100)] == [True] + [False] * 99
    assert flows.settle((1, 0), 100, 0)
    assert flows.due(0) == [(1, 1)]
    assert flows.settle((1, 1), 100, 0)
    done, seconds = 2, 0
    while done < 100:
        seconds += 1
        for call in flows.due(seconds * S):
            done += 1
            flows.settle(call, 100, seconds * S)
    assert 9 <= seconds <= 20, "what they bring was learned"


def test_one_that_is_cancelled_while_it_is_under_way_stays_counted() -> None:
    flows = Flows()
    flows.ask(own("a"), (1, 1), BRINGS, 0)
    flows.leave(1, 1, 0)
    assert not flows.settle((1, 1), 0, 0)
    assert not flows.ask(own("a"), (1, 2), takes(RATE), 0)
    assert flows.next_ns() == S


def test_one_bucket_knows_nothing_of_another() -> None:
    flows = Flows()
    assert flows.ask(own("a"), (1, 1), takes(50_000), 0)
    assert not flows.ask(own("a"), (1, 2), takes(1), 0)
    assert flows.ask(own("b"), (2, 1), takes(1_000), 0)


def test_who_leaves_is_not_waited_for() -> None:
    flows = Flows()
    flows.ask(own("a"), (1, 1), takes(2_000), 0)
    for n in (2, 3, 4):
        assert not flows.ask(own("a"), (n, 1), takes(900), 0)
    flows.leave(2, 1, 0)
    flows.leave(2, 1, 0)
    flows.leave(9, 9, 0)
    flows.leave_all(3, 0)
    assert flows.due(10 * S) == [(4, 1)]
    assert nobody(flows)


def test_another_rate_holds_from_now_on_for_what_is_owed_and_for_who_waits() -> None:
    flows = Flows()
    flows.ask(own("a"), (1, 1), takes(10_000), 0)
    flows.ask(own("a"), (1, 2), takes(8_000), 0)
    flows.change(lambda of: (0, lambda agent: 10 * RATE), 5 * S)
    assert flows.due(5 * S) == []
    assert flows.next_ns() == 5 * S + S // 2 - (BURST_NS - 8 * S // 10)
    flows.change(lambda of: (0, lambda agent: 0), 5 * S)
    assert flows.due(5 * S) == [(1, 2)]


def test_a_lower_rate_makes_nobody_wait_for_ever_for_what_was_owed_at_the_higher_one() -> None:
    flows = Flows()
    flows.ask(own("a", 1 << 40), (1, 1), takes(3 << 40), 0)
    flows.ask(own("a", 1 << 40), (1, 2), takes(1), 0)
    flows.change(lambda of: (0, lambda agent: 1), S)
    assert flows.due(S) == []
    assert flows.next_ns() == 3 * S


def test_buckets_that_are_as_good_as_new_are_not_kept() -> None:
    flows = Flows()
    for n in range(100 * KEPT_MIN):
        flows.ask(own(n), (n, 1), takes(1), n * S)
    assert len(flows) <= 2 * KEPT_MIN


@given(st.lists(st.tuples(st.integers(0, 3 * S), st.integers(0, 3_000), st.booleans()), min_size=1, max_size=40))
def test_nobody_is_passed_nobody_waits_for_ever_and_the_rate_is_kept(steps: list[tuple[int, int, bool]]) -> None:
    flows = Flows()
    now_ns, begun = 0, list[tuple[int, int]]()
    sizes = {n: size for n, (_, size, _) in enumerate(steps)}

    def settle(calls: list[tuple[int, int]]) -> None:
        for call in calls:
            begun.append((now_ns, call[1]))
            if steps[call[1]][2]:
                flows.settle(call, sizes[call[1]], now_ns)

    for n, (later, size, brings) in enumerate(steps):
        now_ns += later
        settle(flows.due(now_ns))
        if flows.ask(own("a"), (1, n), Wanted(0, True) if brings else takes(size), now_ns):
            settle([(1, n)])
    while (next_ns := flows.next_ns()) is not None:
        now_ns = max(now_ns, next_ns)
        released = flows.due(now_ns)
        assert released
        settle(released)
    assert [n for _, n in begun] == list(range(len(steps)))
    largest = max(sizes.values())
    for first in range(len(begun)):
        for last in range(first, len(begun)):
            span_ns = begun[last][0] - begun[first][0]
            flowed = sum(sizes[n] for _, n in begun[first : last + 1])
            assert flowed <= RATE * span_ns // S + 2 * max(RATE, largest) + RATE + 1
    assert nobody(flows)
