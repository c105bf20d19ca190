"""Bytes a second that a fleet's agents share: whose turn it is, and that no rate is ever overshot."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prytany.abi.qos import Qos
from prytany.scheduling.flows import Flows, Rated, Standing
from prytany.scheduling.sharing import PASSED, Wanted

S = 1_000_000_000
RATE = 1_000
MINUTE = 60


def of(agent: str, qos: Qos = Qos.UTILITY, *, rate: int = 0, fleet: str = "f", shared: int = RATE) -> Rated:
    return Rated(fleet, agent, shared, rate, qos)


def takes(size: int, weight: int = 1) -> Wanted:
    return Wanted(size, False, weight)


def full(flows: Flows, now_ns: int = 0) -> None:
    """A second's worth has just begun."""
    assert flows.ask(of("first"), (99, 1), takes(RATE), now_ns)


def served(flows: Flows, until_s: float, begun: list[tuple[int, tuple[int, int]]] | None = None) -> list[int]:
    """Whose calls begin, in order, until then."""
    found: list[int] = []
    while (at_ns := flows.next_ns()) is not None and at_ns <= until_s * S:
        for call in flows.due(at_ns):
            found.append(call[0])
            if begun is not None:
                begun.append((at_ns, call))
    return found


def test_agents_share_a_rate_evenly_however_many_calls_each_makes() -> None:
    flows = Flows()
    full(flows)
    for n in range(100):
        assert not flows.ask(of("greedy"), (1, n), takes(100), 0)
    for n in range(10):
        assert not flows.ask(of("modest"), (2, n), takes(100), 0)
    assert served(flows, 2)[:20] == [1, 2] * 10


def test_a_share_is_of_bytes_and_by_weight() -> None:
    flows = Flows()
    full(flows)
    for n in range(200):
        flows.ask(of("large"), (1, n), takes(300), 0)
        flows.ask(of("small"), (2, n), takes(30), 0)
        flows.ask(of("heavy"), (3, n), takes(30, weight=2), 0)
    found = served(flows, 12)
    sizes = {1: 300, 2: 30, 3: 30}
    shares = {pid: found.count(pid) * size for pid, size in sizes.items()}
    assert abs(shares[1] - shares[2]) <= 330
    assert abs(shares[3] - 2 * shares[2]) <= 330


def test_a_person_goes_first_and_background_work_still_gets_a_byte_of_ten() -> None:
    flows = Flows()
    full(flows)
    for n in range(50):
        flows.ask(of("night", Qos.BACKGROUND), (3, n), takes(50), 0)
    for n in range(1_000):
        flows.ask(of("person", Qos.INTERACTIVE), (1, n), takes(50), 0)
    found = served(flows, 20)
    assert found[:PASSED] == [1] * PASSED
    assert abs(found.count(3) - len(found) // (PASSED + 1)) <= 1


def test_a_large_call_of_background_work_waits_until_ten_times_as_much_has_passed_it() -> None:
    flows = Flows()
    full(flows)
    flows.ask(of("night", Qos.BACKGROUND), (3, 1), takes(5_000), 0)
    for n in range(2_000):
        flows.ask(of("person", Qos.INTERACTIVE), (1, n), takes(50), 0)
    assert served(flows, 60).index(3) == 5_000 * PASSED // 50


def test_nobody_saves_up_a_share_by_asking_for_nothing() -> None:
    flows = Flows()
    for second in range(100):
        assert flows.ask(of("busy"), (1, second), takes(RATE), second * S)
    for n in range(100, 120):
        assert not flows.ask(of("busy"), (1, n), takes(100), 99 * S)
        assert not flows.ask(of("new"), (2, n), takes(100), 99 * S)
    found = served(flows, 103)
    assert abs(found[:20].count(1) - found[:20].count(2)) <= 10, (
        "the new one is owed a call at most, of a second's worth"
    )
    assert abs(found.count(1) - found.count(2)) <= 10


def test_an_agent_s_own_rate_holds_as_well_and_keeps_nobody_else_waiting() -> None:
    flows = Flows()
    slow = of("slow", Qos.INTERACTIVE, rate=100)
    assert flows.ask(slow, (1, 0), takes(100), 0)
    assert not flows.ask(slow, (1, 1), takes(100), 0)
    assert flows.ask(of("other"), (2, 1), takes(800), 0), "nobody who waits could begin"
    assert flows.standing(1, 1, 0) == Standing((1, 1), S, 100, True, 1)
    assert flows.due(S) == [(1, 1)]


def test_what_an_agent_may_not_have_is_not_saved_for_when_the_fleet_has_room() -> None:
    flows = Flows()
    slow = of("slow", Qos.BACKGROUND, rate=100)
    assert flows.ask(of("large"), (2, 1), takes(10 * RATE), 0)
    for n in range(30):
        assert not flows.ask(slow, (1, n), takes(100), 0)
    begun: list[tuple[int, tuple[int, int]]] = []
    served(flows, 100, begun)
    assert [round(at_ns / S) for at_ns, _ in begun] == list(range(9, 39))


def test_who_is_more_urgent_passes_within_an_agent_too() -> None:
    flows = Flows()
    assert flows.ask(of("a", rate=100, shared=0), (1, 1), takes(100), 0)
    assert not flows.ask(of("a", rate=100, shared=0), (1, 2), takes(100), 0)
    assert not flows.ask(of("a", Qos.INTERACTIVE, rate=100, shared=0), (2, 1), takes(100), 0)
    assert flows.due(S) == [(2, 1)]
    assert flows.due(2 * S) == [(1, 2)]


def test_it_is_said_who_is_next_and_when() -> None:
    flows = Flows()
    full(flows)
    flows.ask(of("a"), (1, 1), takes(500), 0)
    flows.ask(of("b", Qos.INTERACTIVE), (2, 1), takes(500), 0)
    assert flows.standing(1, 1, 0) == Standing((2, 1), S // 2, RATE, False, 2)
    assert flows.standing(2, 1, 0) == Standing((2, 1), S // 2, RATE, False, 2)
    assert flows.standing(1, 2, 0) is None
    assert flows.standing(99, 1, 0) is None


def test_one_that_leaves_lets_the_next_one_begin() -> None:
    flows = Flows()
    full(flows)
    flows.ask(of("a"), (1, 1), takes(5_000), 0)
    flows.ask(of("a"), (1, 2), takes(10), 0)
    assert flows.next_ns() == S
    flows.leave(1, 1, 0)
    assert flows.next_ns() == S // 100
    flows.leave_all(1, 0)
    assert (flows.next_ns(), list(flows._where)) == (None, [])


def test_a_call_that_is_made_while_another_is_due_waits_behind_it() -> None:
    flows = Flows()
    full(flows)
    flows.ask(of("a"), (1, 1), takes(10), 0)
    assert not flows.ask(of("b", Qos.BACKGROUND), (2, 1), takes(10), S // 2)
    assert flows.next_ns() == S // 100
    assert flows.due(S // 2) == [(1, 1), (2, 1)]


def test_fleets_know_nothing_of_each_other() -> None:
    flows = Flows()
    full(flows)
    assert not flows.ask(of("a"), (1, 1), takes(10), 0)
    assert flows.ask(of("a", fleet="g"), (2, 1), takes(10), 0)


STEP = st.tuples(
    st.integers(0, 2 * S), st.sampled_from("abc"), st.sampled_from(list(Qos)), st.integers(0, 3_000), st.booleans(),
    st.integers(0, 9),
)  # fmt: skip
RATES = {"a": 0, "b": 500, "c": 3_000}


@given(st.lists(STEP, min_size=1, max_size=50))
def test_no_rate_is_overshot_and_nobody_waits_for_ever(steps: list[tuple[int, str, Qos, int, bool, int]]) -> None:
    flows, now_ns = Flows(), 0
    begun: list[tuple[int, int]] = []

    def settle(calls: list[tuple[int, int]]) -> None:
        for call in calls:
            begun.append((now_ns, call[1]))
            if steps[call[1]][4]:
                flows.settle(call, steps[call[1]][3], now_ns)

    left: set[int] = set()
    for n, (later, agent, qos, size, brings, dice) in enumerate(steps):
        now_ns += later
        if dice % 3:  # else it is late
            settle(flows.due(now_ns))
        call = (dice, n)
        if flows.ask(of(agent, qos, rate=RATES[agent]), call, Wanted(0 if brings else size, brings), now_ns):
            settle([call])
        elif dice == 0:
            flows.leave(*call, now_ns)
            left.add(n)
    while (next_ns := flows.next_ns()) is not None:
        now_ns = max(now_ns, next_ns)
        settle(released := flows.due(now_ns))
        further_ns = flows.next_ns()
        assert released or (further_ns is not None and further_ns > now_ns), "the time goes on"
    assert sorted([*(n for _, n in begun), *left]) == list(range(len(steps)))
    assert flows._where == {}
    within(begun, steps, RATE, "abc")
    for agent in "bc":
        within(begun, steps, RATES[agent], agent)


def within(
    begun: list[tuple[int, int]], steps: list[tuple[int, str, Qos, int, bool, int]], rate: int, agents: str
) -> None:  # fmt: skip
    """No window has more than its time, two seconds' worth or a largest call, and one wrong guess allow."""
    own = [(at_ns, steps[n][3]) for at_ns, n in begun if steps[n][1] in agents]
    largest = max((size for _, size in own), default=0)
    for first in range(len(own)):
        flowed = 0
        for at_ns, size in own[first:]:
            flowed += size
            assert flowed <= rate * (at_ns - own[first][0]) // S + 2 * max(rate, largest) + largest + rate + 1
