"""Chat agents of a fleet file, in real confined workers: tools, skills, others, structured answers, a session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from prytany.abi import control
from prytany.abi import events as ev
from prytany.abi.errors import KernelError
from prytany.drivers.models.scripted import Rule, ScriptedCall, ScriptedModel
from prytany.ports.model import ModelAnswer
from prytany.system.fleet.bringing import bring
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import resolve
from prytany.system.shard import Shard
from tests.surfaces.shards import DEADLINE_S, events_of

FLEET = """
version: 1
name: shop
entry: sales
tools: {prices: {python: prices.py}}
agents:
  sales: {instruction: "You sell.", tools: [prices], spawns: [oracle], skills: [skills], turns: 4}
  oracle: {instruction: "You know.", about: "Knows the future.",
           answer: {type: object, properties: {n: {type: integer}},
           required: [n], additionalProperties: false}, turns: 3}
"""
PRICES = '''
from prytany import tool

@tool(effect="pure")
def lookup(sku: str) -> int:
    """The price of a thing."""
    return {"egg": 3}[sku]
'''
SKILL = "---\nname: haggle\ndescription: How to give way.\n---\nNever below {price}.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    (tmp_path / "prices.py").write_text(PRICES)
    (tmp_path / "skills" / "haggle").mkdir(parents=True)
    (tmp_path / "skills" / "haggle" / "SKILL.md").write_text(SKILL)
    return tmp_path


def with_fleet(folder: Path, rules: list[Rule], body: Callable[[Shard, int], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        fleet = resolve(load_fleet(folder / "fleet.yaml").fleet, folder, {})
        shard = await Shard.open(folder / "home", {"": ScriptedModel(rules)})
        try:
            number = await bring(shard.kernel, shard.drivers, shard.logs, fleet, uid=0)
            async with asyncio.timeout(DEADLINE_S):
                return await body(shard, number)
        finally:
            await shard.close()

    return asyncio.run(run())


async def answer(shard: Shard, number: int, name: str, prompt: str) -> dict[str, Any]:
    pid = shard.kernel.fleet_operator.start(number, name, [prompt], {}, uid=0)
    return await shard.kernel.operator.wait_ended(pid)


def call(tool: str, **arguments: Any) -> ScriptedCall:
    return ScriptedCall(tool, arguments)


def test_it_does_what_the_model_wants_done_and_gives_its_answer(folder: Path) -> None:
    rules = [
        Rule(when="^3$", role="tool", text="It costs 3."),
        Rule(when="egg", role="user", tool_calls=[call("prices__lookup", sku="egg")]),
    ]
    ended = with_fleet(folder, rules, lambda shard, number: answer(shard, number, "sales", "An egg?"))
    assert ended["result"] == "It costs 3.", ended["error"]["traceback"]


def test_calls_of_one_turn_are_done_together_and_a_failure_is_for_the_model_to_read(folder: Path) -> None:
    calls = [call("prices__lookup", sku="egg"), call("prices__lookup", sku="ship"), call("prices__steal"), call("x")]
    rules = [
        Rule(when="error", role="tool", text="Some of it failed."),
        Rule(when="all", role="user", tool_calls=calls),
    ]

    async def body(shard: Shard, number: int) -> Any:
        ended = await answer(shard, number, "sales", "all")
        return ended["result"], sum(isinstance(e, ev.ToolCalled) for e in events_of(shard))

    assert with_fleet(folder, rules, body) == ("Some of it failed.", 2)


def test_it_reads_a_skill_and_asks_another_agent(folder: Path) -> None:
    rules = [
        Rule(when="Never below", role="tool", tool_calls=[call("ask_oracle", prompt="What number?")]),
        Rule(when='"n":7', role="tool", text="Seven."),
        Rule(when="What number", role="user", text='{"n": 7}'),
        Rule(when="haggle", role="user", tool_calls=[call("read_skill", name="haggle")]),
    ]
    ended = with_fleet(folder, rules, lambda shard, number: answer(shard, number, "sales", "haggle"))
    assert ended["result"] == "Seven."


def test_an_agent_that_is_asked_wrongly_is_not_begun_and_the_model_is_told_how(folder: Path) -> None:
    wrong = [call("ask_oracle", question="What number?"), call("ask_oracle", nonsense=7), call("ask_oracle", prompt="")]
    rules = [
        Rule(when="EINVAL.*takes .*prompt", role="tool", text="I asked wrongly."),
        Rule(when="ask", role="user", tool_calls=wrong),
    ]

    async def body(shard: Shard, number: int) -> Any:
        ended = await answer(shard, number, "sales", "ask")
        return ended["result"], sum(isinstance(e, ev.ProcessSpawned) for e in events_of(shard))

    assert with_fleet(folder, rules, body) == ("I asked wrongly.", 1)


def test_an_answer_that_does_not_fit_is_asked_again_and_in_the_end_refused(folder: Path) -> None:
    rules = [
        Rule(when="cannot be used: 'n' is missing", text='{"n": 1}'),
        Rule(when="once", text='{"m": 1}'),
        Rule(when="never|cannot be used", text="no JSON at all"),
    ]

    async def body(shard: Shard, number: int) -> Any:
        return await answer(shard, number, "oracle", "once"), await answer(shard, number, "oracle", "never")

    once, never = with_fleet(folder, rules, body)
    assert once["result"] == {"n": 1}
    assert (never["status"], never["error"]["errno"]) == (1, "EMODEL")
    assert "no JSON" in never["error"]["message"]


def test_it_has_to_answer_within_its_turns(folder: Path) -> None:
    rules = [Rule(when=".", tool_calls=[call("prices__lookup", sku="egg")])]

    async def body(shard: Shard, number: int) -> Any:
        ended = await answer(shard, number, "sales", "round and round")
        return ended, sum(isinstance(e, ev.ToolCalled) for e in events_of(shard))

    ended, tools = with_fleet(folder, rules, body)
    assert (ended["error"]["errno"], ended["error"]["message"]) == (
        "EMODEL",
        "[EMODEL in model_chat] no answer within 4 turns",
    )
    assert tools == 3, "in the last turn nothing is begun"


SESSION = "Session"


async def say(shard: Shard, pid: int, text: str) -> Any:
    """The reply to what a user says; the operator's messages have none, so the record is looked at."""
    shard.kernel.operator.send(pid, "say", {"text": text}, uid=0)


def test_a_session_remembers_is_interrupted_and_outlives_its_kernel(folder: Path) -> None:
    rules = [
        Rule(when="slowly", role="user", text="One two three.", latency_ms=60_000),
        Rule(when="again", role="user", text="You said it before."),
    ]
    asked: list[list[str]] = []

    class Remembering(ScriptedModel):
        async def stream(self, request: Any) -> AsyncGenerator[str | ModelAnswer, None]:
            asked.append([f"{m['role']}: {m['content']}" for m in request.messages])
            async for item in super().stream(request):
                yield item

    async def replies(shard: Shard, count: int) -> list[Any]:
        while len(found := [e for e in events_of(shard) if isinstance(e, ev.MessageDone)]) < count:
            await changed.wait()
            changed.clear()
        return found

    changed = asyncio.Event()

    def changed_by(seq: int, time_ns: int, events: Sequence[ev.Event]) -> None:
        changed.set()

    async def life(body: Callable[[Shard], Awaitable[Any]]) -> Any:
        shard = await Shard.open(folder / "home", {"": Remembering(rules)}, watch=changed_by)
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await body(shard)
        finally:
            await shard.close()

    async def first(shard: Shard) -> None:
        fleet = resolve(load_fleet(folder / "fleet.yaml").fleet, folder, {})
        number = await bring(shard.kernel, shard.drivers, shard.logs, fleet, uid=0, stays=True)
        pid = shard.kernel.fleet_operator.start(number, "sales", [], {}, uid=0, function=SESSION)
        await say(shard, pid, "Hello there.")
        await replies(shard, 2)  # its beginning is one
        await say(shard, pid, "Speak slowly.")
        while not any(m.startswith("user: Speak slowly.") for ms in asked for m in ms):
            await changed.wait()
            changed.clear()
        shard.kernel.operator.signal(pid, 10, uid=0)
        await replies(shard, 3)

    async def second(shard: Shard) -> None:
        await say(shard, 1, "And again?")
        await replies(shard, 4)

    async def both() -> None:
        await life(first)
        await life(second)

    asyncio.run(both())
    assert asked[-1] == [
        "system: You sell.\n\nSkills, to be read before they are used:\n- haggle: How to give way.",
        "user: Hello there.",
        "assistant: Hello there. [2 words]",
        "user: Speak slowly.",
        "assistant: [interrupted by the user]",
        "user: And again?",
    ]


class Halting(ScriptedModel):
    """Says the first word of an answer with "slowly" in its question, and then nothing more until it is let go."""

    def __init__(self, rules: list[Rule]) -> None:
        super().__init__(rules)
        self.asked: list[list[str]] = []
        self.let_go = 0

    async def stream(self, request: Any) -> AsyncGenerator[str | ModelAnswer, None]:
        self.asked.append([f"{m['role']}: {m['content']}" for m in request.messages])
        async for item in super().stream(request):
            yield item
            if "slowly" in str(request.messages[-1]["content"]):
                try:
                    await asyncio.Event().wait()
                finally:
                    self.let_go += 1


def with_session(folder: Path, model: Halting, body: Callable[[Shard, int, Any], Awaitable[Any]]) -> Any:
    """A session with `sales`; `body` is given the shard, its number, and what waits for so many events of a kind."""
    changed = asyncio.Event()

    def changed_by(seq: int, time_ns: int, events: Sequence[ev.Event]) -> None:
        changed.set()

    async def run() -> Any:
        shard = await Shard.open(folder / "home", {"": model}, watch=changed_by)

        async def until(kind: type, count: int) -> None:
            while sum(isinstance(e, kind) for e in events_of(shard)) < count:
                changed.clear()
                await changed.wait()

        try:
            fleet = resolve(load_fleet(folder / "fleet.yaml").fleet, folder, {})
            number = await bring(shard.kernel, shard.drivers, shard.logs, fleet, uid=0, stays=True)
            session = shard.kernel.sessions.open(number, "sales", SESSION, uid=0, user="Ada", kept=True, grace_ms=0)
            async with asyncio.timeout(DEADLINE_S):
                return await body(shard, session, until)
        finally:
            await shard.close()

    return asyncio.run(run())


def test_what_was_streamed_of_an_answer_that_was_cut_off_stays_with_a_note_and_the_model_is_let_go(
    folder: Path,
) -> None:
    model = Halting([Rule(when="slowly", text="One two three.")])

    async def body(shard: Shard, session: int, until: Any) -> Any:
        await say(shard, session, "Speak slowly.")
        await until(ev.CallPiece, 1)
        shard.kernel.operator.signal(session, 10, uid=0)
        await until(ev.MessageReplied, 1)
        await say(shard, session, "And again?")
        await until(ev.MessageReplied, 2)
        return [e.errno for e in events_of(shard) if isinstance(e, ev.CallClosed) and e.errno]

    assert with_session(folder, model, body) == ["ECANCELED"]
    assert model.let_go == 1
    assert model.asked[-1][1:] == [
        "user: Speak slowly.", "assistant: One [interrupted by the user]", "user: And again?",
    ]  # fmt: skip


def test_calls_that_were_cut_off_have_results_all_the_same(folder: Path) -> None:
    (folder / "prices.py").write_text(
        PRICES.replace('return {"egg": 3}', "import time; time.sleep(600)\n    return {}")
    )
    calls = [call("prices__lookup", sku="egg"), call("nothing")]
    model = Halting([Rule(when="egg", role="user", tool_calls=calls)])

    async def body(shard: Shard, session: int, until: Any) -> None:
        await say(shard, session, "An egg?")
        await until(ev.ToolStarted, 1)
        shard.kernel.operator.signal(session, 10, uid=0)
        await until(ev.MessageReplied, 1)
        await say(shard, session, "And now?")
        await until(ev.MessageReplied, 2)

    with_session(folder, model, body)
    roles = [said.split(":")[0] for said in model.asked[-1]]
    assert roles == ["system", "user", "assistant", "tool", "tool", "assistant", "user"]
    assert model.asked[-1][3] == "tool: error: [interrupted by the user]"


def test_tools_and_skills_are_looked_up_once_a_conversation(folder: Path) -> None:
    async def body(shard: Shard, session: int, until: Any) -> list[int]:
        looked: list[int] = []
        for number, text in enumerate(("Hello.", "Again.", "", "Anew.", ""), 1):
            if text:
                await say(shard, session, text)
            else:
                shard.kernel.operator.send(session, "new" if number == 3 else "tools", {}, uid=0)
            await until(ev.MessageReplied, number)
            calls = [e.call for e in events_of(shard) if isinstance(e, ev.CallDone | ev.CallOpened)]
            looked.append(sum(name in ("tool_list", "file_list", "file_read") for name in calls))
        return looked

    model = Halting([])
    assert with_session(folder, model, body) == [3, 3, 3, 6, 6]
    assert model.asked[-1][1:] == ["user: Anew."]
    assert len(model.asked) == 3


def test_commands_about_sessions_that_make_no_sense_are_refused(folder: Path) -> None:
    big = 1 << 63

    async def body(shard: Shard, session: int, until: Any) -> list[str]:
        said: list[str] = []
        await shard.kernel.ledger.journal.wait_durable(shard.kernel.ledger.journal.head.seq)
        commands: list[control.SessionCommand] = [
            control.OpenSession("nowhere", "sales", "Ada", False, 0),
            control.OpenSession("shop", "nobody" * 1_000, "Ada", False, 0),
            control.OpenSession("shop", "sales", "\ud800" * 100, False, 0),
            control.OpenSession("shop", "sales", "Ada", False, -1),
            control.OpenSession("shop", "sales", "Ada", False, big),
            *(kind(number) for number in (0, -1, 9, big) for kind in (control.AttendSession, control.LeaveSession)),
            control.KeepSession(9, True),
            control.CloseSession(9),
        ]
        for command in commands:
            try:
                await shard.desk.answer(command, 0)
                said.append("")
            except KernelError as error:
                said.append(error.errno)
        rows = msgspec.msgpack.decode(await shard.desk.answer(control.ListSessions(), 0), type=list[control.SessionRow])
        assert [(row.session, row.state, row.attended) for row in rows] == [(session, "open", 0)]
        assert await shard.desk.answer(control.ListSessions(big - 1), 0) == b"\x90"
        return said

    errnos = with_session(folder, Halting([]), body)
    assert errnos == ["ENOENT", "ENOENT", "EINVAL", "EINVAL", "EINVAL", *["ESRCH"] * 10]
