"""Every error that the table lists for a call is met by a program that makes it: one way for each pair, and no pair
without a way. The errors that any call can end with are met by every call that they are said of.
"""

from __future__ import annotations

import asyncio
import errno as numbers
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from prytany.abi import limits
from prytany.abi.signals import Signal
from prytany.abi.syscalls import COMMON_ERRORS, SYSCALLS, TABLE
from prytany.kernel.effects.tool import doubt_events
from prytany.kernel.fleets import Agent
from prytany.kernel.quotas import Quotas
from prytany.kernel.trap import FREES
from tests.unit.kernel.puppets import Puppet, one_turn
from tests.unit.kernel.world import DEADLINE_S, World

USER = [{"role": "user", "content": "hello"}]
FAILS = [{"role": "user", "content": "fail"}]
WAITS = [{"role": "user", "content": "wait"}]
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]}]
NOBODY = 999
Way = Callable[[World, pytest.MonkeyPatch], Awaitable[str]]
"""Meets an error, and gives its errno."""


def bounded(monkeypatch: pytest.MonkeyPatch, **bounds: int) -> None:
    for name, value in bounds.items():
        monkeypatch.setattr(limits, name, value)


def makes(call: str, *arguments: Any, **bounds: int) -> Way:
    """The parent makes the call, under other bounds."""

    async def way(w: World, m: pytest.MonkeyPatch) -> str:
        bounded(m, **bounds)
        return await w.met(call, *arguments)

    return way


def sends(call: str, whom: str, **bounds: int) -> Way:
    """The parent sends to another process of the stage."""

    async def way(w: World, m: pytest.MonkeyPatch) -> str:
        bounded(m, **bounds)
        return await w.met(call, getattr(w, whom).pid, "x", {})

    return way


def below(call: str, path: str, *more: Any) -> Way:
    """The parent names a path below the folder of its files."""

    async def way(w: World, m: pytest.MonkeyPatch) -> str:
        return await w.met(call, str(w.folder / path), *more)

    return way


def disk(call: str, path: str, function: str, number: int, *more: Any) -> Way:
    """The operating system's `function` fails."""

    async def way(w: World, m: pytest.MonkeyPatch) -> str:
        def fails(*arguments: Any, **options: Any) -> Any:
            raise OSError(number, os.strerror(number))

        m.setattr(os, function, fails)
        return await w.met(call, str(w.folder / path), *more)

    return way


def in_use(call: str, *more: Any) -> Way:
    """A model is being asked in the context that the call names."""

    async def way(w: World, m: pytest.MonkeyPatch) -> str:
        number = await w.context("one")
        await w.open("model_chat", WAITS, "", {}, number)
        return await w.met(call, *(number if value is CONTEXT else value for value in more))

    return way


def full(call: str, *more: Any, **bounds: int) -> Way:
    """The context that the call names is full, or what `bounds` say."""

    async def way(w: World, m: pytest.MonkeyPatch) -> str:
        number = await w.context("one")
        bounded(m, **(bounds or {"CONTEXT_MESSAGES_MAX": 1}))
        return await w.met(call, *(number if value is CONTEXT else value for value in more))

    return way


def lost(call: str, *more: Any) -> Way:
    """What the context says is gone from the journal."""

    async def way(w: World, m: pytest.MonkeyPatch) -> str:
        number = await w.context("one", "two")
        w.lose_content()
        return await w.met(call, *(number if value is CONTEXT else value for value in more))

    return way


CONTEXT = object()
"""In the place of the number of a context."""


def tie(call: str, to: str) -> Way:
    async def way(w: World, m: pytest.MonkeyPatch) -> str:
        return await w.met(call, getattr(w, to).pid)

    return way


async def link_to_one_that_has_ended(w: World, m: pytest.MonkeyPatch) -> str:
    w.child_.call("process_exit", 0)
    await w.settled()
    return await w.met("process_link", w.child_.pid)


async def spawn_while_it_is_being_ended(w: World, m: pytest.MonkeyPatch) -> str:
    given: tuple[Any, ...] = ("program", [], {}, "", None, 0, None, "", 0, None, "permanent")
    assert await w.met("process_spawn", *given) == ""
    w.kernel.operator.signal(w.parent.pid, Signal.TERM, uid=0)
    return await w.met("process_spawn", *given)


async def schedule_a_stranger(w: World, m: pytest.MonkeyPatch) -> str:
    return await w.met("agent_schedule", w.stranger.pid)


async def signal_one_that_does_not_run(w: World, m: pytest.MonkeyPatch) -> str:
    assert await w.met("process_signal", w.child_.pid, Signal.STOP) == ""
    return await w.met("process_signal", w.child_.pid, Signal.USR1)


async def call_one_that_rejects(w: World, m: pytest.MonkeyPatch) -> str:
    n = await w.open("message_call", w.child_.pid, "x", {})
    _, message = await w.ask(w.child_, "message_receive")
    await w.ask(w.child_, "message_done", message["message"], None, None, "not today")
    return await w.ended(w.parent, n)


async def call_one_that_ends(w: World, m: pytest.MonkeyPatch) -> str:
    n = await w.open("message_call", w.child_.pid, "x", {})
    w.child_.call("process_exit", 0)
    return await w.ended(w.parent, n)


def while_waiting(call: str, *arguments: Any) -> Way:
    """The parent waits for a message already."""

    async def way(w: World, m: pytest.MonkeyPatch) -> str:
        await w.open("message_receive")
        return await w.met(call, *arguments)

    return way


async def wait_twice(w: World, m: pytest.MonkeyPatch) -> str:
    await w.open("process_wait", w.child_.pid)
    return await w.met("process_wait", w.child_.pid)


async def fork_at_no_node(w: World, m: pytest.MonkeyPatch) -> str:
    return await w.met("context_fork", await w.context("one"), b"no such node")


def without_tools(call: str, *arguments: Any) -> Way:
    async def way(w: World, m: pytest.MonkeyPatch) -> str:
        w.loaded.clear()
        return await w.met(call, *arguments)

    return way


async def go_on_without(w: World, m: pytest.MonkeyPatch) -> str:
    w.loaded["/srv/tools/shop.py"].deaths["shop.ship"] = 1  # type: ignore[attr-defined]
    n = await w.open("tool_call", "shop.ship", {"order": "a"})
    w.kernel.operator.settle(w.parent.pid, n, "skip", None, uid=0)
    return await w.ended(w.parent, n)


async def write_in_doubt(w: World, m: pytest.MonkeyPatch) -> str:
    m.setattr(w.kernel.effects, "start", lambda *begun: None)  # the home that it was begun in is another
    n = await w.open("file_write", str(w.folder / "w" / "file"), b"text")
    w.kernel.note(doubt_events(w.parent.pid, n))
    w.kernel.operator.settle(w.parent.pid, n, "skip", None, uid=0)
    return await w.ended(w.parent, n)


async def spawn_what_agents_may_write(w: World, m: pytest.MonkeyPatch) -> str:
    return await w.met("process_spawn", f"{w.folder / 'w' / 'own.py'}:main", [])


async def spawn_a_tool_that_was_not_granted(w: World, m: pytest.MonkeyPatch) -> str:
    return await w.met("process_spawn", "program", [], {}, "", None, 0, ["shop.none"])


async def wait_for_a_lock_of_another(w: World, m: pytest.MonkeyPatch) -> str:
    assert await w.met("lock_acquire", ["a"], [], by=w.child_) == ""
    return await w.met("lock_acquire", ["a"], [], 0, 1)


async def wait_for_ones_own_lock(w: World, m: pytest.MonkeyPatch) -> str:
    assert await w.met("lock_acquire", ["a"], []) == ""
    return await w.met("lock_acquire", [], ["a"])


async def with_tools(w: World) -> Puppet:
    """A child that may call tools."""
    errno, pid = await w.ask(w.parent, "process_spawn", "program", [], {}, "", ["ipc", "tools"])
    assert errno == ""
    return w.puppets[pid]


async def hold_what_another_holds(w: World, m: pytest.MonkeyPatch) -> str:
    assert await w.met("tool_hold", "shop.pay", {"order": "a"}, by=await with_tools(w)) == ""
    return await w.met("tool_hold", "shop.pay", {"order": "a"}, 1)


def wait_beside_a_reply(call: str, *arguments: Any) -> Way:
    """The child holds what a tool needs, and asks the parent, who wants that."""

    async def way(w: World, m: pytest.MonkeyPatch) -> str:
        child = await with_tools(w)
        assert await w.met("tool_hold", "shop.pay", {"order": "a"}, by=child) == ""
        await w.open("message_call", w.parent.pid, "x", {}, by=child)
        return await w.met(call, *arguments)

    return way


async def wait_for_a_child_that_waits(w: World, m: pytest.MonkeyPatch) -> str:
    assert await w.met("lock_acquire", ["a"], []) == ""
    await w.open("lock_acquire", ["a"], [], by=w.child_)
    return await w.met("process_wait", w.child_.pid)


async def send_to_one_that_sends(w: World, m: pytest.MonkeyPatch) -> str:
    bounded(m, MAILBOX_MESSAGES_MAX=0)
    await w.open("message_send", w.parent.pid, "x", {}, -1, by=w.child_)
    return await w.met("message_send", w.child_.pid, "x", {}, -1)


async def delete_another_version(w: World, m: pytest.MonkeyPatch) -> str:
    assert await w.met("segment_write", "x", 1) == ""
    return await w.met("segment_delete", "x", 2)


def hands_over(agent: str, *more: Any, told: bool = False, **bounds: int) -> Way:
    """An agent of a fleet hands over to another, or to itself."""

    async def way(w: World, m: pytest.MonkeyPatch) -> str:
        bounded(m, **bounds)
        found = w.find("program", "")
        agents = [Agent("one", "inline", found, ["ipc"], handoff=["two"]), Agent("two", "inline", found)]
        number = w.kernel.fleet_operator.declare("desk", agents, models={}, tools=[], resolved=b"{}", uid=0)
        pid = w.kernel.fleet_operator.start(number, "one", [], {}, uid=0)
        await w.settled()
        if told:
            w.kernel.operator.signal(pid, int(Signal.TERM), uid=0)
        return await w.met("agent_handoff", agent, *more, by=w.puppets[pid])

    return way


async def write_what_nobody_reads(w: World, m: pytest.MonkeyPatch) -> str:
    _, number = await w.ask(w.parent, "pipe_open")
    await w.ask(w.parent, "pipe_close", number, "read")
    return await w.met("pipe_write", "x", number)


async def read_what_was_lost(w: World, m: pytest.MonkeyPatch) -> str:
    bounded(m, PIPE_KEPT_MAX=0)
    _, number = await w.ask(w.parent, "pipe_open")
    more: tuple[Any, ...] = ({}, "", ["pipe"], 1, None, "", 0, None, "", -1, 0, {"stdin": number})
    _, pid = await w.ask(w.parent, "process_spawn", "program", [], *more)
    for _ in range(2):
        await w.ask(w.parent, "pipe_write", "x", number)
    failing = w.puppets[pid]
    await w.ask(failing, "pipe_read")
    failing.call("process_exit", 1)
    async with asyncio.timeout(DEADLINE_S):
        while w.puppets[pid] is failing:
            await one_turn()
    return await w.met("pipe_read", by=w.puppets[pid])


async def read_what_only_it_writes(w: World, m: pytest.MonkeyPatch) -> str:
    _, number = await w.ask(w.parent, "pipe_open")
    return await w.met("pipe_read", number)


async def write_what_only_it_reads(w: World, m: pytest.MonkeyPatch) -> str:
    bounded(m, PIPE_CHUNKS_MAX=1)
    _, number = await w.ask(w.parent, "pipe_open")
    await w.ask(w.parent, "pipe_write", "x", number)
    return await w.met("pipe_write", "x", number)


async def join_twice(w: World, m: pytest.MonkeyPatch) -> str:
    await w.ask(w.parent, "pipe_open", w.child_.pid)
    return await w.met("pipe_open", w.child_.pid)


WAYS: list[tuple[str, str, Way]] = [
    ("pipe_open", "ESRCH", makes("pipe_open", NOBODY)),
    ("pipe_open", "EBUSY", join_twice),
    ("pipe_open", "EAGAIN", makes("pipe_open", PIPES_MAX=0)),
    ("pipe_write", "ENOENT", makes("pipe_write", "x", NOBODY)),
    ("pipe_write", "EPIPE", write_what_nobody_reads),
    ("pipe_write", "EDEADLK", write_what_only_it_reads),
    ("pipe_read", "EDEADLK", read_what_only_it_writes),
    ("pipe_read", "ENOENT", makes("pipe_read", NOBODY)),
    ("pipe_read", "EPIPE", read_what_was_lost),
    ("pipe_close", "ENOENT", makes("pipe_close", NOBODY)),
    ("pipe_look", "ENOENT", makes("pipe_look", NOBODY)),
    ("agent_handoff", "EPERM", makes("agent_handoff", "two")),
    ("agent_handoff", "EPERM", hands_over("one")),
    ("agent_handoff", "ENOENT", hands_over("two", [], NOBODY)),
    ("agent_handoff", "EDEADLK", hands_over("two", HANDOFFS_MAX=0)),
    ("agent_handoff", "ECANCELED", hands_over("two", told=True)),
    ("process_spawn", "ENOENT", makes("process_spawn", "/nowhere.py:main", [])),
    ("process_spawn", "EACCES", spawn_what_agents_may_write),
    ("process_spawn", "EPERM", makes("process_spawn", "program", [], {}, "", ["ipc", "nonsense"])),
    ("process_spawn", "EPERM", spawn_a_tool_that_was_not_granted),
    ("process_spawn", "EAGAIN", makes("process_spawn", "program", [], CHILDREN_MAX=2)),
    ("process_spawn", "EAGAIN", makes("process_spawn", "program", [], DEPTH_MAX=1)),
    ("process_spawn", "EAGAIN", makes("process_spawn", "program", [], PROCESSES_MAX=4)),
    ("process_wait", "ECHILD", makes("process_wait", NOBODY)),
    ("process_wait", "ECHILD", wait_twice),
    ("process_wait", "EDEADLK", wait_for_a_child_that_waits),
    ("message_send", "EDEADLK", send_to_one_that_sends),
    ("process_signal", "ESRCH", makes("process_signal", NOBODY, 15)),
    ("process_signal", "EPERM", makes("process_signal", 1, 15)),
    ("process_signal", "EAGAIN", signal_one_that_does_not_run),
    ("process_spawn", "EAGAIN", spawn_while_it_is_being_ended),
    ("process_supervise", "EINVAL", makes("process_supervise", "all_for_nobody")),
    ("process_supervise", "EINVAL", makes("process_supervise", "dynamic", -1)),
    ("process_supervise", "EINVAL", makes("process_supervise", "dynamic", 1, 0)),
    ("process_link", "ESRCH", makes("process_link", NOBODY)),
    ("process_link", "ESRCH", link_to_one_that_has_ended),
    ("process_link", "EPERM", tie("process_link", "stranger")),
    ("process_link", "EAGAIN", makes("process_link", 2, LINKS_MAX=0)),
    ("process_monitor", "ESRCH", makes("process_monitor", NOBODY)),
    ("process_monitor", "EPERM", tie("process_monitor", "stranger")),
    ("process_monitor", "EINVAL", tie("process_monitor", "parent")),
    ("process_monitor", "EAGAIN", makes("process_monitor", 2, LINKS_MAX=0)),
    ("message_send", "ESRCH", makes("message_send", NOBODY, "x", {})),
    ("message_send", "EPERM", sends("message_send", "mute")),
    ("message_send", "EPERM", sends("message_send", "stranger")),
    ("message_send", "EINVAL", makes("message_send", "", "x", {})),
    ("message_send", "ETIMEDOUT", makes("message_send", 2, "x", {}, 1, MAILBOX_MESSAGES_MAX=0)),
    ("message_send", "EAGAIN", sends("message_send", "child_", MAILBOX_MESSAGES_MAX=0)),
    ("message_call", "ESRCH", makes("message_call", NOBODY, "x", {})),
    ("message_call", "EPERM", sends("message_call", "mute")),
    ("message_call", "EAGAIN", sends("message_call", "child_", MAILBOX_MESSAGES_MAX=0)),
    ("message_call", "EDEADLK", sends("message_call", "parent")),
    ("message_call", "EINVAL", call_one_that_rejects),
    ("message_call", "EPIPE", call_one_that_ends),
    ("message_call", "ETIMEDOUT", makes("message_call", 2, "x", {}, 1)),
    ("message_receive", "EBUSY", while_waiting("message_receive")),
    ("message_receive", "EAGAIN", makes("message_receive", 0, ["x"], RECEIVES_MAX=0)),
    ("message_receive", "ETIMEDOUT", makes("message_receive", 1)),
    ("message_next", "EINVAL", makes("message_next", NOBODY)),
    ("message_next", "EBUSY", while_waiting("message_next", 0)),
    ("message_next", "EAGAIN", makes("message_next", 0, None, 0, ["x"], RECEIVES_MAX=0)),
    ("message_next", "ETIMEDOUT", makes("message_next", 0, None, 1)),
    ("message_reply", "EINVAL", makes("message_reply", NOBODY, None)),
    ("message_done", "EINVAL", makes("message_done", NOBODY)),
    ("message_done", "EBUSY", while_waiting("message_done", 0, b"state")),
    ("model_chat", "ENOENT", makes("model_chat", USER, "none", {})),
    ("model_chat", "ENOENT", makes("model_chat", USER, "", {}, NOBODY)),
    ("model_chat", "EBUSY", in_use("model_chat", USER, "", {}, CONTEXT)),
    ("model_chat", "EDQUOT", full("model_chat", USER, "", {}, CONTEXT)),
    ("model_chat", "EIO", lost("model_chat", USER, "", {}, CONTEXT)),
    ("model_chat", "EPERM", makes("model_chat", PICTURE)),
    ("model_chat", "EINVAL", makes("model_chat", [{"role": "nobody"}])),
    ("model_chat", "EINVAL", makes("model_chat", USER, "", {"schema": {"type": "object"}})),
    ("model_chat", "EMODEL", makes("model_chat", FAILS)),
    ("model_embed", "ENOENT", makes("model_embed", ["text"], "none")),
    ("model_embed", "EINVAL", makes("model_embed", [])),
    ("model_embed", "EINVAL", makes("model_embed", ["text"], "deaf")),
    ("model_embed", "EMODEL", makes("model_embed", ["fail"])),
    ("context_open", "EDQUOT", makes("context_open", [], CONTEXTS_MAX=0)),
    ("context_open", "EDQUOT", makes("context_open", USER, CONTEXT_BYTES_MAX=1)),
    ("context_open", "EPERM", makes("context_open", PICTURE)),
    ("context_append", "ENOENT", makes("context_append", NOBODY, USER)),
    ("context_append", "EBUSY", in_use("context_append", CONTEXT, USER)),
    ("context_append", "EDQUOT", full("context_append", CONTEXT, USER)),
    ("context_append", "EPERM", full("context_append", CONTEXT, USER, "model:m")),
    ("context_fork", "ENOENT", makes("context_fork", NOBODY, b"")),
    ("context_fork", "ENOENT", fork_at_no_node),
    ("context_fork", "EDQUOT", full("context_fork", CONTEXT, b"", CONTEXTS_MAX=1)),
    ("context_fork", "EIO", lost("context_fork", CONTEXT, b"an earlier node")),
    ("context_read", "ENOENT", makes("context_read", NOBODY, 0, 1)),
    ("context_read", "EIO", lost("context_read", CONTEXT)),
    ("context_close", "ENOENT", makes("context_close", NOBODY)),
    ("context_close", "EBUSY", in_use("context_close", CONTEXT)),
    ("file_read", "ENOENT", below("file_read", "r/none")),
    ("file_read", "EACCES", below("file_read", "elsewhere")),
    ("file_read", "EACCES", below("file_read", "r/../elsewhere")),
    ("file_read", "EINVAL", below("file_read", "r")),
    ("file_read", "EIO", disk("file_read", "r/file", "fstat", numbers.EIO)),
    ("file_write", "ENOENT", below("file_write", "w/none/file", b"text")),
    ("file_write", "EACCES", below("file_write", "r/file", b"text")),
    ("file_write", "EACCES", below("file_write", "w/.git", b"text")),
    ("file_write", "EINVAL", below("file_write", "w", b"text")),
    ("file_write", "ENOSPC", disk("file_write", "w/file", "fsync", numbers.ENOSPC, b"text")),
    ("file_write", "EIO", disk("file_write", "w/file", "fsync", numbers.EIO, b"text")),
    ("file_list", "ENOENT", below("file_list", "r/none")),
    ("file_list", "EACCES", below("file_list", "")),
    ("file_list", "EINVAL", below("file_list", "r/file")),
    ("file_list", "EIO", disk("file_list", "r", "scandir", numbers.EIO)),
    ("tool_call", "EPERM", makes("tool_call", "shop.none", {})),
    ("tool_call", "EINVAL", makes("tool_call", "shop.look", {"order": 1})),
    ("tool_call", "EAGAIN", makes("tool_call", "shop.pay", {"order": "a"}, TOOL_QUEUE_MAX=0)),
    ("tool_call", "EPOLICY", without_tools("tool_call", "shop.look", {"order": "a"})),
    ("tool_call", "ETOOL", makes("tool_call", "shop.look", {"order": "raise"})),
    ("file_write", "EINDOUBT", write_in_doubt),
    ("tool_call", "EINDOUBT", go_on_without),
    ("tool_list", "EPOLICY", without_tools("tool_list")),
    ("tool_call", "EDEADLK", wait_beside_a_reply("tool_call", "shop.pay", {"order": "a"})),
    ("tool_hold", "EPERM", makes("tool_hold", "shop.none", {})),
    ("tool_hold", "EINVAL", makes("tool_hold", "shop.look", {})),
    ("tool_hold", "EINVAL", makes("tool_hold", "shop.pay", {"order": 1})),
    ("tool_hold", "EAGAIN", makes("tool_hold", "shop.pay", {"order": "a"}, TOOL_HOLDS_MAX=0)),
    ("tool_hold", "EAGAIN", makes("tool_hold", "shop.pay", {"order": "a"}, TOOL_QUEUE_MAX=0)),
    ("tool_hold", "EPOLICY", without_tools("tool_hold", "shop.pay", {"order": "a"})),
    ("tool_hold", "ETIMEDOUT", hold_what_another_holds),
    ("tool_hold", "EDEADLK", wait_beside_a_reply("tool_hold", "shop.pay", {"order": "a"})),
    ("agent_schedule", "ESRCH", makes("agent_schedule", NOBODY)),
    ("agent_schedule", "EPERM", schedule_a_stranger),
    ("agent_schedule", "EPERM", makes("agent_schedule", 0, "interactive")),
    ("lock_acquire", "EINVAL", makes("lock_acquire", [], [])),
    ("lock_acquire", "EINVAL", makes("lock_acquire", ["a"], ["a"])),
    ("lock_acquire", "EINVAL", makes("lock_acquire", ["a"], ["b"], 1)),
    ("lock_acquire", "EINVAL", makes("lock_acquire", ["a"], [], -1)),
    ("lock_acquire", "EINVAL", makes("lock_acquire", ["a"], [], 0, -1)),
    ("lock_acquire", "EINVAL", makes("lock_acquire", ["\N{SNOWMAN}" * 43], [])),
    ("lock_acquire", "EAGAIN", makes("lock_acquire", ["a"], [], LOCKS_MAX=0)),
    ("lock_acquire", "EAGAIN", makes("lock_acquire", ["a"], [], 2, SEMAPHORES_MAX=0)),
    ("lock_acquire", "ETIMEDOUT", wait_for_a_lock_of_another),
    ("lock_acquire", "EDEADLK", wait_for_ones_own_lock),
    ("segment_read", "EINVAL", makes("segment_read", "")),
    ("segment_read", "ENOENT", makes("segment_read", "x")),
    ("segment_write", "EINVAL", makes("segment_write", "x", 1, -2)),
    ("segment_write", "EINVAL", makes("segment_write", "x", b"\0" * limits.SEGMENT_BYTES_MAX)),
    ("segment_write", "EBUSY", makes("segment_write", "x", 1, 1)),
    ("segment_write", "EDQUOT", makes("segment_write", "x", 1, SEGMENTS_MAX=0)),
    ("segment_write", "EDQUOT", makes("segment_write", "x", 1, SEGMENTS_BYTES_MAX=1)),
    ("segment_wait", "EINVAL", makes("segment_wait", "x", -1)),
    ("segment_wait", "ETIMEDOUT", makes("segment_wait", "x", 0, 1)),
    ("segment_wait", "EAGAIN", makes("segment_wait", "x", SEGMENT_QUEUE_MAX=0)),
    ("segment_delete", "EINVAL", makes("segment_delete", "x", -2)),
    ("segment_delete", "ENOENT", makes("segment_delete", "x")),
    ("segment_delete", "EBUSY", delete_another_version),
    ("segment_list", "EINVAL", makes("segment_list", "x" * 129)),
    ("topic_subscribe", "EAGAIN", makes("topic_subscribe", "a.*", SUBSCRIPTIONS_MAX=0)),
]


def in_world(folder: Path, body: Callable[[World], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        world = await World.make(folder)
        try:
            return await body(world)
        finally:
            await world.kernel.close()

    return asyncio.run(run())


def test_every_pair_of_the_table_has_a_way_and_every_way_is_in_the_table() -> None:
    listed = [(call.name, errno) for call in SYSCALLS for errno in call.errors]
    tried = {(call, errno) for call, errno, _ in WAYS}
    assert [pair for pair in listed if pair not in tried] == []
    assert tried - set(listed) == set()


@pytest.mark.parametrize(("call", "errno", "way"), WAYS, ids=[f"{call}-{errno}" for call, errno, _ in WAYS])
def test_an_error_of_the_table_is_met(
    call: str, errno: str, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(w: World) -> str:
        met = await way(w, monkeypatch)
        monkeypatch.undo()
        return met

    assert in_world(tmp_path, body) == errno


# What any call can end with.

SOUND: dict[str, tuple[Any, ...]] = {
    "nop": (b"",), "timer_wait": (0,), "call_cancel": (0,), "process_spawn": ("program", []), "process_wait": (2,),
    "process_exit": (0,), "process_exec": (b"",), "process_signal": (2, 15), "message_send": (2, "x", {}),
    "message_call": (2, "x", {}), "message_receive": (), "message_next": (0,), "message_reply": (1, None),
    "message_done": (),
    "model_chat": (WAITS,), "model_embed": (["wait"],), "context_open": ([],), "context_append": (1, USER),
    "context_fork": (1, b"an earlier node"), "context_read": (1,), "context_close": (1,), "file_read": ("/x",),
    "file_write": ("/x", b""), "file_list": ("/x",), "tool_call": ("shop.look", {"order": "wait"}), "tool_list": (),
    "tool_hold": ("shop.pay", {"order": "b"}), "tool_release": (1,),
    "agent_schedule": (), "budget_read": (), "lock_acquire": (["a"], []), "lock_release": (1,),
    "segment_read": ("x",), "segment_write": ("x", 1), "segment_wait": ("x",), "segment_delete": ("x",),
    "segment_list": (), "agent_handoff": ("two",), "process_supervise": ("one_for_one",),
    "topic_publish": ("a.b", {}), "topic_subscribe": ("a.*",), "topic_unsubscribe": ("a.*",),
    "pipe_open": (), "pipe_write": ("x",),
    "pipe_read": (), "pipe_close": (), "pipe_look": (1,),
    "process_link": (2,), "process_unlink": (2,), "process_monitor": (2,), "process_demonitor": (1,),
}  # fmt: skip
"""Arguments with which a call is let through; context 1 has one message."""
WAIT_FOR_OTHERS = {"process_wait", "tool_call"}
"""Calls that are open for a while, beside those that have an effect at once."""


def each(folder: Path, make: Callable[[World, str], Awaitable[str]], calls: list[str]) -> dict[str, str]:
    """The errno of each of these calls."""

    async def body(w: World) -> dict[str, str]:
        await w.context("one", "two")
        return {call: await make(w, call) for call in calls}

    met: dict[str, str] = in_world(folder, body)
    return met


def test_the_arguments_of_these_tests_are_those_of_every_call() -> None:
    assert SOUND.keys() == TABLE.keys()
    assert COMMON_ERRORS.keys() == {"EPERM", "EINVAL", "EAGAIN", "EDQUOT", "EIO", "ECANCELED"}, "each has its test here"


def test_a_call_that_is_not_pledged_is_eperm_and_so_is_one_that_there_is_not(tmp_path: Path) -> None:
    async def make(w: World, call: str) -> str:
        return await w.met(call, *SOUND.get(call, ()), by=w.mute)

    calls = [call.name for call in SYSCALLS if call.pledge]
    assert each(tmp_path, make, [*calls, "no_such_call"]) == dict.fromkeys([*calls, "no_such_call"], "EPERM")


def test_arguments_that_are_none_or_are_too_large_are_einval(tmp_path: Path) -> None:
    async def make(w: World, call: str) -> str:
        w.parent.made += 1
        w.parent.host.on_frame(w.parent.pid, w.parent.delivered, ((w.parent.made, call, msgspec.Raw(b"\x01")),))
        return await w.ended(w.parent, w.parent.made)

    async def large(w: World, call: str) -> str:
        return await w.met(call, b"\0" * limits.ARGUMENT_BYTES_MAX)

    (tmp_path / "large").mkdir()
    assert each(tmp_path, make, list(TABLE)) == dict.fromkeys(TABLE, "EINVAL")
    assert each(tmp_path / "large", large, ["nop"]) == {"nop": "EINVAL"}


def test_a_call_too_many_is_eagain_but_for_those_that_end_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def make(w: World, call: str) -> str:
        with monkeypatch.context() as patched:
            patched.setattr(limits, "CALLS_IN_FLIGHT_MAX", 0)
            return await w.met(call, *SOUND[call])

    calls = [call for call in TABLE if call not in FREES]
    assert each(tmp_path, make, calls) == dict.fromkeys(calls, "EAGAIN")


def test_a_call_beyond_the_share_of_the_journal_is_edquot_but_for_the_end(tmp_path: Path) -> None:
    async def make(w: World, call: str) -> str:
        w.kernel.trap._quotas = Quotas(process_bytes=0)  # pyright: ignore[reportPrivateUsage]
        return await w.met(call, *SOUND[call])

    calls = [call for call in TABLE if call != "process_exit"]
    assert each(tmp_path, make, calls) == dict.fromkeys(calls, "EDQUOT")


def test_a_call_that_is_cancelled_before_it_had_a_result_is_ecanceled(tmp_path: Path) -> None:
    async def body(w: World) -> dict[str, str]:
        await w.context("one", "two")
        met: dict[str, str] = {}
        assert await w.met("lock_acquire", ["a"], [], by=w.child_) == ""
        assert await w.met("tool_hold", "shop.pay", {"order": "b"}, by=await with_tools(w)) == ""
        for call in TABLE:
            if call in ("process_spawn", "message_send"):
                continue  # of a program that is known, and where there is room, it has its result at once
            if w.kernel.effects.has(call) or call in WAIT_FOR_OTHERS:
                n = w.parent.call(call, *SOUND[call])
                w.parent.call("call_cancel", n)
                met[call] = await w.ended(w.parent, n)
        return met

    met = in_world(tmp_path, body)
    assert len(met) > 10
    assert met == dict.fromkeys(met, "ECANCELED")


def test_content_that_is_gone_and_a_driver_that_fails_in_its_own_way_are_eio(tmp_path: Path) -> None:
    async def gone(w: World) -> str:
        w.child_.call("process_exit", 0, "x" * 100)
        await w.settled()
        w.kernel.table.require(w.child_.pid).forgotten = True
        return await w.met("process_wait", w.child_.pid)

    async def driver(w: World) -> str:
        return await w.met("tool_call", "shop.look", {"order": "crash"})

    for name, body in (("gone", gone), ("driver", driver)):
        (tmp_path / name).mkdir()
        assert in_world(tmp_path / name, body) == "EIO"
