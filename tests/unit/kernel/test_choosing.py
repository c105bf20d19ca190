"""Receives that ask for something: who is handed what, in which order, and what is left where it lies."""

from __future__ import annotations

from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.kernel.handlers import receiving
from prytany.kernel.waiting.explain import explain
from tests.unit.kernel.puppets import Puppet, Stage
from tests.unit.kernel.test_messages import staged


async def numbers(stage: Stage, puppet: Puppet, *asked: Any) -> int:
    """The number of the message that such a receive takes at once."""
    errno, taken = await stage.ask(puppet, "message_receive", *asked)
    assert errno == ""
    number: int = taken["message"]
    return number


@staged
async def test_the_oldest_message_that_is_asked_for_is_taken_and_others_stay(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one)
    for kind, body in (("a", {"id": 1}), ("b", {"id": 1}), ("a", {"id": 2}), ("c", None)):
        one.call("message_send", two.pid, kind, body)
    two.call("message_send", two.pid, "b", {"id": 2.0, "more": [1]})
    await stage.settled()
    assert await numbers(stage, two, 0, ["b", "c"]) == 2
    assert await numbers(stage, two, 0, None, two.pid) == 5
    assert await numbers(stage, two, 0, None, 0, {"id": 2}) == 3
    assert await numbers(stage, two) == 1
    assert await numbers(stage, two, 0, ["c"], one.pid) == 4


@staged
async def test_of_calls_that_wait_the_oldest_that_asks_for_a_message_is_handed_it(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one)
    asked: list[tuple[Any, ...]] = [
        (0, ["a"]), (0, None, 0, {"id": "x"}), (0, ["b"]), (), (0, ["a"]),
    ]  # fmt: skip
    waiting = [two.call("message_receive", *args) for args in asked]
    sent = [("b", {"id": "x"}), ("b", None), ("a", None), ("a", None), ("a", None)]
    for kind, body in sent:
        one.call("message_send", two.pid, kind, body)
    await stage.settled()
    taken = [two.answers[n][1]["message"] for n in waiting]
    assert taken == [3, 1, 2, 4, 5]
    assert not stage.kernel.post.choosy


@staged
async def test_what_nobody_asked_for_waits_and_a_call_that_ended_takes_nothing(stage: Stage) -> None:
    one = await stage.root()
    first = one.call("message_receive", 0, ["never"])
    one.call("message_send", one.pid, "x", None)
    one.call("call_cancel", first)
    one.call("message_send", one.pid, "never", None)
    await stage.settled()
    assert one.answers[first][0] == "ECANCELED"
    assert [m.kind for m in stage.kernel.post.box(one.pid).waiting.values()] == ["x", "never"]
    assert not stage.kernel.post.choosy


@staged
async def test_a_filter_ends_with_the_incarnation_that_asked(stage: Stage) -> None:
    one = await stage.root(restarts=1)
    one.call("message_receive", 0, ["x"])
    await stage.settled()
    assert stage.kernel.post.choosy[one.pid]
    one.call("process_exit", 1)
    await stage.settled()
    assert not stage.kernel.post.choosy
    two = await stage.child(stage.puppets[one.pid])
    two.call("message_receive", 0, ["x"])
    two.call("process_exit", 0)
    await stage.settled()
    assert not stage.kernel.post.choosy


@staged
async def test_a_message_whose_receive_was_cancelled_too_late_goes_to_the_next_that_asks_for_it(stage: Stage) -> None:
    one = await stage.root()
    first = one.call("message_receive", 0, None, 0, {"id": 7})
    one.call("message_send", one.pid, "x", {"id": 7})
    second = one.call("message_receive", 0, ["y"])
    third = one.call("message_receive", 0, ["x"], 0, {"id": 7})
    late = one.call("call_cancel", first)
    await stage.settled()
    assert one.answers[late] == ("", False)
    assert second not in one.answers
    assert (one.answers[third][1]["message"], one.answers[third][1]["attempt"]) == (1, 1)


@staged
async def test_fields_are_compared_as_plain_values_and_never_beyond_the_first_of_a_body(
    stage: Stage,
) -> None:
    one = await stage.root()
    many = {str(n): n for n in range(limits.BODY_FIELDS_MAX + 1)}
    for body in ({"v": True}, {"v": "1"}, {"v": None}, {}, [1], many, {"v": 1 << 63}, {"v": float("nan")}):
        assert (await stage.ask(one, "message_send", one.pid, "x", body))[0] == ""

    async def found(fields: dict[str, Any]) -> int:
        errno, taken = await stage.ask(one, "message_receive", 1, None, 0, fields)
        return taken["message"] if not errno else 0

    kept = one.call("message_receive", 0, None, 0, {str(limits.BODY_FIELDS_MAX): limits.BODY_FIELDS_MAX})
    assert await found({"v": None}) == 3
    assert await found({"v": 1 << 63}) == 7
    assert await found({"v": True}) == 1
    assert await found({"v": "1"}) == 2
    assert await found({"0": 0.0, "63": 63}) == 6
    one.call("message_send", one.pid, "x", many)
    await stage.settled()
    assert kept not in one.answers


@pytest.mark.parametrize(
    "asked",
    [
        (0, ["x"] * (limits.RECEIVE_TYPES_MAX + 1)), (0, [""]), (0, ["x" * 129]), (0, [3]), (0, "x"), (0, None, "1"),
        (0, None, 0, {str(n): n for n in range(9)}), (0, None, 0, {"": 1}), (0, None, 0, {"x": [1]}), (-1, ["x"]),
        (0, None, 0, {"x" * 129: 1}), (0, None, 0, {1: 1}), (0, None, 0, []), (0, None, 0, {}, 1),
        (0, None, 0, {"x": b"x"}),
    ],
)  # fmt: skip
def test_what_asks_for_nothing_that_there_is_is_einval(asked: tuple[Any, ...]) -> None:
    @staged
    async def tried(stage: Stage) -> None:
        one = await stage.root()
        assert (await stage.ask(one, "message_receive", *asked))[0] == "EINVAL"
        assert not stage.kernel.post.choosy

    tried()


@staged
async def test_a_box_is_read_once_for_all_that_ask_for_fields(stage: Stage) -> None:
    one = await stage.root()
    receiving._seen.clear()
    for n in range(20):
        one.call("message_send", one.pid, "x", {"n": n})
    await stage.settled()
    read: list[bytes] = []
    content = stage.kernel.content

    def counted(digest: bytes, seq: int = 0) -> bytes:
        read.append(digest)
        return content(digest, seq)

    stage.kernel.content = counted  # type: ignore[method-assign]
    for n in range(10):
        one.call("message_receive", 0, None, 0, {"n": -1 - n})
    await stage.settled()
    assert len(read) == len(set(read)) == 20
    for n in range(20, 40):
        one.call("message_send", one.pid, "x", {"n": n})
    await stage.settled()
    assert len(read) == 20  # what comes is held against who waits, and what lies there is let lie


def test_a_filter_stands_in_the_journal_without_what_it_asks_for() -> None:
    @staged
    async def recorded(stage: Stage) -> None:
        one = await stage.root()
        one.call("message_receive", 0, ["x"], 3, {"name": "a secret"})
        await stage.settled()
        rows = [row.record for row in stage.store.reader().rows(1)]
        awaited = [e for row in rows for e in ev.decode_entry(row).events if isinstance(e, ev.MessageAwaited)]
        assert [(e.kinds, e.sender, list(e.fields)) for e in awaited] == [(["x"], 3, ["name"])]
        assert not any(b"a secret" in row for row in rows)

    recorded()


@staged
async def test_why_says_what_is_asked_for_and_what_lies_there(stage: Stage) -> None:
    one = await stage.root()
    one.call("message_receive", 0, ["a b", "c"], one.pid, {"id": 1})
    one.call("message_send", one.pid, "d", None)
    await stage.settled()
    (row,) = explain(stage.kernel.state, one.pid, stage.kernel, stage.kernel.now_ns())
    assert row.kind == "message"
    for said in ("of type a b or c", "from process 1", "certain id", "1 others lie"):
        assert said in row.text
    assert row.help == ["send 1 'a b'"]
