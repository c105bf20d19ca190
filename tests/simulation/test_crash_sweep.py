"""G1, G6 and G7 in small: the kernel stops at every append, before and after it, and goes on."""

from __future__ import annotations

import asyncio

import pytest

from prytany.abi import events as ev
from tests.simulation.fleet import Fleet

QUESTIONS = {f"{name} {turn}" for name in "abc" for turn in ("one", "two")}
RESULT = [f"answer to {name} one / answer to {name} two" for name in "abc"]


def undisturbed() -> Fleet:
    fleet = Fleet()
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["result"] == RESULT
    return fleet


def test_a_run_that_is_left_alone_asks_each_question_once() -> None:
    fleet = undisturbed()
    assert fleet.model.asked == dict.fromkeys(QUESTIONS, 1)


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_kernel_that_stops_at_any_append_loses_and_doubles_nothing(after_commit: bool) -> None:
    length = undisturbed().store.reader().head()
    assert length is not None
    for stop_at in range(2, length.seq + 1):
        fleet = Fleet()
        asyncio.run(fleet.live(stop_at, after_commit=after_commit))
        durable = list(fleet.store.reader().rows(1))
        answered = {(e.pid, e.n) for entry in fleet.entries() for e in entry.events if isinstance(e, ev.CallClosed)}
        asked = fleet.model.asked.total()
        ended = asyncio.run(fleet.live())
        assert ended is not None, f"stopped at {stop_at}"
        assert ended["result"] == RESULT, f"stopped at {stop_at}"
        assert list(fleet.store.reader().rows(1))[: len(durable)] == durable
        closed = [(e.pid, e.n) for entry in fleet.entries() for e in entry.events if isinstance(e, ev.CallClosed)]
        assert len(closed) == len(set(closed)), f"a call was closed twice; stopped at {stop_at}"
        assert answered <= set(closed)
        # Asked again is only what had no durable answer when the kernel stopped.
        again = fleet.model.asked.total() - len(QUESTIONS)
        assert 0 <= again <= asked - len({c for c in answered if c in _model_calls(fleet)}), f"stopped at {stop_at}"


def _model_calls(fleet: Fleet) -> set[tuple[int, int]]:
    return {
        (e.pid, e.n)
        for entry in fleet.entries()
        for e in entry.events
        if isinstance(e, ev.CallOpened) and e.call == "model_chat"
    }


def test_the_fold_of_a_finished_journal_calls_no_driver_and_is_the_same_each_time() -> None:
    fleet = undisturbed()
    before = fleet.model.asked.copy()
    assert fleet.table() == fleet.table()
    assert fleet.model.asked == before


def test_a_call_outside_the_pledge_is_denied_and_repeats_are_counted_not_repeated() -> None:
    fleet = Fleet("hostile")
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["result"] == ["Eperm"] * 50
    denied = [e for entry in fleet.entries() for e in entry.events if isinstance(e, ev.CallsDenied)]
    assert sum(len(e.ns) for e in denied) == 50
    assert len(denied) == 2
    assert fleet.table().processes[1].denied == {"file_write EPERM": 50}
