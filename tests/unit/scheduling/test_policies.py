"""Every policy against a model of what waits: nothing is lost, invented or begun twice, and to look changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from prytany.scheduling.call import Call, Qos
from prytany.scheduling.policies import POLICIES, Moment, Policy
from prytany.scheduling.policies.fair_share import FairShare

SECOND_NS = 1_000_000_000


class PolicyMachine(RuleBasedStateMachine):
    """Offers, beginnings, withdrawals and settlements, in any order, at times that go on."""

    name = "classes"

    def __init__(self) -> None:
        super().__init__()
        self.policy: Policy = POLICIES[self.name]()
        self.waiting: dict[int, Call] = {}
        self.running: list[Call] = []
        self.now_ns = SECOND_NS
        self.key = 0

    @property
    def at(self) -> Moment:
        return Moment(self.now_ns, SECOND_NS, len(self.running))

    @rule(
        agent=st.integers(1, 4),
        qos=st.sampled_from(Qos),
        tokens=st.integers(1, 900),
        weight=st.sampled_from([1, 3, 1_000]),
        deadline_s=st.sampled_from([0, 1, 50, 10**9]),
    )
    def offer(self, agent: int, qos: Qos, tokens: int, weight: int, deadline_s: int) -> None:
        self.key += 1
        call = Call(self.key, agent, qos, tokens, tokens, weight, deadline_s * SECOND_NS, offered_ns=self.now_ns)
        self.waiting[call.key] = call
        self.policy.offer(call, self.at)

    @rule(seconds=st.sampled_from([0, 1, 5, 100]))
    def pass_time(self, seconds: int) -> None:
        self.now_ns += seconds * SECOND_NS

    @precondition(lambda self: self.waiting)
    @rule()
    def begin(self) -> None:
        call = self.policy.first(self.at)
        assert call is not None
        assert self.waiting.pop(call.key) is call
        self.policy.begin(call, self.at)
        self.running.append(call)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.waiting)))
        self.policy.withdraw(self.waiting.pop(key))

    @precondition(lambda self: self.running)
    @rule(took=st.integers(0, 2_000), again=st.booleans())
    def settle(self, took: int, again: bool) -> None:
        call = self.running.pop(0)
        self.policy.settle(call, took, took)
        if again:
            self.waiting[call.key] = call
            self.policy.offer(call, self.at)

    @invariant()
    def counts_what_waits(self) -> None:
        assert len(self.policy) == len(self.waiting)
        first = self.policy.first(self.at)
        assert first is self.policy.first(self.at)
        assert (first is None) == (not self.waiting)
        assert first is None or first.key in self.waiting

    def teardown(self) -> None:
        while self.waiting:
            self.begin()
        assert self.policy.first(self.at) is None
        for call in self.running:
            self.policy.settle(call, call.prompt, call.completion)
        if isinstance(self.policy, FairShare):
            assert self.policy.known <= 4


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_loses_and_invents_nothing(name: str) -> None:
    machine: type[PolicyMachine] = type(f"{name}_machine", (PolicyMachine,), {"name": name})
    run_state_machine_as_test(machine, settings=settings(max_examples=25, stateful_step_count=40, deadline=None))


def order(name: str, calls: list[Call], *, now_ns: int = 20 * SECOND_NS, under_way: int = 1) -> list[int]:
    """The keys in the order in which they begin, each at once after the other."""
    policy, at = POLICIES[name](), Moment(now_ns, SECOND_NS, under_way)
    for call in calls:
        call.offered_ns = call.offered_ns or now_ns
        policy.offer(call, Moment(call.offered_ns, SECOND_NS, under_way))
    keys: list[int] = []
    while (first := policy.first(at)) is not None:
        policy.begin(first, at)
        keys.append(first.key)
    return keys


def test_first_come_is_the_order_of_asking() -> None:
    assert order("first_come", [Call(3, 1), Call(1, 1, Qos.BACKGROUND), Call(2, 2, Qos.INTERACTIVE)]) == [1, 2, 3]


def test_round_robin_gives_each_agent_a_turn() -> None:
    calls = [*(Call(key, 1) for key in (1, 2, 3, 4)), Call(5, 2), Call(6, 2), Call(7, 3)]
    assert order("round_robin", calls) == [1, 5, 7, 2, 6, 3, 4]


def test_priority_puts_a_class_before_the_next_until_that_has_waited() -> None:
    fresh = [Call(1, 1, Qos.BACKGROUND), Call(2, 1, Qos.UTILITY), Call(3, 1, Qos.INTERACTIVE)]
    assert order("priority", fresh) == [3, 2, 1]
    aged = [Call(1, 1, Qos.BACKGROUND, offered_ns=SECOND_NS), Call(2, 1, Qos.INTERACTIVE)]
    assert order("priority", aged) == [1, 2]


def test_the_earliest_deadline_is_first_and_a_far_one_is_no_way_to_starve() -> None:
    now_ns = 20 * SECOND_NS
    calls = [
        Call(1, 1, deadline_ns=now_ns + 3 * SECOND_NS),
        Call(2, 1, deadline_ns=now_ns + SECOND_NS),
        Call(3, 1, deadline_ns=10**18, offered_ns=SECOND_NS),
    ]
    assert order("earliest_deadline", calls) == [3, 2, 1]


def test_a_deadline_that_was_past_when_a_call_was_made_passes_nobody_who_was_due_before_that() -> None:
    now_ns = 20 * SECOND_NS
    calls = [Call(1, 1, deadline_ns=now_ns - SECOND_NS, offered_ns=now_ns - 2 * SECOND_NS)]
    calls += [Call(key, 2, deadline_ns=SECOND_NS, offered_ns=now_ns) for key in range(2, 10)]
    assert order("earliest_deadline", calls)[0] == 1


def test_the_shortest_is_first_until_the_long_one_has_waited() -> None:
    assert order("shortest_first", [Call(1, 1, completion=900), Call(2, 1, completion=90)]) == [2, 1]
    aged = [Call(1, 1, completion=900, offered_ns=SECOND_NS), Call(2, 1, completion=90)]
    assert order("shortest_first", aged) == [1, 2]


def test_classes_put_people_first_and_give_a_flood_a_tenth() -> None:
    calls = [Call(key, key % 5, Qos.BACKGROUND, offered_ns=SECOND_NS) for key in range(1, 201)]
    calls += [Call(1_000 + key, 9, Qos.INTERACTIVE) for key in range(100)]
    begun = order("classes", calls)[:100]
    assert sum(key < 1_000 for key in begun) == 10


def test_classes_let_what_has_waited_long_in_every_other_time() -> None:
    calls = [Call(key, key, Qos.UTILITY, offered_ns=17 * SECOND_NS) for key in range(1, 5)]
    calls += [Call(1_000 + key, 9, Qos.INTERACTIVE) for key in range(4)]
    assert [key < 1_000 for key in order("classes", calls, under_way=4)] == [False, True] * 4


def test_a_class_that_has_most_of_what_is_under_way_does_not_go_before_a_person_however_long_it_has_waited() -> None:
    policy, at = POLICIES["classes"](), Moment(100 * SECOND_NS, SECOND_NS, 2)
    under_way = [Call(key, key, Qos.BACKGROUND, 10, 10) for key in (1, 2)]
    for call in under_way:
        policy.admit(call)
    policy.offer(Call(3, 3, Qos.BACKGROUND, 10, 10, offered_ns=SECOND_NS), at)
    policy.offer(Call(4, 4, Qos.INTERACTIVE, 10, 10, offered_ns=99 * SECOND_NS), at)
    first = policy.first(at)
    assert first is not None
    assert first.key == 4
    assert policy.because(first, at).startswith("interactive is the highest class that waits")
    policy.settle(under_way[0], 10, 10)
    policy.admit(Call(5, 5, Qos.INTERACTIVE, 10, 10))  # half is not most of it
    first = policy.first(at)
    assert first is not None
    assert first.key == 3


def test_who_steps_back_is_not_served_more_where_all_wait_long() -> None:
    """A queue in which everybody waits twenty times as long as a call takes, as one does that is bound a minute."""
    policy, at_ns, served = POLICIES["classes"](), 1_000 * SECOND_NS, dict.fromkeys(range(20), 0)
    qos = {agent: Qos.UTILITY if agent else Qos.BACKGROUND for agent in served}
    for agent in served:
        policy.offer(Call(agent, agent, qos[agent], 10, 10, offered_ns=at_ns), Moment(at_ns, SECOND_NS // 2))
    for turn in range(1, 401):
        at_ns += SECOND_NS
        at = Moment(at_ns, SECOND_NS // 2)
        call = policy.first(at)
        assert call is not None
        policy.begin(call, at)
        policy.settle(call, 10, 10)
        served[call.agent] += 1
        policy.offer(Call(100 + turn, call.agent, call.qos, 10, 10, offered_ns=at_ns), at)
    background = served.pop(0)
    assert 10 <= background <= min(served.values())


def test_a_backlog_of_one_agent_keeps_no_lower_class_waiting() -> None:
    """Of the class above, one agent has calls that wait for ever, and others are answered at once."""
    policy, at_ns, began = POLICIES["classes"](), 1_000 * SECOND_NS, list[int]()
    for key in range(500):
        policy.offer(Call(key, 1, Qos.UTILITY, 10, 10, offered_ns=SECOND_NS), Moment(at_ns, SECOND_NS))
    policy.offer(Call(1_000, 9, Qos.BACKGROUND, 10, 10, offered_ns=at_ns), Moment(at_ns, SECOND_NS))
    while 1_000 not in began and len(began) < 100:
        at_ns += SECOND_NS
        at = Moment(at_ns, SECOND_NS)
        for agent in (2, 3, 4):
            key = 10_000 + 10 * len(began) + agent
            policy.offer(Call(key, agent, Qos.UTILITY, 10, 10, offered_ns=at_ns), at)
        call = policy.first(at)
        assert call is not None
        policy.begin(call, at)
        policy.settle(call, 10, 10)
        began.append(call.key)
    assert 1_000 in began[:60]
