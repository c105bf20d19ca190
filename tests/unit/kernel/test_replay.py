"""The cursor of a replay, and the handlers' agreement with the table."""

from __future__ import annotations

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Ereplay
from prytany.abi.syscalls import TABLE
from prytany.drivers.stores.memory import MemoryReader
from prytany.kernel.handlers import HANDLERS
from prytany.kernel.record import ENTRIES_A_STEP, Asked, Item, Record, read_record
from prytany.kernel.replay import AHEAD_BYTES_MAX, AHEAD_ITEMS_MAX, Cursor
from prytany.ports.store import Row


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


def test_items_go_ahead_of_their_calls_to_a_worker_that_takes_them_one_by_one() -> None:
    replay = cursor()
    assert [item.n for item in replay.due(ahead=True)] == [1, 2]
    replay.on_taken(1)
    replay.on_call(1, "nop", b"a", same)
    replay.on_taken(2)
    replay.on_call(2, "timer_wait", b"b", same)
    replay.on_taken(3)
    assert replay.at_frontier(3)


@pytest.mark.parametrize("delivered", [2, 3, 1 << 62])
def test_a_worker_that_took_an_answer_to_a_call_that_it_had_not_made_is_ereplay(delivered: int) -> None:
    replay = cursor()
    replay.due(ahead=True)
    replay.on_taken(-1)
    with pytest.raises(Ereplay):
        replay.on_taken(delivered)


def test_no_more_goes_ahead_than_a_bounded_number_of_items_and_bytes() -> None:
    many = [Item(n, n, "", b"\xc0") for n in range(1, 2 * AHEAD_ITEMS_MAX)]
    replay = Cursor(Record(0, many, {n: Asked("nop", b"") for n in range(1, 2 * AHEAD_ITEMS_MAX)}))
    assert len(replay.due(ahead=True)) == AHEAD_ITEMS_MAX
    assert replay.due(ahead=True) == []
    replay.on_call(1, "nop", b"", same)
    replay.on_taken(2)
    assert len(replay.due(ahead=True)) == 1
    large = [Item(n, n, "", bytes(AHEAD_BYTES_MAX)) for n in (1, 2)]
    assert len(Cursor(Record(0, large, {})).due(ahead=True)) == 1


def test_what_comes_up_while_a_record_is_read_follows_it() -> None:
    replay = Cursor()
    replay.add(Item(-15, 40, "", b"\xc0"))
    replay.load(cursor().record)
    assert [item.n for item in replay.due(ahead=True)] == [1, 2, -15]


def test_a_long_record_is_read_in_steps_between_which_others_have_a_turn() -> None:
    rows, tail = list[Row](), 0
    for seq in range(1, 2 * ENTRIES_A_STEP + 1):
        event = ev.ProcessStarted(1, 0) if seq == 1 else ev.CallDone(1, seq - 1, "nop", b"", "", b"", tail)
        rows.append(Row(seq, bytes(16), ev.encode_entry(ev.Entry(seq, [event])), b""))
        tail = seq
    *steps, record = read_record(MemoryReader(rows, [], []), 0, 1, tail)
    assert steps == [None] * 4
    assert record is not None
    assert [item.n for item in record.items] == list(range(1, 2 * ENTRIES_A_STEP))


def test_every_call_of_the_table_has_a_handler_and_no_other() -> None:
    assert set(HANDLERS) == set(TABLE)
