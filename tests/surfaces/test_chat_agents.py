"""Chat agents of a fleet file, in real confined workers: tools, skills, others, structured answers, a session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from prytany.abi import events as ev
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
