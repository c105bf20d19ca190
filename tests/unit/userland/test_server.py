"""What an author of servers meets: handlers by type, fields that are checked, and a state that is plain data."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

import pytest

from prytany.abi.errors import Etimedout, KernelError
from prytany.userland.process import Process
from prytany.userland.server import Server
from tests.simulation.fleet import Fleet


async def said(proc: Process, server: int, kind: str, **fields: Any) -> Any:
    try:
        return await proc.call(server, kind, **fields)
    except KernelError as error:
        return [error.errno, error.message]


def played(server: type[Server], *messages: tuple[str, dict[str, Any]], args: tuple[Any, ...] = ()) -> list[Any]:
    """What a server answers to these messages, then its status and what it raised."""

    async def root(proc: Process) -> list[Any]:
        pid = await proc.spawn("Played", *args)
        answers = [await said(proc, pid, kind, **fields) for kind, fields in messages]
        with contextlib.suppress(KernelError):
            await proc.kill(pid, 9)
        ended = await proc.wait(pid)
        return [*answers, [ended.status, ended.error["message"] if ended.error else ""]]

    ended = asyncio.run(Fleet("root", {"root": root, "Played": server}).live())
    assert ended is not None
    assert ended["error"] is None
    result: list[Any] = ended["result"]
    return result


@dataclass
class Shelf:
    books: set[str] = field(default_factory=set)
    lent: int = 0


class Library(Server):
    state: Shelf

    async def init(self, proc: Process, first: str) -> Shelf:
        await proc.nop()
        return Shelf({first})

    async def on_add(self, title: str, copies: int = 1, tags: list[str] = []) -> list[Any]:  # noqa: B006 it is copied
        self.state.books.add(title)
        self.state.lent += copies
        tags.append("seen")
        return [sorted(self.state.books), self.state.lent, tags]


def test_a_state_is_what_its_annotation_says_and_a_default_is_a_fresh_one_each_time() -> None:
    answers = played(Library, ("add", {"title": "b"}), ("add", {"title": "c", "copies": 2}), args=("a",))
    assert answers[:2] == [[["a", "b"], 1, ["seen"]], [["a", "b", "c"], 3, ["seen"]]]


def test_a_message_that_no_handler_takes_is_einval_and_says_why_and_changes_nothing() -> None:
    answers = played(
        Library, ("remove", {}), ("add", {}), ("add", {"title": 1}), ("add", {"title": "x", "size": 1}),
        ("add", {"title": "b"}), args=("a",),
    )  # fmt: skip
    assert [answer[0] for answer in answers[:4]] == ["EINVAL"] * 4
    assert "takes no 'remove'; it takes add" in answers[0][1]
    assert "missing required field `title`" in answers[1][1]
    assert "Expected `str`, got `int`" in answers[2][1]
    assert "unknown field `size`" in answers[3][1]
    assert answers[4] == [["a", "b"], 1, ["seen"]]


class Careless(Server):
    state: Any = 0
    seen = 0

    async def on_keep(self, what: str) -> None:
        self.state = {"object": object(), "huge": b"x" * 5_000_000, "surrogate": "\ud800"}[what]

    async def on_count(self) -> int:
        self.seen += 1
        return self.seen

    async def on_answer(self) -> object:
        return object()


@pytest.mark.parametrize(
    ("what", "words"), [("object", "no plain data after on_keep"), ("huge", "5000"), ("surrogate", "no plain data")]
)
def test_a_state_that_cannot_be_kept_ends_the_server_and_says_so(what: str, words: str) -> None:
    answer, (status, message) = played(Careless, ("keep", {"what": what}))
    assert answer[0] == "EPIPE"
    assert status == 1
    assert "Careless" in message
    assert words in message


class Typed(Server):
    state: int = 0

    async def on_set(self, to: Any) -> int:
        self.state = to
        return 1


def test_a_state_of_another_type_than_its_annotation_ends_the_server() -> None:
    good, bad, (status, message) = played(Typed, ("set", {"to": 2}), ("set", {"to": "two"}))
    assert (good, bad[0], status) == (1, "EPIPE", 1)
    assert "not what its annotation says after on_set" in message


def test_nothing_but_the_state_is_kept_from_one_message_to_the_next() -> None:
    assert played(Careless, ("count", {}), ("count", {}))[:2] == [1, 1]


def test_a_reply_that_cannot_be_sent_ends_the_server() -> None:
    answer, (status, _) = played(Careless, ("answer", {}))
    assert (answer[0], status) == ("EPIPE", 1)


def test_arguments_for_a_server_that_takes_none_are_refused() -> None:
    (status, message) = played(Careless, ("count", {}), args=(1,))[-1]
    assert status == 1
    assert "takes no arguments" in message


def test_a_handler_has_to_be_async_and_to_name_its_fields() -> None:
    with pytest.raises(TypeError, match="async def"):
        type("Wrong", (Server,), {"on_x": lambda self: None})

    class Loose(Server):
        async def on_x(self, **fields: int) -> None:
            return

    answer, (status, message) = played(Loose, ("x", {}))
    assert (answer[0], status) == ("EPIPE", 1)
    assert "name its fields" in message


def test_a_loop_over_messages_answers_each_when_it_asks_for_the_next() -> None:
    async def worker(proc: Process) -> list[Any]:
        seen: list[Any] = []
        async for message in proc.messages():
            seen.append((message.type, message.attempt))
            if message.type == "refused":
                await message.reject("not mine")
            elif message.type == "failed" and message.attempt == 1:
                raise ValueError("at the first attempt")
            elif message.type == "last":
                await message.done("LAST")
                break
            message.answer = message.type.upper()
        with pytest.raises(Etimedout):
            await anext(proc.messages(timeout_ms=1))
        return seen

    async def root(proc: Process) -> list[Any]:
        pid = await proc.spawn("worker", restarts=1)
        answers = [await said(proc, pid, kind) for kind in ("a", "refused", "failed", "last")]
        return [answers, (await proc.wait(pid)).result]

    ended = asyncio.run(Fleet("root", {"root": root, "worker": worker}).live())
    assert ended is not None
    assert ended["result"] == [["A", ["EINVAL", "not mine"], "FAILED", "LAST"], [["failed", 2], ["last", 1]]]


def test_a_function_receives_replies_and_rejects_by_itself() -> None:
    async def worker(proc: Process) -> list[Any]:
        first = await proc.receive()
        assert (first.type, first.awaited, first.attempt) == ("double", True, 1)
        assert await first.reply(first.body["n"] * 2)
        await first.done()
        await (await proc.receive()).reject("not mine")
        await (await proc.receive()).done("finished")
        try:
            await proc.receive(timeout_ms=1)
        except KernelError as error:
            return [error.errno, repr(first)]
        return []

    async def root(proc: Process) -> list[Any]:
        pid = await proc.spawn("worker")
        answers = [await said(proc, pid, "double", n=4), await said(proc, pid, "x"), await said(proc, pid, "y")]
        return [answers, (await proc.wait(pid)).result]

    ended = asyncio.run(Fleet("root", {"root": root, "worker": worker}).live())
    assert ended is not None
    assert ended["result"] == [
        [8, ["EINVAL", "not mine"], "finished"], ["ETIMEDOUT", "Received(1, from 1, 'double')"],
    ]  # fmt: skip
