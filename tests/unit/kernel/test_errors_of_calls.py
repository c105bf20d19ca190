"""The errors that the table lists for a call can be met: those that a handler decides by itself, one way each.

What drivers bring about (models, files, tools in doubt, time limits) is met in the tests of these.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from prytany.abi import limits
from prytany.abi.syscalls import TABLE
from tests.unit.kernel.puppets import Puppet, Stage

USER = [{"role": "user", "content": "hello"}]
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]}]
NOBODY = 999
Way = Callable[[Puppet, Puppet, Puppet], tuple[Any, ...]]
"""From a parent, its child and its mute child to the arguments with which the parent meets the error."""


def waiting(puppet: Puppet, *arguments: Any) -> tuple[Any, ...]:
    """`arguments`, of a process that waits for a message already."""
    puppet.call("message_receive")
    return arguments


WAYS: list[tuple[str, str, Way, dict[str, int]]] = [
    ("process_spawn", "EPERM", lambda p, c, m: ("x", [], {}, "", ["files.write", "nonsense"]), {}),
    ("process_spawn", "EAGAIN", lambda p, c, m: ("x", [], {}), {"CHILDREN_MAX": 2}),
    ("process_wait", "ECHILD", lambda p, c, m: (NOBODY,), {}),
    ("process_signal", "ESRCH", lambda p, c, m: (NOBODY, 15), {}),
    ("process_signal", "EPERM", lambda p, c, m: (p.pid, 15), {}),
    ("message_send", "ESRCH", lambda p, c, m: (NOBODY, "x", {}), {}),
    ("message_send", "EPERM", lambda p, c, m: (m.pid, "x", {}), {}),
    ("message_send", "EAGAIN", lambda p, c, m: (c.pid, "x", {}), {"MAILBOX_MESSAGES_MAX": 0}),
    ("message_call", "ESRCH", lambda p, c, m: (NOBODY, "x", {}), {}),
    ("message_call", "EPERM", lambda p, c, m: (m.pid, "x", {}), {}),
    ("message_call", "EAGAIN", lambda p, c, m: (c.pid, "x", {}), {"MAILBOX_MESSAGES_MAX": 0}),
    ("message_call", "EDEADLK", lambda p, c, m: (p.pid, "x", {}), {}),
    ("message_receive", "EBUSY", lambda p, c, m: waiting(p), {}),
    ("message_reply", "EINVAL", lambda p, c, m: (NOBODY, None), {}),
    ("message_done", "EINVAL", lambda p, c, m: (NOBODY,), {}),
    ("message_done", "EBUSY", lambda p, c, m: waiting(p, 0, b"state"), {}),
    ("model_chat", "ENOENT", lambda p, c, m: (USER, "none", {}), {}),
    ("model_chat", "EPERM", lambda p, c, m: (PICTURE, "none", {}), {}),
    ("model_embed", "ENOENT", lambda p, c, m: (["text"], "none"), {}),
    ("context_open", "EDQUOT", lambda p, c, m: ([],), {"CONTEXTS_MAX": 0}),
    ("context_open", "EPERM", lambda p, c, m: (PICTURE,), {}),
    ("context_append", "ENOENT", lambda p, c, m: (NOBODY, USER), {}),
    ("context_read", "ENOENT", lambda p, c, m: (NOBODY, 0, 1), {}),
    ("context_fork", "ENOENT", lambda p, c, m: (NOBODY, b""), {}),
    ("context_close", "ENOENT", lambda p, c, m: (NOBODY,), {}),
    ("tool_call", "EPERM", lambda p, c, m: ("shop.none", {}), {}),
]


@pytest.mark.parametrize(("call", "errno", "way", "bounds"), WAYS, ids=[f"{call}-{errno}" for call, errno, *_ in WAYS])
def test_an_error_of_the_table_is_met(
    call: str, errno: str, way: Way, bounds: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert errno in TABLE[call].errors, "the table lists it"

    async def run() -> None:
        stage = Stage()
        pledge = ["ipc", "model", "proc", "tools"]
        parent = stage.kernel.operator.spawn("program", [], {}, uid=0, kind="inline", pledge=pledge)
        await stage.settled()
        puppet = stage.puppets[parent]
        child, mute = await stage.child(puppet), await stage.child(puppet, "mute")
        for name, value in bounds.items():
            monkeypatch.setattr(limits, name, value)
        arguments = way(puppet, child, mute)
        assert (await stage.ask(puppet, call, *arguments))[0] == errno
        await stage.kernel.close()

    asyncio.run(run())
