"""Preemption: who gives way, to whom, and that everybody comes to an end."""

from __future__ import annotations

from prytany.scheduling.call import Call, Qos
from prytany.scheduling.preemption import YIELDS_MAX, Preempts, Running

PERSON = Call(99, 9, Qos.INTERACTIVE)


def running(preempts: Preempts, *calls: Call) -> Running:
    found = Running(preempts)
    for call in calls:
        found.began(call)
    return found


def who(found: Running, to: Call = PERSON) -> int | None:
    call = found.gives_way(to)
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


def test_a_turn_ends_with_its_tokens_and_only_where_somebody_waits() -> None:
    found = running(Preempts.SAVED, Call(1, 1))
    assert not found.turn_is_up(1, 99, waits=True, quantum=100)
    assert found.turn_is_up(1, 100, waits=True, quantum=100)
    assert not found.turn_is_up(1, 100, waits=False, quantum=100)
    assert not running(Preempts.NEVER, Call(1, 1)).turn_is_up(1, 100, waits=True, quantum=100)
