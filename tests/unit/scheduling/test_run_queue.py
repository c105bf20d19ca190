"""The run queue: a place, a request and its tokens, all or nothing; and `when` is never too late."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prytany.scheduling.breaker import FAILURES_MAX, State
from prytany.scheduling.call import Call, Qos
from prytany.scheduling.policies import POLICIES
from prytany.scheduling.rates import Limits
from prytany.scheduling.run_queue import RunQueue, Used

SECOND_NS = 1_000_000_000
ENDS = ["", "", "", "rate_limited", "overloaded", "timeout", "bad_request", "cancelled", "unreachable"]


class QueueMachine(RuleBasedStateMachine):
    """One queue and all that can happen to it; it must never be stuck, and never hold more than it says."""

    policy = "classes"

    def __init__(self) -> None:
        super().__init__()
        self.queue = RunQueue(Limits(3, 60, 6_000), self.policy)
        self.now_ns = SECOND_NS
        self.waiting: set[int] = set()
        self.key = 0

    @rule(agent=st.integers(1, 3), qos=st.sampled_from(Qos), tokens=st.integers(1, 4_000))
    def offer(self, agent: int, qos: Qos, tokens: int) -> None:
        self.key += 1
        self.queue.offer(Call(self.key, agent, qos, tokens, tokens), self.now_ns)
        self.waiting.add(self.key)

    @rule()
    def wait_and_begin(self) -> None:
        """The kernel's timer: after `when`, somebody may begin, or it says a later time and comes there in the end."""
        for _ in range(10):
            when_ns = self.queue.when(self.now_ns)
            if when_ns is None:
                assert not self.waiting or self.queue.running, "nobody is under way, and nobody may begin"
                return
            assert when_ns >= self.now_ns
            self.now_ns = when_ns
            if (call := self.queue.next(self.now_ns)) is not None:
                self.queue.begin(call, self.now_ns)
                self.waiting.remove(call.key)
                return
        raise AssertionError("its times come, and nobody may begin")

    @precondition(lambda self: self.queue.running)
    @rule(
        end=st.sampled_from(ENDS),
        retry_s=st.sampled_from([None, 0, 30]),
        took_s=st.integers(0, 90),
        tokens=st.integers(0, 9_000),
        again=st.booleans(),
    )
    def settle(self, end: str, retry_s: int | None, took_s: int, tokens: int, again: bool) -> None:
        self.now_ns += took_s * SECOND_NS
        key = next(iter(self.queue.running))
        retry_ns = None if retry_s is None else retry_s * SECOND_NS
        call = self.queue.settle(key, Used(tokens // 2, tokens // 2, end, retry_ns), self.now_ns)
        assert call is not None
        assert self.queue.settle(key, Used(), self.now_ns) is None
        if again:
            self.queue.offer(call, self.now_ns)
            self.waiting.add(key)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), qos=st.sampled_from(Qos))
    def schedule_anew(self, data: st.DataObject, qos: Qos) -> None:
        key = data.draw(st.sampled_from(sorted(self.waiting)))
        self.queue.change([key, 10**9], self.now_ns, qos=qos, weight=5)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.waiting)))
        assert self.queue.cancel(key, self.now_ns) is not None
        assert self.queue.cancel(key, self.now_ns) is None
        self.waiting.remove(key)

    @rule(policy=st.sampled_from(sorted(POLICIES)))
    def another_order(self, policy: str) -> None:
        self.queue.order_by(policy, self.now_ns)

    @invariant()
    def holds_what_it_says(self) -> None:
        assert sum(self.queue.waiting()) == len(self.queue.policy) == len(self.waiting)
        assert min(self.queue.waiting()) >= 0
        assert len(self.queue.running) <= 3
        assert self.queue.at_once in (1, 2, 3)
        assert self.queue.rates.paused_ns <= self.now_ns + 40 * SECOND_NS
        assert self.queue.rates.tokens.used >= 0
        assert self.queue.service_ns >= 1
        assert all(self.queue.is_waiting(key) for key in self.waiting)


QueueMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
test_a_queue_is_never_stuck = QueueMachine.TestCase


def queue_of(concurrency: int = 0, requests: int = 0, tokens: int = 0) -> RunQueue:
    return RunQueue(Limits(concurrency, requests, tokens))


def begin_all(queue: RunQueue, now_ns: int) -> list[int]:
    keys = []
    while (call := queue.next(now_ns)) is not None:
        queue.begin(call, now_ns)
        keys.append(call.key)
    return keys


def test_no_more_begin_than_there_are_places() -> None:
    queue = queue_of(2)
    for key in range(1, 6):
        queue.offer(Call(key, 1), SECOND_NS)
    assert begin_all(queue, SECOND_NS) == [1, 2]
    assert queue.when(SECOND_NS) is None
    queue.settle(1, Used(1, 1), 2 * SECOND_NS)
    assert begin_all(queue, 2 * SECOND_NS) == [3]


def test_a_call_that_was_sent_away_is_first_again_and_has_not_begun_to_age_anew() -> None:
    queue = queue_of(1)
    queue.offer(Call(1, 1), SECOND_NS)
    queue.offer(Call(2, 1), SECOND_NS)
    assert begin_all(queue, SECOND_NS) == [1]
    call = queue.settle(1, Used(cause="rate_limited", retry_after_ns=SECOND_NS), 2 * SECOND_NS)
    assert call is not None
    queue.offer(call, 2 * SECOND_NS)
    assert (call.refusals, call.offered_ns) == (1, SECOND_NS)
    assert begin_all(queue, 2 * SECOND_NS) == []
    assert queue.when(2 * SECOND_NS) == 3 * SECOND_NS
    assert begin_all(queue, 3 * SECOND_NS) == [1]


def test_nobody_slips_past_a_large_call_that_waits_for_its_tokens() -> None:
    queue = queue_of(0, 0, 1_000)
    queue.offer(Call(1, 1, prompt=500, completion=400), SECOND_NS)
    assert begin_all(queue, SECOND_NS) == [1]
    queue.offer(Call(2, 1, prompt=500, completion=400), SECOND_NS)
    queue.offer(Call(3, 1, prompt=1, completion=1), SECOND_NS)
    assert begin_all(queue, 30 * SECOND_NS) == []
    when_ns = queue.when(30 * SECOND_NS)
    assert when_ns is not None
    assert begin_all(queue, when_ns) == [2]


def test_what_an_answer_took_less_is_there_for_others() -> None:
    queue = queue_of(0, 0, 1_000)
    for key in (1, 2):
        queue.offer(Call(key, 1, prompt=400, completion=600), SECOND_NS)
    assert begin_all(queue, SECOND_NS) == [1]
    late_ns = queue.when(SECOND_NS)
    queue.settle(1, Used(5, 5), 2 * SECOND_NS)
    soon_ns = queue.when(2 * SECOND_NS)
    assert late_ns is not None
    assert soon_ns is not None
    assert soon_ns <= late_ns


def test_an_ill_endpoint_is_asked_once_at_a_time_and_then_by_all() -> None:
    queue, now_ns = queue_of(8), SECOND_NS
    for key in range(1, 20):
        queue.offer(Call(key, 1), now_ns)
    for key in begin_all(queue, now_ns)[:FAILURES_MAX]:
        queue.settle(key, Used(cause="unreachable"), now_ns)
    assert queue.breaker.state(now_ns) is State.OPEN
    assert begin_all(queue, now_ns) == []
    now_ns = queue.when(now_ns) or 0
    probe = begin_all(queue, now_ns)
    assert len(probe) == 1
    queue.settle(probe[0], Used(1, 1), now_ns)
    assert len(begin_all(queue, now_ns)) == 5


def test_an_endpoint_that_is_crowded_is_asked_for_less_at_once_and_by_and_by_for_more() -> None:
    queue, now_ns = queue_of(8), SECOND_NS
    for key in range(1, 400):
        queue.offer(Call(key, 1), now_ns)
    first = begin_all(queue, now_ns)
    queue.settle(first.pop(), Used(cause="overloaded"), now_ns)
    assert queue.at_once == 6
    assert queue.when(now_ns) is None
    while first:
        now_ns += SECOND_NS
        queue.settle(first.pop(0), Used(1, 1), now_ns)
        first += begin_all(queue, now_ns)
    assert queue.at_once == 8


@pytest.mark.parametrize("limits", [Limits(), Limits(4), Limits(4, 100, 100)])
def test_what_the_operator_says_later_holds_from_then_on(limits: Limits) -> None:
    queue = queue_of(1, 10, 10)
    queue.rates.requests.share_ppm = 5
    queue.told(limits)
    assert queue.at_once == limits.concurrency
    assert queue.rates.requests.allowed == limits.requests_per_minute
    assert queue.rates.tokens.allowed == limits.tokens_per_minute


def test_a_full_queue_says_so() -> None:
    queue = RunQueue(Limits(1), queue_max=2)
    for key in (1, 2):
        assert not queue.full
        queue.offer(Call(key, 1), SECOND_NS)
    assert queue.full


def test_it_says_what_the_next_one_waits_for() -> None:
    def waits(limits: Limits, *, refused: bool = False) -> str:
        queue, now_ns = RunQueue(limits), SECOND_NS
        assert queue.waits_for(now_ns) == ""
        for key in (1, 2):
            queue.offer(Call(key, 1, prompt=50, completion=50), now_ns)
        assert queue.waits_for(now_ns) == ""
        begin_all(queue, now_ns)
        if refused:
            queue.rates.refused(now_ns, now_ns, SECOND_NS)
        return queue.waits_for(now_ns)

    assert waits(Limits(1)) == "a place"
    assert waits(Limits(0, 10)) == "requests a minute"
    assert waits(Limits(0, 0, 100)) == "tokens a minute"
    assert "left alone" in waits(Limits(0, 0, 100), refused=True)


def test_an_endpoint_that_lies_about_its_tokens_shuts_nobody_out_for_longer_than_a_minute() -> None:
    queue, now_ns = queue_of(0, 0, 1_000), SECOND_NS
    queue.offer(Call(1, 1), now_ns)
    queue.offer(Call(2, 2), now_ns)
    assert begin_all(queue, now_ns) == [1]
    queue.settle(1, Used(10**15, 10**15), now_ns)
    when_ns = queue.when(now_ns)
    assert when_ns is not None
    assert when_ns <= now_ns + 62 * SECOND_NS
    assert begin_all(queue, when_ns) == [2]


def test_an_endpoint_without_a_limit_that_is_crowded_is_not_asked_again_at_once() -> None:
    queue, now_ns = queue_of(), SECOND_NS
    for key in range(1, 9):
        queue.offer(Call(key, 1), now_ns)
    assert len(begin_all(queue, now_ns)) == 8
    call = queue.settle(8, Used(cause="overloaded"), now_ns)
    assert call is not None
    queue.offer(call, now_ns)
    assert queue.at_once == 6
    for key in range(1, 8):
        queue.settle(key, Used(cause="unreachable") if key == 7 else Used(1, 1), now_ns)
    assert begin_all(queue, now_ns) == []
    assert queue.when(now_ns) == now_ns + SECOND_NS // 2


def test_an_endpoint_that_takes_fewer_at_once_than_was_said_is_found_out_without_a_pause() -> None:
    queue, now_ns, truly = queue_of(50), SECOND_NS, 40
    for key in range(1, 1_000):
        queue.offer(Call(key, key % 60), now_ns)
    refused = 0
    under_way: list[int] = []
    while sum(queue.waiting()) or under_way:
        for key in begin_all(queue, now_ns):
            if len(under_way) < truly:
                under_way.append(key)
                continue
            refused += 1
            call = queue.settle(key, Used(cause="rate_limited"), now_ns)
            assert call is not None
            queue.offer(call, now_ns)
        assert len(under_way) == truly or not sum(queue.waiting())
        now_ns += SECOND_NS
        queue.settle(under_way.pop(0), Used(1, 1), now_ns)
    assert refused <= 10 + 2 * 1_000 // 160


def test_what_waits_is_counted_anew_when_the_first_of_its_kind_has_told_what_such_calls_take() -> None:
    queue, now_ns = RunQueue(Limits(0, 0, 6_000)), SECOND_NS
    first, other = (
        Call(key, key, prompt=100, completion=4_000, kind="k", prompt_most=400, answer_most=4_000) for key in (1, 2)
    )
    plain = Call(3, 3, prompt=100, completion=4_000)
    queue.admit(first, now_ns)
    queue.offer(other, now_ns)
    queue.offer(plain, now_ns)
    assert queue.next(now_ns) is None
    queue.estimates.learn("k", 400, 100, 100)
    queue.settle(1, Used(100, 100), now_ns + SECOND_NS)
    assert queue.next(now_ns + 3 * SECOND_NS) is other
    assert (other.prompt, other.completion) == queue.estimates.guess("k", 400, 4_000) != (100, 4_000)
    queue.begin(other, now_ns + 3 * SECOND_NS)
    assert queue.when(now_ns + 3 * SECOND_NS) is not None
    assert (plain.prompt, plain.completion) == (100, 4_000)  # that was no guess


def test_a_call_takes_what_the_first_ones_take_before_any_of_them_has_ended() -> None:
    queue = RunQueue(Limits(2))
    for key in (1, 2):
        queue.admit(Call(key, key, Qos.BACKGROUND, 10, 10), SECOND_NS)
    assert queue.moment(SECOND_NS).service_ns == SECOND_NS
    assert queue.moment(11 * SECOND_NS).service_ns == 10 * SECOND_NS
    queue.settle(1, Used(10, 10), 11 * SECOND_NS)
    queue.settle(2, Used(10, 10), 11 * SECOND_NS)
    assert queue.service_ns == (4 + 10 + 10) * SECOND_NS // 6
    assert queue.moment(90 * SECOND_NS).service_ns == queue.service_ns


def test_who_hangs_does_not_change_what_was_learned_of_many_answers() -> None:
    queue = RunQueue(Limits(2))
    queue.admit(Call(1, 1, Qos.BACKGROUND, 10, 10), SECOND_NS)
    for key in range(2, 100):
        queue.admit(Call(key, 2, Qos.BACKGROUND, 10, 10), SECOND_NS)
        queue.settle(key, Used(10, 10), 3 * SECOND_NS)
    assert abs(queue.moment(900 * SECOND_NS).service_ns - 2 * SECOND_NS) < SECOND_NS // 5
