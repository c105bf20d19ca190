"""Fair share: the published bound, weights, no turns saved up, and what is kept of agents."""

from __future__ import annotations

from random import Random  # noqa: TID251 seeded

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prytany.scheduling.call import Call
from prytany.scheduling.policies.fair_share import COMPLETION_WEIGHT, FairShare, published_bound
from prytany.scheduling.policies.policy import Moment

SECOND_NS = 1_000_000_000
LONGEST = 400
sizes = st.lists(st.tuples(st.integers(1, LONGEST), st.integers(1, LONGEST)), min_size=60, max_size=200)


def serve(share: FairShare, agents: int, takes: list[tuple[int, int]], slots: int, greed: int) -> int:
    """Serve agents that always have calls waiting, agent 0 `greed` times as many; the worst difference of what two of
    them were served, in weighted tokens."""
    key, now_ns, running = 0, SECOND_NS, list[tuple[Call, int, int]]()
    served, worst = [0] * agents, 0
    for agent in range(agents):
        for _ in range(greed if agent == 0 else 1):
            key += 1
            share.offer(Call(key, agent, prompt=50, completion=100, offered_ns=now_ns), Moment(now_ns, SECOND_NS))
    for prompt, completion in takes:
        at = Moment(now_ns, SECOND_NS, len(running))
        call = share.first(at)
        assert call is not None
        share.begin(call, at)
        key += 1
        share.offer(Call(key, call.agent, prompt=50, completion=100, offered_ns=now_ns), at)
        running.append((call, prompt, completion))
        if len(running) == slots:
            ended, took, gave = running.pop(0)
            share.settle(ended, took, gave)
            served[ended.agent] += took + COMPLETION_WEIGHT * gave
            worst = max(worst, max(served) - min(served))
        now_ns += SECOND_NS // slots
    return worst


@settings(max_examples=40, deadline=None)
@given(takes=sizes, slots=st.integers(2, 6), greed=st.integers(1, 20))
def test_backlogged_agents_differ_by_less_than_the_published_bound(
    takes: list[tuple[int, int]], slots: int, greed: int
) -> None:
    worst = serve(FairShare(), 5, takes, slots, greed)
    assert worst <= published_bound(LONGEST, slots * 2 * LONGEST)


def test_a_weight_is_a_share() -> None:
    share, begun = FairShare(), {1: 0, 2: 0}
    for key in range(400):
        share.offer(Call(key, 1 + key % 2, prompt=10, completion=10, weight=3 if key % 2 else 1), Moment(1, SECOND_NS))
    for _ in range(200):
        call = share.first(Moment(2, SECOND_NS))
        assert call is not None
        share.begin(call, Moment(2, SECOND_NS))
        begun[call.agent] += 1
    assert begun == {1: 50, 2: 150}


def test_who_asked_nothing_for_long_has_saved_nothing_up() -> None:
    share, at = FairShare(), Moment(1, SECOND_NS)
    for key in range(100):
        share.offer(Call(key, 1, prompt=10, completion=10), at)
    for _ in range(50):
        call = share.first(at)
        assert call is not None
        share.begin(call, at)
    for key in range(100, 200):
        share.offer(Call(key, 2, prompt=10, completion=10), at)
    turns = []
    for _ in range(20):
        call = share.first(at)
        assert call is not None
        share.begin(call, at)
        turns.append(call.agent)
    assert turns.count(2) == 10


def test_agents_that_are_gone_leave_nothing_behind() -> None:
    share, at = FairShare(), Moment(1, SECOND_NS)
    for key in range(2_000):
        call = Call(key, key, prompt=10, completion=10)
        share.offer(call, at)
        share.begin(call, at)
        share.settle(call, 20, 30)
    assert share.known <= 2


@pytest.mark.parametrize("seed", range(20))
def test_what_begins_at_once_counts_as_what_is_offered_and_begins(seed: int) -> None:
    """The short way and the long one leave the same counters, whoever comes and ends."""
    chance, at = Random(seed), Moment(1, 1, 1)
    short, long, under_way = FairShare(), FairShare(), list[Call]()
    for key in range(300):
        if under_way and chance.random() < 0.5:
            call = under_way.pop(chance.randrange(len(under_way)))
            taken = chance.randrange(1, 500), chance.randrange(1, 500)
            short.settle(call, *taken)
            long.settle(call, *taken)
        else:
            call = Call(key, chance.randrange(5), prompt=chance.randrange(1, 500), completion=chance.randrange(1, 500))
            under_way.append(call)
            short.admit(call)
            long.offer(call, at)
            long.begin(call, at)
        assert [short.counter(agent) for agent in range(5)] == [long.counter(agent) for agent in range(5)]
        assert short.known == long.known


def turns_of(share: FairShare, at: Moment, count: int) -> list[int]:
    """Whose calls begin, each of 10 and 100 tokens, ended before the next."""
    begun: list[int] = []
    for _ in range(count):
        call = share.first(at)
        assert call is not None
        share.begin(call, at)
        share.settle(call, 10, 100)
        begun.append(call.agent)
    return begun


def offered(share: FairShare, agent: int, count: int, since: int, at: Moment) -> None:
    for key in range(since, since + count):
        share.offer(Call(key, agent, prompt=10, completion=100, offered_ns=at.now_ns), at)


def test_what_a_call_may_take_at_most_gives_its_agent_no_turns_of_others() -> None:
    share, at = FairShare(), Moment(1, SECOND_NS)
    greedy = Call(1, 1, prompt=10, completion=1 << 24)
    share.admit(greedy)
    offered(share, 1, 100, 1_000, at)
    offered(share, 2, 100, 2_000, at)  # who comes while that is under way is lifted to what it was charged
    share.settle(greedy, 10, 100)
    assert 8 <= turns_of(share, at, 20).count(2) <= 12


def test_one_dear_call_is_no_licence_to_be_ahead_for_ever() -> None:
    share, at = FairShare(), Moment(1, SECOND_NS)
    dear = Call(1, 3, prompt=1_000_000, completion=1)
    share.admit(dear)
    share.settle(dear, 1_000_000, 1)
    for since in range(1_000, 100_000, 1_000):
        offered(share, 1, 3, since, at)
        offered(share, 2, 3, since + 10, at)
        turns_of(share, at, 6)
    offered(share, 1, 100, 200_000, at)
    offered(share, 2, 100, 300_000, at)
    late = Moment(1_000 * SECOND_NS, SECOND_NS, 8)
    assert turns_of(share, late, 40).count(2) >= 15


def test_a_call_of_which_nobody_knows_what_it_took_stays_charged_as_was_expected() -> None:
    share = FairShare()
    call = Call(1, 1, prompt=10, completion=100)
    other = Call(2, 1, prompt=10, completion=100)
    share.admit(call)
    share.admit(other)
    expected = share.counter(1)
    share.settle(call, -1, -1)
    assert share.counter(1) == expected == 2 * (10 + 2 * 100)
