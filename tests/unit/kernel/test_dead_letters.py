"""Dead letters: what they tell, how long they stay, and what an operator does about them."""

from __future__ import annotations

from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Einval, Enoent, Eperm, Esrch
from prytany.abi.signals import Signal
from prytany.kernel.folding import fold_from_start
from prytany.kernel.mail import drop_letters, retry_letters
from prytany.kernel.mail_views import box_rows, dead_rows
from tests.unit.kernel.puppets import Puppet, Stage
from tests.unit.kernel.test_addresses import last_events, named
from tests.unit.kernel.test_messages import staged


async def fail_at(stage: Stage, parent: Puppet, pid: int, times: int) -> None:
    """A process takes its message and fails, so often."""
    for _ in range(times):
        assert (await stage.ask(stage.puppets[pid], "message_receive"))[0] == ""
        stage.puppets[pid].call("process_exit", 1, None, {"type": "ValueError", "message": "a secret"})
        await stage.settled()


def dead(stage: Stage) -> list[Any]:
    """Rows of all that are dead."""
    return dead_rows(stage.kernel.state, 0, stage.kernel.now_ns())


@staged
async def test_what_was_tried_too_often_tells_when_by_whom_and_why(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one, restarts=9)
    one.call("message_send", two.pid, "x", {"n": "content"})
    await stage.settled()
    await fail_at(stage, one, two.pid, 3)
    (row,) = dead(stage)
    assert (row.number, row.type, row.pid, row.sender, row.reason, row.attempts) == (1, "x", 2, 1, "attempts", 3)
    assert [(t.incarnation, t.reason) for t in row.tries] == [(n, "raised ValueError") for n in (1, 2, 3)]
    assert row.sent_ns < row.tries[0].time_ns < row.tries[1].time_ns < row.tries[2].time_ns == row.dead_ns
    assert stage.kernel.table.require(two.pid).failures == 0  # they were the message's
    assert not stage.kernel.post.box(two.pid).waiting
    assert fold_from_start(stage.store.reader()).state.encode() == stage.kernel.state.encode()


@staged
async def test_letters_outlive_their_process_until_their_run_is_let_go(stage: Stage) -> None:
    one = await stage.root()
    two = await named(stage, one, "desk")
    for n in range(2):
        one.call("message_send", two.pid, "x", n)
    await stage.ask(two, "message_receive")
    two.call("process_exit", 0)
    await stage.settled()
    assert [row.reason for row in dead(stage)] == ["ended", "ended"]
    one.call("process_wait", two.pid)
    await stage.settled()
    assert [(row.name, row.run, row.alive) for row in dead(stage)] == [("desk", 1, False)] * 2
    (box,) = box_rows(stage.kernel.state, 0, stage.kernel.now_ns())
    assert (box.pid, box.name, box.dead) == (two.pid, "desk", 2)
    one.call("process_exit", 0)
    await stage.settled()
    assert len(dead(stage)) == 2
    stage.kernel.ledger.commit((ev.ProcessReaped(one.pid),), {})
    assert not dead(stage)
    assert not stage.kernel.post.left


@staged
async def test_more_than_are_kept_of_a_run_go_oldest_first_and_are_counted(stage: Stage) -> None:
    limits.DEAD_LETTERS_RUN_MAX, before = 3, limits.DEAD_LETTERS_RUN_MAX
    try:
        one = await stage.root()
        for _ in range(2):
            two = await stage.child(one)
            for n in range(2):
                one.call("message_send", two.pid, "x", n)
            two.call("process_exit", 0)
            await stage.settled()
            one.call("process_wait", two.pid)
            await stage.settled()
        assert [row.number for row in dead(stage)] == [2, 3, 4]
        assert stage.kernel.post.let_go == 1
    finally:
        limits.DEAD_LETTERS_RUN_MAX = before


@staged
async def test_an_event_that_is_dead_with_several_is_tried_again_by_all_of_them(stage: Stage) -> None:
    one = await stage.root()
    desks = [await named(stage, one, name) for name in ("desk", "counter")]
    for desk in desks:
        await stage.ask(desk, "topic_subscribe", "a.*")
    one.call("topic_publish", "a.b", {"n": 1})
    for desk in desks:
        desk.call("process_exit", 0)
        await stage.settled()
        one.call("process_wait", desk.pid)
    await stage.settled()
    assert [(row.number, row.name) for row in dead(stage)] == [(1, "desk"), (1, "counter")]
    again = [await named(stage, one, name) for name in ("desk", "counter")]
    assert retry_letters(stage.kernel, 1, uid=7).done == [1, 1]
    assert [(await stage.ask(desk, "message_receive"))[1]["body"] for desk in again] == [{"n": 1}] * 2
    assert not dead(stage)


@staged
async def test_a_letter_that_is_tried_again_is_as_new(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one, restarts=9)
    called = one.call("message_call", two.pid, "x", {"n": 1})
    await stage.settled()
    await fail_at(stage, one, two.pid, 3)
    assert one.answers[called][0] == "EPIPE"
    assert retry_letters(stage.kernel, 1, uid=7).done == [1]
    await stage.settled()
    errno, taken = await stage.ask(stage.puppets[two.pid], "message_receive")
    assert (errno, taken["attempt"], taken["body"]) == ("", 1, {"n": 1})
    assert (await stage.ask(stage.puppets[two.pid], "message_reply", 1, "late"))[1] is False
    assert not dead(stage)
    assert [e.command for e in last_events(stage) if isinstance(e, ev.OperatorCommanded)] == ["mail retry"]
    with pytest.raises(Enoent):
        retry_letters(stage.kernel, 1, uid=7)


@staged
async def test_it_goes_to_who_waits_for_such_a_one(stage: Stage) -> None:
    one = await stage.root()
    for kind in ("x", "y"):
        one.call("message_send", one.pid, kind, kind)
        taken = (await stage.ask(one, "message_receive"))[1]["message"]
        await stage.ask(one, "message_done", taken, None, None, "no")
    waiting = one.call("message_receive", 0, ["y"])
    await stage.settled()
    assert retry_letters(stage.kernel, 0, uid=0).done == [1, 2]
    await stage.settled()
    assert one.answers[waiting][1]["body"] == "y"
    assert list(stage.kernel.post.box(one.pid).waiting) == [1]


@staged
async def test_where_the_receiver_has_ended_whoever_is_called_so_now_gets_it(stage: Stage) -> None:
    one = await stage.root()
    old = await named(stage, one, "desk")
    one.call("message_send", old.pid, "x", "for the desk")
    old.call("process_exit", 0)
    await stage.settled()
    with pytest.raises(Esrch):
        retry_letters(stage.kernel, 1, uid=0)
    failed = retry_letters(stage.kernel, 0, uid=0)
    assert (failed.done, [(f.number, f.errno) for f in failed.failed]) == ([], [(1, "ESRCH")])
    one.call("process_wait", old.pid)
    first = await named(stage, one, "desk")
    second = await named(stage, one, "desk")
    with pytest.raises(Einval):
        retry_letters(stage.kernel, 1, uid=0)
    second.call("process_exit", 0)
    await stage.settled()
    assert retry_letters(stage.kernel, 1, uid=0).done == [1]
    await stage.settled()
    assert (await stage.ask(first, "message_receive"))[1]["body"] == "for the desk"


@staged
async def test_a_letter_stays_dead_where_there_is_no_room_or_nobody_receives(stage: Stage) -> None:
    one = await stage.root()
    old = await named(stage, one, "desk")
    one.call("message_send", old.pid, "x", None)
    old.call("process_exit", 0)
    await stage.settled()
    mute = await stage.ask(one, "process_spawn", "mute", [], {}, "desk")
    assert mute[0] == ""
    with pytest.raises(Eperm):
        retry_letters(stage.kernel, 1, uid=0)
    stage.kernel.operator.signal(mute[1], Signal.KILL, uid=0)
    await named(stage, one, "desk")
    limits.MAILBOX_MESSAGES_MAX, before = 0, limits.MAILBOX_MESSAGES_MAX
    try:
        with pytest.raises(Eagain):
            retry_letters(stage.kernel, 1, uid=0)
    finally:
        limits.MAILBOX_MESSAGES_MAX = before
    assert [row.number for row in dead(stage)] == [1]


@staged
async def test_letters_that_are_dropped_are_gone_and_named_in_the_journal(stage: Stage) -> None:
    one = await stage.root()
    for n in range(3):
        one.call("message_send", one.pid, "x", n)
        taken = (await stage.ask(one, "message_receive"))[1]["message"]
        await stage.ask(one, "message_done", taken, None, None, "no")
    assert drop_letters(stage.kernel, 2, uid=0).done == [2]
    with pytest.raises(Enoent):
        drop_letters(stage.kernel, 2, uid=0)
    assert drop_letters(stage.kernel, 0, uid=0).done == [1, 3]
    assert drop_letters(stage.kernel, 0, uid=0).done == []
    await stage.settled()
    assert [e.number for e in last_events(stage) if isinstance(e, ev.MessageDropped)] == [2, 1, 3]
    assert fold_from_start(stage.store.reader()).state.encode() == stage.kernel.state.encode()
