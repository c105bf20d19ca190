"""Who waits for room in a full mailbox: first come first served, in each sender's order, and never for nothing."""

from __future__ import annotations

from typing import Any

import pytest

from prytany.abi import limits
from prytany.abi.signals import Signal
from prytany.kernel.waiting.explain import explain
from tests.unit.kernel.puppets import Puppet, Stage
from tests.unit.kernel.test_messages import staged


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """For two messages."""
    monkeypatch.setattr(limits, "MAILBOX_MESSAGES_MAX", 2)


async def full(stage: Stage, children: int = 2) -> tuple[Puppet, list[Puppet]]:
    """A process whose mailbox is full, and others of its run."""
    one = await stage.root(restarts=1)
    others = [await stage.child(one, restarts=1) for _ in range(children)]
    for n in range(2):
        assert (await stage.ask(one, "message_send", one.pid, "x", n))[0] == ""
    return one, others


async def take(stage: Stage, one: Puppet, *asked: Any) -> Any:
    """The body of the next message, which is done with."""
    errno, message = await stage.ask(one, "message_receive", *asked)
    assert errno == "", message
    assert (await stage.ask(one, "message_done", message["message"]))[0] == ""
    return message["body"]


def nothing_is_left(stage: Stage) -> bool:
    """Whether nobody stands in a line."""
    lines = stage.kernel.state.post.lines
    return not (lines.of or lines.senders or lines.due)


@staged
async def test_who_waits_for_room_is_let_in_first_come_first_served(stage: Stage) -> None:
    one, (a, b) = await full(stage)
    calls = [(p, p.call("message_send", one.pid, "x", body, -1)) for body, p in enumerate((a, b, a, b), 2)]
    late = await stage.ask(a, "message_send", one.pid, "x", "late")
    assert late[0] == "EAGAIN"
    assert [await take(stage, one) for _ in range(6)] == [0, 1, 2, 3, 4, 5]
    assert [p.answers[n] for p, n in calls] == [("", 3), ("", 4), ("", 5), ("", 6)]
    assert nothing_is_left(stage)


@staged
async def test_nobody_overtakes_a_line_while_there_is_one(stage: Stage) -> None:
    one, (a, b) = await full(stage)
    first = a.call("message_send", one.pid, "x", 2, -1)
    await stage.settled()
    done = (await stage.ask(one, "message_receive"))[1]["message"]
    one.call("message_done", done)
    second = b.call("message_send", one.pid, "x", 3)
    await stage.settled()
    assert a.answers[first] == ("", 3)
    assert b.answers[second][0] == "EAGAIN"


@staged
async def test_a_call_waits_for_room_and_then_for_its_reply(stage: Stage) -> None:
    one, (a, _) = await full(stage)
    asked = a.call("message_call", one.pid, "x", 2, 0, 1)
    assert [await take(stage, one) for _ in range(2)] == [0, 1]
    assert asked not in a.answers
    message = (await stage.ask(one, "message_receive"))[1]
    assert message["awaited"]
    assert (await stage.ask(one, "message_done", message["message"], None, "yes"))[0] == ""
    assert a.answers[asked] == ("", "yes")


@staged
async def test_a_receive_takes_what_waits_for_room_when_it_asks_for_that(stage: Stage) -> None:
    one, (a, b) = await full(stage)
    held = [a.call("message_send", one.pid, "y", n, -1) for n in range(2)]
    asked = b.call("message_call", one.pid, "z", 9, 0, 1)
    await stage.settled()
    errno, taken = await stage.ask(one, "message_receive", 0, ["y"])
    assert (errno, taken["body"]) == ("", 0)
    assert held[0] in a.answers
    assert held[1] not in a.answers
    called = (await stage.ask(one, "message_receive", 0, ["z"]))[1]
    assert (await stage.ask(one, "message_reply", called["message"], "now"))[1] is True
    assert b.answers[asked] == ("", "now")
    waiting = one.call("message_receive", 0, ["late"])
    assert (await stage.ask(b, "message_send", one.pid, "late", 1))[0] == ""  # it is handed over: it needs no room
    assert one.answers[waiting][1]["body"] == 1


@staged
async def test_who_gives_up_stands_in_no_line_any_more(stage: Stage) -> None:
    one, (a, b) = await full(stage)
    cancelled, kept = (a.call("message_send", one.pid, "x", n, -1) for n in (2, 3))
    a.call("call_cancel", cancelled)
    timed = b.call("message_send", one.pid, "x", 4, 5)
    await stage.settled()
    assert a.answers[cancelled][0] == "ECANCELED"
    assert b.answers[timed][0] == "ETIMEDOUT"
    assert [await take(stage, one) for _ in range(3)] == [0, 1, 3]
    assert kept in a.answers
    assert nothing_is_left(stage)


@pytest.mark.parametrize("ends", ["exit", "fail", "exec", "kill"])
def test_whoever_ends_stands_in_no_line_any_more(ends: str) -> None:
    @staged
    async def tried(stage: Stage) -> None:
        one, (a, b) = await full(stage)
        a.call("message_send", one.pid, "x", 2, -1)
        a.call("message_call", one.pid, "x", 2, 0, 1)
        kept = b.call("message_send", one.pid, "x", 3, -1)
        await stage.settled()
        if ends == "kill":
            stage.kernel.operator.signal(a.pid, Signal.KILL, uid=0)
        else:
            args: dict[str, tuple[Any, ...]] = {"exit": (0,), "fail": (1,), "exec": (b"\xc0",)}
            a.call("process_exec" if ends == "exec" else "process_exit", *args[ends])
        await stage.settled()
        assert [await take(stage, one) for _ in range(3)] == [0, 1, 3]
        assert b.answers[kept][0] == ""
        assert nothing_is_left(stage)

    tried()


@staged
async def test_where_the_receiver_ends_those_who_wait_are_told(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one)
    for n in range(2):
        one.call("message_send", two.pid, "x", n)
    sent, called = one.call("message_send", two.pid, "x", 2, -1), one.call("message_call", two.pid, "x", 3, 0, 1)
    two.call("process_exit", 0)
    await stage.settled()
    assert (one.answers[sent][0], one.answers[called][0]) == ("ESRCH", "EPIPE")
    assert nothing_is_left(stage)


@staged
async def test_a_message_that_is_put_aside_makes_room(stage: Stage) -> None:
    one, (a, _) = await full(stage)
    held = a.call("message_send", one.pid, "x", 2, -1)
    message = (await stage.ask(one, "message_receive"))[1]["message"]
    assert (await stage.ask(one, "message_done", message, None, None, "no"))[0] == ""
    assert a.answers[held][0] == ""
    assert nothing_is_left(stage)


@staged
async def test_a_line_is_bounded_and_what_is_no_time_is_einval(stage: Stage) -> None:
    limits.SENDERS_MAX, before = 3, limits.SENDERS_MAX
    try:
        one, (a, _) = await full(stage)
        for _ in range(3):
            a.call("message_send", one.pid, "x", None, -1)
        assert (await stage.ask(a, "message_send", one.pid, "x", None, -1))[0] == "EAGAIN"
        assert (await stage.ask(a, "message_call", one.pid, "x", None, 0, 1))[0] == "EAGAIN"
        for wait in (-2, 1 << 62, "1", None):
            assert (await stage.ask(a, "message_send", one.pid, "x", None, wait))[0] == "EINVAL"
    finally:
        limits.SENDERS_MAX = before


@staged
async def test_no_more_is_in_hand_than_may_be(stage: Stage) -> None:
    limits.IN_HAND_MAX, before = 3, limits.IN_HAND_MAX
    try:
        one, _ = await full(stage, 0)
        for _ in range(2):
            assert (await stage.ask(one, "message_receive"))[0] == ""
        one.call("message_receive", 0, ["a"])
        assert (await stage.ask(one, "message_receive", 0, ["b"]))[0] == "EAGAIN"
        one.call("nop")
        assert (await stage.ask(one, "message_receive"))[0] == "EAGAIN"
    finally:
        limits.IN_HAND_MAX = before


@staged
async def test_why_leads_to_who_has_no_room(stage: Stage) -> None:
    one, (a, b) = await full(stage)
    a.call("message_send", one.pid, "x", 2, -1)
    b.call("message_call", one.pid, "x", 3, 0, 1)
    await stage.settled()
    rows = explain(stage.kernel.state, b.pid, stage.kernel, stage.kernel.now_ns())
    assert [(row.pid, row.kind) for row in rows] == [(b.pid, "room"), (one.pid, "nothing")]
    assert "2 messages lie; 1 others wait before it" in rows[0].text
    assert stage.kernel.table.require(a.pid).shown_state()[1] == "room"
