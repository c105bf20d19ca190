"""The room of sessions: what its events fold into, whatever their order."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prytany.abi import events as ev
from prytany.abi.errors import KernelPanic
from prytany.supervision.sessions import FOLDS, Sessions

NUMBERS = st.integers(1, 4)
EVENTS = st.one_of(
    st.builds(
        ev.SessionOpened, NUMBERS, st.just(0), st.text(max_size=5), st.just("f"), st.just("a"), st.booleans(), NUMBERS
    ),
    st.builds(ev.SessionKept, NUMBERS, st.booleans(), st.just(0)),
    st.builds(ev.SessionClosing, NUMBERS, st.just(0), st.just("enough")),
    st.builds(ev.SessionClosed, NUMBERS, st.just("done")),
    st.builds(ev.MessageSent, NUMBERS, st.integers(-2, 2), NUMBERS, st.just("say"), st.just(b"d")),
    st.builds(ev.MessageReplied, NUMBERS, NUMBERS, st.just(""), st.just(b"d")),
    st.builds(ev.ProcessReaped, NUMBERS),
)


@given(st.lists(EVENTS, max_size=60))
def test_live_is_how_many_are_not_closed_and_a_snapshot_is_the_same(events: list[ev.Event]) -> None:
    room = Sessions()
    for seq, event in enumerate(events, 1):
        if isinstance(event, ev.SessionOpened) and event.session in room.sessions:
            continue  # a pid is never used again
        with contextlib.suppress(KernelPanic):
            FOLDS[type(event)](room, seq, seq * 10, event)
        assert room.live == sum(not s.closed_ns for s in room.sessions.values())
        assert all(s.begun_ns <= seq * 10 and s.spoken_seq <= seq for s in room.sessions.values())
    packed = msgspec.msgpack.encode(room)
    assert msgspec.msgpack.decode(packed, type=Sessions) == room


def opened(room: Sessions) -> Sessions:
    room.opened(1, 10, ev.SessionOpened(1, 0, "Ada", "f", "a", False, 5))
    return room


def test_only_what_people_say_and_are_answered_counts_as_spoken() -> None:
    room = opened(Sessions())
    session = room.sessions[1]
    room.sent(2, 20, ev.MessageSent(1, 7, 1, "say", b"d"))  # of another process
    room.sent(3, 30, ev.MessageSent(2, -1, 2, "say", b"d"))  # to another
    assert (session.spoken_ns, session.spoken_seq) == (0, 0)
    room.sent(4, 40, ev.MessageSent(3, -1, 1, "say", b"d"))
    room.replied(5, 50, ev.MessageReplied(1, 3, "", b"d"))
    assert (session.spoken_ns, session.spoken_seq) == (50, 4)


@pytest.mark.parametrize("event", [ev.SessionKept(2, True, 0), ev.SessionClosing(2, 0, ""), ev.SessionClosed(2, "")])
def test_an_event_of_a_session_that_there_is_not_is_a_panic(event: ev.Event) -> None:
    with pytest.raises(KernelPanic):
        FOLDS[type(event)](opened(Sessions()), 2, 20, event)


def test_one_is_closed_once_and_goes_with_its_process() -> None:
    room = opened(Sessions())
    room.closed(2, 20, ev.SessionClosed(1, "done"))
    with pytest.raises(KernelPanic):
        room.closed(3, 30, ev.SessionClosed(1, "again"))
    room.reaped(4, 40, ev.ProcessReaped(1))
    assert room == Sessions()
