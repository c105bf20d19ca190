"""Preemption: who gives way, to whom, and that everybody comes to an end."""

from __future__ import annotations

from prytany.scheduling.call import Call, Qos
from prytany.scheduling.preemption import YIELDS_MAX, GivingWay, Preempts
from prytany.scheduling.rates import Limits
from prytany.scheduling.run_queue import RunQueue, Used

SECOND_NS = 1_000_000_000

PERSON = Call(99, 9, Qos.INTERACTIVE)


def running(preempts: Preempts, *calls: Call) -> GivingWay:
    found = GivingWay(preempts)
    for call in calls:
        found.began(call)
    return found


def who(found: GivingWay, to: Call = PERSON) -> int | None:
    call = found.to(to)
    return None if call is None else call.key


def test_nobody_gives_way_where_it_is_not_allowed() -> None:
    assert who(running(Preempts.NEVER, Call(1, 1, Qos.BACKGROUND))) is None


def test_background_gives_way_before_utility_and_a_person_never() -> None:
    found = running(
        Preempts.SAVED, Call(1, 1, Qos.UTILITY), Call(2, 1, Qos.BACKGROUND), Call(3, 1, Qos.INITIATED), PERSON
    )
    assert who(found) == 2
    found.ended(2)
    assert who(found) == 1
    found.ended(1)
    assert who(found) is None


def test_only_a_person_is_given_way_to() -> None:
    assert who(running(Preempts.SAVED, Call(1, 1, Qos.BACKGROUND)), Call(5, 5, Qos.INITIATED)) is None


def test_where_the_cache_is_saved_the_longest_to_go_gives_way_and_elsewhere_the_youngest() -> None:
    calls = [
        Call(1, 1, Qos.BACKGROUND, completion=900, begun_ns=1),
        Call(2, 1, Qos.BACKGROUND, completion=100, begun_ns=2),
    ]
    assert who(running(Preempts.SAVED, *calls)) == 1
    assert who(running(Preempts.UNDELIVERED, *calls)) == 2


def test_what_somebody_has_seen_is_not_thrown_away() -> None:
    found = running(Preempts.UNDELIVERED, Call(1, 1, Qos.BACKGROUND))
    found.delivered(1)
    assert who(found) is None
    saved = running(Preempts.SAVED, Call(1, 1, Qos.BACKGROUND))
    saved.delivered(1)
    assert who(saved) == 1


def test_a_call_gives_way_so_often_and_then_runs_to_its_end() -> None:
    assert who(running(Preempts.SAVED, Call(1, 1, Qos.BACKGROUND, yielded=YIELDS_MAX - 1))) == 1
    assert who(running(Preempts.SAVED, Call(1, 1, Qos.BACKGROUND, yielded=YIELDS_MAX))) is None


def test_a_turn_ends_with_its_tokens_where_a_slot_can_be_saved() -> None:
    found = running(Preempts.SAVED, Call(1, 1))
    assert not found.turn_is_up(1, 99, quantum=100)
    assert found.turn_is_up(1, 100, quantum=100)
    assert not found.turn_is_up(2, 100, quantum=100)
    assert not running(Preempts.UNDELIVERED, Call(1, 1)).turn_is_up(1, 100, quantum=100)


def queue_of(preempts: Preempts, concurrency: int = 2) -> RunQueue:
    """A queue whose places are taken by background work."""
    queue = RunQueue(Limits(concurrency), preempts=preempts)
    for key in range(1, 6):
        queue.offer(Call(key, key, Qos.BACKGROUND, completion=1_000), SECOND_NS)
    while (call := queue.next(SECOND_NS)) is not None:
        queue.begin(call, SECOND_NS)
    return queue


def test_a_person_gets_the_place_of_background_work_and_that_comes_back() -> None:
    queue, now_ns = queue_of(Preempts.SAVED), 2 * SECOND_NS
    assert queue.gives_way(now_ns) is None
    queue.offer(Call(9, 9, Qos.INTERACTIVE), now_ns)
    victim = queue.gives_way(now_ns)
    assert victim is not None
    yielded = queue.settle(victim.key, Used(1, 200, "preempted"), now_ns)
    assert yielded is victim
    assert victim.yielded == 1
    assert queue.gives_way(now_ns) is None
    victim.completion = 800
    queue.offer(victim, now_ns)
    call = queue.next(now_ns)
    assert call is not None
    assert call.key == 9
    queue.begin(call, now_ns)
    queue.settle(9, Used(1, 1), now_ns)
    begun = []
    for _ in range(4):
        call = queue.next(now_ns)
        assert call is not None
        queue.begin(call, now_ns)
        queue.settle(call.key, Used(1, 1), now_ns)
        begun.append(call.key)
    assert victim.key in begun


def test_a_remote_answer_that_somebody_sees_is_not_taken_away() -> None:
    queue, now_ns = queue_of(Preempts.UNDELIVERED), 2 * SECOND_NS
    queue.offer(Call(9, 9, Qos.INTERACTIVE), now_ns)
    for key in queue.running:
        assert queue.gives_way(now_ns) is not None
        queue.delivered(key)
    assert queue.gives_way(now_ns) is None


def test_nobody_gives_way_for_what_could_not_begin_anyway() -> None:
    queue, now_ns = queue_of(Preempts.SAVED), 2 * SECOND_NS
    queue.offer(Call(9, 9, Qos.INTERACTIVE), now_ns)
    queue.rates.refused(now_ns, now_ns, SECOND_NS)
    assert queue.gives_way(now_ns) is None


def test_a_turn_is_up_only_where_somebody_waits() -> None:
    assert queue_of(Preempts.SAVED).turn_is_up(1, 10_000, 2 * SECOND_NS)
    assert not queue_of(Preempts.SAVED, concurrency=5).turn_is_up(1, 10_000, 2 * SECOND_NS)
