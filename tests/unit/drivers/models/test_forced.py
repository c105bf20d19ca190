"""A model without tool calls is forced into them by a schema."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from prytany.drivers.models.forced import ForcedTools
from prytany.drivers.models.scripted import Rule, ScriptedModel
from prytany.ports.model import ModelAnswer, ModelRequest, ToolSpec

LOOK = ToolSpec("look", "Looks up.", {"type": "object", "properties": {"sku": {"type": "string"}}})
ASKED = {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"sku": "egg"}'}}


class Watched(ScriptedModel):
    """Remembers what it was asked."""

    request: ModelRequest

    async def stream(self, request: ModelRequest) -> Any:
        self.request = request
        async for item in super().stream(request):
            yield item


def ask(text: str, *, tools: bool = True, schema: Any = None) -> tuple[list[str], ModelAnswer, ModelRequest]:
    model = Watched([Rule(when=".", text=text)])
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "What is it?"},
        {"role": "assistant", "content": "", "tool_calls": [ASKED]},
        {"role": "tool", "tool_call_id": "a", "content": "3"},
    ]
    request = ModelRequest(messages, max_tokens=1_000, schema=schema, tools=[LOOK] if tools else [])

    async def run() -> list[Any]:
        forced = ForcedTools(model)
        whole = await forced.chat(request)
        items = [item async for item in forced.stream(request)]
        assert items[-1] == whole
        return items

    *pieces, answer = asyncio.run(run())
    return pieces, answer, model.request


def test_it_is_told_of_tools_and_what_it_writes_is_a_call() -> None:
    pieces, answer, asked = ask('{"tool": "look", "arguments": {"sku": "egg"}}')
    assert (pieces, answer.text, answer.finish) == ([], "", "tool_calls")
    assert [(call.name, json.loads(call.arguments)) for call in answer.tool_calls] == [("look", {"sku": "egg"})]
    assert asked.tools == []
    assert asked.schema is not None
    assert [list(way["properties"]) for way in asked.schema["anyOf"]] == [["tool", "arguments"], ["answer"]]
    assert '- Looks up. {"tool":"look","arguments":{"sku":"..."}}' in asked.messages[0]["content"]
    assert [(m["role"], m["content"]) for m in asked.messages[4:]] == [
        ("assistant", '{"tool": "look", "arguments": {"sku": "egg"}}'), ("user", "Result of the tool: 3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [('{"answer": "Three."}', "Three."), ('{"answer": {"n": 3}}', '{"n":3}'), ("Three, I say.", "Three, I say.")],
)
def test_an_answer_is_its_text(text: str, said: str) -> None:
    _, answer, _ = ask(text)
    assert (answer.text, answer.tool_calls) == (said, [])


def test_without_tools_it_is_asked_as_ever_and_streams() -> None:
    pieces, answer, asked = ask("One two.", tools=False)
    assert ("".join(pieces), answer.text, asked.schema) == ("One two.", "One two.", None)
    assert asked.messages[-1]["content"] == "Result of the tool: 3"
