"""Messages are checked where they are sent, by what a fleet file or a program's text says that it takes."""

from __future__ import annotations

from typing import Any

import pytest

from prytany.abi.errors import Einval
from prytany.abi.program import pack_program
from prytany.kernel.declared import declared_forms
from prytany.kernel.fleets import Agent
from prytany.kernel.outcome import Program
from tests.unit.kernel.puppets import Puppet, Stage
from tests.unit.kernel.test_messages import staged

TEXT = b"""
from typing import Literal
from prytany import Server, agent

class Desk(Server):
    state: list[int] = []
    async def on_order(self, id: int, tags: list[str], *, how: "Literal['air', 'sea'] | None" = None): ...
    async def on_note(self, text: str = "", more: dict[str, int] = {}, at: float = 0.0, who: Somebody = None): ...
    async def on_any(self, **everything): ...
    async def _helper(self): ...

class Said(Server):
    accepts = {"order": {"type": "object", "required": ["id"]}}
    async def on_order(self, id): ...
    async def on_hidden(self): ...

@agent(pledge="ipc", accepts={"go": {"enum": [1, 2]}})
async def main(proc): ...

@agent(pledge="ipc")
async def open_one(proc): ...

class Below(Desk): ...
class Mixed(Server, Other):
    async def on_x(self): ...
class Made(Server):
    on_x = make()
class Looped(Server):
    for name in names:
        exec(name)
@agent(accepts=FORMS)
async def named(proc): ...
@agent(accepts={"x": {"type": "strng"}})
async def wrong(proc): ...
@agent(accepts={"x": {"type": "object"}, **more})
async def spread(proc): ...
"""


async def receiver(stage: Stage, name: str, text: bytes = TEXT) -> Puppet:
    """A process of that program."""
    stage.text = pack_program(text, [])

    def find(target: str, beside: str, **more: Any) -> Program:
        return Program(f"/p.py:{name}", name, stage.text, ("ipc", "proc"))

    stage.kernel.find_program = find  # type: ignore[assignment]
    return await stage.root()


async def sent(stage: Stage, one: Puppet, kind: str, body: Any) -> str:
    """ "" where it is sent, or what is wrong with it."""
    errno, value = await stage.ask(one, "message_send", one.pid, kind, body)
    assert errno in ("", "EINVAL")
    return str(value[0]) if errno else ""


@staged
async def test_a_server_s_handlers_say_what_it_takes(stage: Stage) -> None:
    one = await receiver(stage, "Desk")
    taken: list[tuple[str, Any]] = [
        ("order", {"id": 1, "tags": []}), ("order", {"id": 1, "tags": ["a"], "how": "air"}), ("note", {}),
        ("order", {"id": 1, "tags": [], "how": None}), ("note", {"at": float("inf"), "who": [1]}), ("any", {"x": 1}),
        ("note", {"more": {"a": 1}, "at": 1}), ("any", None),
    ]  # fmt: skip
    for kind, body in taken:
        assert await sent(stage, one, kind, body) == "", (kind, body)
    before = stage.kernel.post.next_number
    refused: list[tuple[str, Any, str]] = [
        ("ordr", {}, "takes no 'ordr'; it takes any, note, order"), ("order", {"id": "1", "tags": []}, "id has to be"),
        ("order", {"tags": []}, "'id' is missing"), ("order", {"id": 1, "tags": [1]}, "tags[0]"),
        ("order", {"id": 1, "tags": [], "how": "road"}, "how"), ("order", {"id": True, "tags": []}, "id has to be"),
        ("order", {"id": 1, "tags": [], "x": 1}, "'x' is unknown"), ("order", [1], "the body has to be"),
        ("note", {"more": {"a": "1"}}, "more.a"), ("_helper", {}, "takes no"), ("order", None, "the body"),
    ]  # fmt: skip
    for kind, body, why in refused:
        assert why in await sent(stage, one, kind, body), (kind, body)
    assert stage.kernel.post.next_number == before  # nothing was stored
    with pytest.raises(Einval):
        stage.kernel.operator.send(one.pid, "ordr", {}, uid=0)


@staged
async def test_what_a_program_declares_is_read_and_never_run(stage: Stage) -> None:
    one = await receiver(stage, "main")
    assert await sent(stage, one, "go", 1) == ""
    assert "go" in await sent(stage, one, "go", 3)
    assert "takes no 'x'; it takes go" in await sent(stage, one, "x", 1)
    other = await receiver(stage, "Said")
    assert await sent(stage, other, "order", {"id": [1], "more": 2}) == ""
    assert "takes no 'hidden'" in await sent(stage, other, "hidden", {})


@pytest.mark.parametrize("name", ["open_one", "Below", "Mixed", "Made", "Looped", "named", "wrong", "spread", "none"])
def test_what_cannot_be_told_from_the_text_is_let_through(name: str) -> None:
    assert declared_forms(TEXT, name) is None


@pytest.mark.parametrize(
    "text",
    [
        b"accepts = (", b"accepts\0", b"accepts" + b"[" * 10_000, b"# accepts\n" + b"x = 1\n" * 60_000,
        b"class main(Server):\n    accepts = 1\n", b"class main(Server):\n    async def on_x(self, a: '(' = 1): ...\n",
        b"class main(Server):\n    accepts = " + b"-" * 5_000 + b"1\n",
        b"class main(Server):\n    accepts = {'x': " + b"{'items': " * 40 + b"{}" + b"}" * 41 + b"\n",
        b"class main(Server):\n    accepts = {'x' * 10: {}}\n", b"class main(Server):\n    accepts = {1: {}}\n",
        b"class main(Server):\n    accepts = {'x': []}\n", b"\xff accepts",
    ],
)  # fmt: skip
def test_a_hostile_text_declares_nothing(text: bytes) -> None:
    assert declared_forms(text, "main") is None


@staged
async def test_an_operator_s_word_goes_before_the_program_s(stage: Stage) -> None:
    program = Program("/p.py:Desk", "Desk", pack_program(TEXT, []), ("ipc", "proc"))
    forms = {"only": {"type": "string"}}
    number = stage.kernel.fleet_operator.declare(
        "f", [Agent("desk", "inline", program, mailbox=2, accepts=forms)], models={}, tools=[], resolved=b"", uid=0
    )
    pid = stage.kernel.fleet_operator.start(number, "desk", [], {}, uid=0)
    await stage.settled()
    desk = stage.puppets[pid]
    assert "takes no 'order'; it takes only" in await sent(stage, desk, "order", {"id": 1, "tags": []})
    assert [await sent(stage, desk, "only", "x") for _ in range(2)] == ["", ""]
    assert (await stage.ask(desk, "message_send", pid, "only", "x"))[0] == "EAGAIN"  # its mailbox holds two


@staged
async def test_a_text_is_read_once(stage: Stage) -> None:
    one = await receiver(stage, "Desk", TEXT + b"# another\n")
    read: list[str] = []
    content = stage.kernel.content

    def counted(digest: bytes, seq: int = 0) -> bytes:
        read.append(digest.hex())
        return content(digest, seq)

    stage.kernel.content = counted  # type: ignore[method-assign]
    for _ in range(3):
        assert await sent(stage, one, "any", None) == ""
    assert len(read) == 1
