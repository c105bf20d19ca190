"""Messages as the kernel decides them: who may send to whom, what is full, who wins a race, what a failure leaves."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import msgspec
import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import KernelError
from prytany.process.process import State
from tests.unit.kernel.puppets import Stage


def staged(test: Callable[[Stage], Awaitable[None]]) -> Callable[[], None]:
    """Run `test` in a loop of its own, with a kernel."""

    @wraps(test)
    def run() -> None:
        async def play() -> None:
            stage = Stage()
            try:
                await test(stage)
            finally:
                await stage.kernel.close()

        asyncio.run(play())

    del run.__wrapped__  # pytest would see the parameter
    return run


@staged
async def test_a_message_to_who_is_not_there_is_esrch_and_to_another_run_eperm(stage: Stage) -> None:
    one, other = await stage.root(), await stage.root()
    for pid in (0, -1, 99, 1 << 50):
        assert (await stage.ask(one, "message_send", pid, "x", None))[0] == "ESRCH"
    assert (await stage.ask(one, "message_send", other.pid, "x", None))[0] == "EPERM"
    mute = await stage.child(one, "mute")
    assert (await stage.ask(one, "message_send", mute.pid, "x", None))[0] == "EPERM"
    ended = await stage.child(one)
    ended.call("process_exit", 0)
    await stage.settled()
    assert (await stage.ask(one, "message_send", ended.pid, "x", None))[0] == "ESRCH"
    assert (await stage.ask(mute, "message_receive"))[0] == "EPERM"


@staged
async def test_malformed_and_oversized_messages_are_einval_and_leave_nothing(stage: Stage) -> None:
    one = await stage.root()
    most = limits.MESSAGE_BYTES_MAX
    wrong: list[tuple[Any, ...]] = [
        (),
        ("", "x", None),
        ("n" * (limits.NAME_BYTES_MAX + 1), "x", None),
        (None, "x", None),
        (one.pid, "x" * (limits.NAME_BYTES_MAX + 1), None),
        (one.pid, "", None),
        (one.pid, 3, None),
        (one.pid, "x", b"x" * (most + 2_000)),
        (one.pid, "x", b"x" * 100_000_000),
    ]
    for args in wrong:
        assert (await stage.ask(one, "message_send", *args))[0] == "EINVAL"
    others: list[tuple[str, tuple[Any, ...]]] = [
        ("message_receive", (-1,)),
        ("message_receive", (1 << 62,)),
        ("message_done", (7,)),
        ("message_reply", (7, None)),
        ("message_done", (0, b"x" * (limits.RESULT_BYTES_MAX + 1))),
        ("process_exec", (b"x" * (limits.RESULT_BYTES_MAX + 1),)),
        ("process_exec", ("text",)),
    ]
    for name, args in others:
        assert (await stage.ask(one, name, *args))[0] == "EINVAL"
    nested: Any = None
    for _ in range(900):
        nested = [nested]
    assert (await stage.ask(one, "message_send", one.pid, "x", nested))[0] in ("", "EINVAL")
    assert not stage.kernel.post.box(one.pid).in_hand
    assert max(len(body.content) for body in stage.kernel.reader.bodies()) <= limits.ARGUMENT_BYTES_MAX


def too_deep(depth: int) -> bool:
    """Whether so many lists in each other cannot be read."""
    try:
        msgspec.msgpack.decode(b"\x91" * depth + b"\xc0")
    except RecursionError:
        return True
    return False


@staged
async def test_a_message_that_could_just_be_read_and_not_be_packed_is_einval(stage: Stage) -> None:
    sender = await stage.root()
    deepest = bisect_left(range(100_000), True, key=too_deep)  # of lists, from here; interpreters differ
    for depth in range(deepest - 100, deepest + 20):
        raw = b"\x93" + msgspec.msgpack.encode(sender.pid) + b"\xa1x" + b"\x91" * depth + b"\xc0"
        sender.made += 1
        sender.host.on_frame(sender.pid, sender.delivered, ((sender.made, "message_send", msgspec.Raw(raw)),))
    await stage.settled()
    assert {errno for errno, _ in sender.answers.values()} == {"", "EINVAL"}
    assert len(sender.answers) == sender.made


@staged
async def test_a_full_mailbox_says_so_and_takes_again_when_there_is_room(stage: Stage) -> None:
    one = await stage.root()
    for _ in range(limits.MAILBOX_MESSAGES_MAX):
        one.call("message_send", one.pid, "x", None)
    assert (await stage.ask(one, "message_send", one.pid, "x", None))[0] == "EAGAIN"
    errno, taken = await stage.ask(one, "message_receive")
    assert (errno, taken["message"], taken["attempt"], taken["awaited"]) == ("", 1, 1, False)
    assert (await stage.ask(one, "message_send", one.pid, "x", None))[0] == "EAGAIN"
    assert (await stage.ask(one, "message_done", 1))[0] == ""
    assert (await stage.ask(one, "message_send", one.pid, "x", None))[0] == ""
    assert (await stage.ask(one, "message_done", 1))[0] == "EINVAL"


@staged
async def test_a_state_that_its_program_could_not_begin_from_is_refused(stage: Stage) -> None:
    one = await stage.root()
    _, pid = await stage.ask(one, "process_spawn", "program", [b"x" * (3 << 20)], {})
    two = stage.puppets[pid]
    room = limits.START_BYTES_MAX - (3 << 20)
    for call, args in (("message_done", (0,)), ("process_exec", ())):
        errno, (said, _) = await stage.ask(two, call, *args, b"x" * room)
        assert (errno, "arguments" in said) == ("EINVAL", True)
    assert (await stage.ask(two, "message_done", 0, b"x" * (room - 1_000)))[0] == ""
    assert (await stage.ask(one, "message_done", 0, b"x" * (limits.RESULT_BYTES_MAX - 1_000)))[0] == ""


@staged
async def test_who_waits_is_handed_the_message_and_the_messages_of_a_sender_keep_their_order(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one)
    waiting = two.call("message_receive")
    assert (await stage.ask(two, "message_receive"))[0] == "EBUSY"
    for number in range(5):
        one.call("message_send", two.pid, "x", number)
    await stage.settled()
    bodies = [two.answers[waiting][1]["body"]]
    for _ in range(4):
        bodies.append((await stage.ask(two, "message_receive"))[1]["body"])
    assert bodies == [0, 1, 2, 3, 4]


@staged
async def test_a_call_is_answered_once_and_a_call_to_oneself_is_edeadlk(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one)
    assert (await stage.ask(one, "message_call", one.pid, "x", None))[0] == "EDEADLK"
    asked = one.call("message_call", two.pid, "x", {"n": 1})
    taken = (await stage.ask(two, "message_receive"))[1]
    assert taken["awaited"]
    assert (await stage.ask(two, "message_reply", taken["message"], "first"))[1] is True
    assert (await stage.ask(two, "message_reply", taken["message"], "second"))[1] is False
    assert (await stage.ask(two, "message_done", taken["message"], None, "third"))[0] == ""
    assert one.answers[asked] == ("", "first")


@staged
async def test_a_reply_reaches_only_the_call_that_was_made_with_the_message(stage: Stage) -> None:
    one = await stage.root()
    caller, server = await stage.child(one, restarts=1), await stage.child(one)
    for _ in range(2):
        caller.call("message_call", server.pid, "x", None)
        await stage.settled()
        if caller.start["epoch"] == 0:
            caller.call("process_exit", 1)
            await stage.settled()
            caller = stage.puppets[caller.pid]
    assert caller.start["incarnation"] == 2
    # The same number of a call, in another incarnation: the first reply is nobody's.
    first, second = [(await stage.ask(server, "message_receive"))[1]["message"] for _ in range(2)]
    assert (await stage.ask(server, "message_reply", first, "old"))[1] is False
    assert 1 not in caller.answers
    assert (await stage.ask(server, "message_reply", second, "new"))[1] is True
    assert caller.answers[1] == ("", "new")


@staged
async def test_a_receive_that_loses_the_race_with_its_cancellation_loses_no_message(stage: Stage) -> None:
    one = await stage.root()
    first = one.call("message_receive")
    one.call("message_send", one.pid, "x", "kept")
    # The worker gives up before the message reaches it, and waits anew.
    cancelled = one.call("call_cancel", first)
    again = one.call("message_receive")
    await stage.settled()
    assert one.answers[cancelled] == ("", False)
    assert one.answers[again][1]["body"] == "kept"
    assert one.answers[again][1]["attempt"] == 1
    # And where another receive was open by the time of the cancellation, that one is handed it.
    assert (await stage.ask(one, "message_done", 1))[0] == ""
    third = one.call("message_receive")
    one.call("message_send", one.pid, "x", "kept too")
    fourth = one.call("message_receive")
    one.call("call_cancel", third)
    await stage.settled()
    assert one.answers[fourth][1]["body"] == "kept too"
    assert list(stage.kernel.post.box(one.pid).in_hand) == [2]


@staged
async def test_next_finishes_with_a_message_and_takes_the_one_after_it_in_one_entry(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one)
    asked = [one.call("message_call", two.pid, "x", n) for n in range(2)]
    first = (await stage.ask(two, "message_next", 0))[1]
    entries = stage.kernel.ledger.journal.durable
    second = (await stage.ask(two, "message_next", first["message"], "one"))[1]
    assert (first["body"], second["body"], second["attempt"]) == (0, 1, 1)
    assert one.answers[asked[0]] == ("", "one")
    assert stage.kernel.ledger.journal.durable == entries + 1
    waiting = two.call("message_next", second["message"], "two")
    await stage.settled()
    assert one.answers[asked[1]] == ("", "two")
    assert stage.kernel.post.box(two.pid).in_hand == {}
    one.call("message_send", two.pid, "x", "late")
    await stage.settled()
    assert two.answers[waiting][1]["body"] == "late"


@staged
async def test_next_that_is_refused_or_gives_up_keeps_what_it_should(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one)
    asked = one.call("message_call", two.pid, "x", None)
    taken = (await stage.ask(two, "message_next", 0))[1]["message"]
    for wrong in (
        (taken + 1,),
        (taken, None, -1),
        (taken, None, 1 << 62),
        (taken, b"x" * (limits.MESSAGE_BYTES_MAX + 1)),
    ):
        assert (await stage.ask(two, "message_next", *wrong))[0] == "EINVAL"
        assert list(stage.kernel.post.box(two.pid).in_hand) == [taken]
    assert asked not in one.answers
    # Who waits in vain has finished all the same.
    assert (await stage.ask(two, "message_next", taken, "said", 1))[0] == "ETIMEDOUT"
    assert one.answers[asked] == ("", "said")
    assert (await stage.ask(two, "message_done", taken))[0] == "EINVAL"


@staged
async def test_a_cancelled_receive_takes_nothing(stage: Stage) -> None:
    one = await stage.root()
    first = one.call("message_receive")
    assert (await stage.ask(one, "call_cancel", first)) == ("", True)
    await stage.ask(one, "message_send", one.pid, "x", None)
    assert one.answers[first][0] == "ECANCELED"
    assert list(stage.kernel.post.box(one.pid).waiting) == [1]


@staged
async def test_a_timeout_ends_a_receive_and_a_call(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one)
    assert (await stage.ask(one, "message_receive", 5))[0] == "ETIMEDOUT"
    assert (await stage.ask(one, "message_call", two.pid, "x", None, 5))[0] == "ETIMEDOUT"
    taken = (await stage.ask(two, "message_receive"))[1]
    assert (await stage.ask(two, "message_reply", taken["message"], None))[1] is False


@staged
async def test_a_receiver_that_ends_tells_its_callers_and_keeps_what_it_left_as_dead_letters(stage: Stage) -> None:
    one = await stage.root()
    two, three = await stage.child(one), await stage.child(one)
    asked = [one.call("message_call", two.pid, "x", None), three.call("message_call", two.pid, "x", None)]
    one.call("message_send", two.pid, "x", None)
    await stage.ask(two, "message_receive")
    two.call("process_exit", 0)
    await stage.settled()
    assert one.answers[asked[0]][0] == three.answers[asked[1]][0] == "EPIPE"
    box = stage.kernel.post.box(two.pid)
    assert [(m.number, m.reason) for m in box.dead.values()] == [(1, "ended"), (2, "ended"), (3, "ended")]
    assert (await stage.ask(one, "process_wait", two.pid))[0] == ""
    assert two.pid not in stage.kernel.post.boxes


@staged
async def test_a_rejected_message_is_einval_to_who_waits_and_a_dead_letter_otherwise(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one)
    asked = one.call("message_call", two.pid, "x", None)
    one.call("message_send", two.pid, "x", None)
    for _ in range(2):
        number = (await stage.ask(two, "message_receive"))[1]["message"]
        assert (await stage.ask(two, "message_done", number, None, None, "not mine"))[0] == ""
    assert one.answers[asked] == ("EINVAL", ["not mine", {}])
    assert [m.reason for m in stage.kernel.post.box(two.pid).dead.values()] == ["rejected"]


@staged
async def test_a_snapshot_holds_no_call_in_flight(stage: Stage) -> None:
    one = await stage.root()
    one.call("message_receive")
    assert (await stage.ask(one, "message_done", 0, b"\xc0"))[0] == "EBUSY"
    assert stage.kernel.table.require(one.pid).snapshot == b""


@staged
async def test_after_exec_nothing_of_the_old_worker_counts(stage: Stage) -> None:
    one = await stage.root()
    await stage.ask(one, "message_send", one.pid, "x", None)
    await stage.ask(one, "message_receive")
    waiting = one.call("message_receive")
    one.call("process_exec", b"\x2a")
    one.call("message_send", one.pid, "late", None)
    await stage.settled()
    again = stage.puppets[one.pid]
    assert again is not one
    assert one.killed
    assert waiting not in one.answers
    assert (again.start["state"], again.start["incarnation"], again.made) == (b"\x2a", 1, 0)
    taken = (await stage.ask(again, "message_receive"))[1]
    assert (taken["type"], taken["attempt"]) == ("x", 2)
    assert stage.kernel.post.next_number == 2


@staged
async def test_a_failure_that_a_signal_asked_for_and_a_kill_are_no_failures(stage: Stage) -> None:
    one = await stage.root()
    asked, killed = await stage.child(one, restarts=3), await stage.child(one, restarts=3)
    await stage.ask(one, "process_signal", asked.pid, 15)
    asked.call("process_exit", 143)
    await stage.ask(one, "process_signal", killed.pid, 9)
    table = stage.kernel.table
    assert [table.require(p.pid).state for p in (asked, killed)] == [State.TERMINATED] * 2
    assert [table.require(p.pid).failures for p in (asked, killed)] == [0, 0]


@staged
async def test_a_restarted_process_keeps_pid_mailbox_and_accounts_and_what_waits_for_it(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one, restarts=1)
    waited = one.call("process_wait", two.pid)
    await stage.ask(one, "message_send", two.pid, "x", None)
    before = stage.kernel.table.require(two.pid).usage.calls
    stage.kernel.on_exit(two.pid, 139, 11, "a segfault", 1_000)
    await stage.settled()
    again = stage.puppets[two.pid]
    process = stage.kernel.table.require(two.pid)
    assert again is not two
    assert (process.incarnation, process.usage.cpu_us, process.usage.calls) == (2, 1_000, before)
    assert (await stage.ask(again, "message_receive"))[1]["attempt"] == 1
    assert waited not in one.answers
    again.call("process_exit", 1)
    await stage.settled()
    assert one.answers[waited][1]["status"] == 1


@staged
async def test_a_process_in_backoff_can_be_stopped_continued_and_killed(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one, restarts=2)
    operator, table = stage.kernel.operator, stage.kernel.table
    stage.kernel.on_exit(two.pid, 1, 0, "failed", 0)
    operator.signal(two.pid, 19, uid=0)
    await stage.settled()
    assert table.require(two.pid).state is State.STOPPED
    assert two.pid not in table.restarting
    operator.signal(two.pid, 18, uid=0)
    await stage.settled()
    assert stage.puppets[two.pid].start["incarnation"] == 2
    stage.kernel.on_exit(two.pid, 1, 0, "failed", 0)
    operator.signal(two.pid, 9, uid=0)
    await stage.settled()
    assert table.require(two.pid).state is State.TERMINATED
    assert table.restarting == {}


@staged
async def test_restarts_are_bounded_and_malformed_ones_refused(stage: Stage) -> None:
    one = await stage.root()
    for restarts in (-1, limits.RESTARTS_MAX + 1, "2"):
        assert (await stage.ask(one, "process_spawn", "program", [], {}, "", None, restarts))[0] == "EINVAL"


@staged
async def test_the_operator_can_send_and_is_refused_as_anybody(stage: Stage) -> None:
    one = await stage.root()
    assert stage.kernel.operator.send(one.pid, "x", {"n": 1}, uid=1000) == 1
    await stage.settled()
    taken = (await stage.ask(one, "message_receive"))[1]
    assert (taken["sender"], taken["body"]) == (-1001, {"n": 1})
    for pid, kind in ((99, "x"), (one.pid, "")):
        with pytest.raises(KernelError):
            stage.kernel.operator.send(pid, kind, None, uid=0)


@staged
async def test_an_upgrade_waits_for_the_end_of_the_message_or_for_the_failure_at_it(stage: Stage) -> None:
    one = await stage.root("Server", restarts=1)
    operator = stage.kernel.operator
    with pytest.raises(KernelError):
        operator.upgrade(one.pid, uid=0)  # it has no state yet
    await stage.ask(one, "message_done", 0, b"one")
    with pytest.raises(KernelError):
        operator.upgrade(one.pid, uid=0)  # it runs this version
    operator.send(one.pid, "x", None, uid=0)
    await stage.ask(one, "message_receive")
    stage.text = b"# two"
    assert operator.upgrade(one.pid, uid=0) is False
    one.call("message_done", 1, b"two")
    await stage.settled()
    two = stage.puppets[one.pid]
    assert (two.start["source"], two.start["migrating"], two.start["state"]) == (b"# two", True, b"two")
    stage.text = b"# three"
    await stage.ask(two, "message_done", 0, b"migrated")
    two.call("message_receive")
    assert operator.upgrade(one.pid, uid=0) is True
    await stage.settled()
    three = stage.puppets[one.pid]
    three.call("process_exit", 1, None, {"type": "ValueError"})
    await stage.settled()
    four = stage.puppets[one.pid]
    assert (four.start["source"], four.start["migrating"], four.start["state"]) == (b"# two", False, b"migrated")
    assert stage.kernel.table.require(one.pid).failures == 0
    operator.send(one.pid, "x", None, uid=0)
    await stage.ask(four, "message_receive")
    assert operator.upgrade(one.pid, uid=0) is False
    four.call("process_exit", 1)
    await stage.settled()
    five = stage.puppets[one.pid]
    assert (five.start["source"], five.start["migrating"], five.start["incarnation"]) == (b"# three", True, 2)
    assert (await stage.ask(five, "message_done", 0, b"five"))[0] == ""
    assert (await stage.ask(five, "message_receive"))[1]["attempt"] == 2


@staged
async def test_an_event_of_a_message_names_no_content(stage: Stage) -> None:
    one = await stage.root()
    await stage.ask(one, "message_send", one.pid, "x", "the secret")
    rows = list(stage.kernel.reader.rows(1))
    assert not any(b"the secret" in row.record for row in rows)
    assert any(isinstance(e, ev.MessageSent) for row in rows for e in ev.decode_entry(row.record).events)
