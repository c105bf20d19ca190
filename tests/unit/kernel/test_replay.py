"""The cursor of a replay, and the handlers' agreement with the table."""

from __future__ import annotations

import pytest

from prytany.abi.errors import Ereplay
from prytany.abi.syscalls import TABLE
from prytany.kernel.handlers import HANDLERS
from prytany.kernel.replay import Asked, Cursor, Item, Record


def same(content: bytes) -> bytes:
    return content


def cursor() -> Cursor:
    asked = {1: Asked("nop", b"a"), 2: Asked("timer_wait", b"b")}
    return Cursor(Record(10, [Item(1, 20, "", b"\xc0"), Item(2, 30, "", b"\xc0")], asked))


def test_an_item_goes_out_only_when_the_call_it_answers_was_made() -> None:
    replay = cursor()
    assert replay.due() == []
    replay.on_call(1, "nop", b"a", same)
    assert [item.n for item in replay.due()] == [1]
    replay.on_call(2, "timer_wait", b"b", same)
    assert [item.n for item in replay.due()] == [2]
    assert not replay.at_frontier(2)
    assert replay.at_frontier(3)


@pytest.mark.parametrize(("call", "argument"), [("timer_wait", b"a"), ("nop", b"other")])
def test_another_call_or_other_arguments_than_recorded_are_ereplay(call: str, argument: bytes) -> None:
    with pytest.raises(Ereplay):
        cursor().on_call(1, call, argument, same)


def test_a_worker_that_idles_without_making_a_recorded_call_is_ereplay() -> None:
    replay = cursor()
    replay.on_call(1, "nop", b"a", same)
    replay.due()
    with pytest.raises(Ereplay):
        replay.at_frontier(2)


def test_a_call_beyond_the_record_waits_for_the_frontier() -> None:
    replay = cursor()
    replay.on_call(3, "nop", b"new", same)
    assert replay.beyond == [(3, "nop", b"new")]


def test_every_call_of_the_table_has_a_handler_and_no_other() -> None:
    assert set(HANDLERS) == set(TABLE)
