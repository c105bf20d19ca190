"""The scripted model is a pure function of its request."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from prytany.drivers.models.scripted import Rule, ScriptedFailure, ScriptedModel
from prytany.ports.model import ModelAnswer, ModelFailure, ModelRequest


def request(text: str, **fields: Any) -> ModelRequest:
    return ModelRequest([{"role": "user", "content": text}], **{"max_tokens": 100, **fields})


def chat(model: ScriptedModel, asked: ModelRequest) -> ModelAnswer:
    return asyncio.run(model.chat(asked))


def test_it_answers_from_the_request_alone_and_counts_calls() -> None:
    model = ScriptedModel()
    first = chat(model, request("One thing. Another."))
    assert first.text == "One thing. [3 words]"
    assert first == chat(model, request("One thing. Another."))
    assert model.calls == 2
    assert first.usage.prompt_tokens > 0
    assert first.usage.cost_usd_micros == 0


def test_the_first_rule_that_matches_answers() -> None:
    model = ScriptedModel([Rule("weather", "Rain."), Rule(".", "Anything.")])
    assert chat(model, request("the weather?")).text == "Rain."
    assert chat(model, request("else")).text == "Anything."


def test_a_failure_comes_after_the_text_that_was_streamed() -> None:
    model = ScriptedModel([Rule("x", "some words", failure=ScriptedFailure("interrupted"))])

    async def main() -> tuple[list[Any], ModelFailure]:
        items: list[Any] = []

        async def collect() -> None:
            async for item in model.stream(request("x")):
                items.append(item)

        with pytest.raises(ModelFailure) as caught:
            await collect()
        return items, caught.value

    items, error = asyncio.run(main())
    assert items == ["some", " words"]
    assert (error.kind, error.retryable) == ("interrupted", True)


def test_bounds_and_stops_are_kept() -> None:
    model = ScriptedModel([Rule(".", "abcdefgh END ij")])
    assert chat(model, request("x", max_tokens=1)).text == "abcd"
    assert chat(model, request("x", max_tokens=1)).finish == "length"
    assert chat(model, request("x", stop=["END"])).text == "abcdefgh "


def test_a_schema_is_answered_with_an_example_of_it() -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "count": {"type": "integer"},
            "kind": {"enum": ["a", "b"]},
            "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}},
        },
        "required": ["title", "count", "kind", "parts"],
        "$defs": {"part": {"type": ["boolean", "null"]}},
    }
    answer = chat(ScriptedModel(), request("Two words.", schema=schema))
    assert msgspec.json.decode(answer.text) == {"title": "Two words.", "count": 2, "kind": "a", "parts": [True]}


def test_a_script_is_read_from_its_file_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text('{"rules": [{"when": "hi", "text": "ho", "tool_calls": [{"name": "t", "arguments": {"a": 1}}]}]}')
    answer = chat(ScriptedModel.load(path), request("hi"))
    assert (answer.text, answer.finish, answer.tool_calls[0].arguments) == ("ho", "tool_calls", '{"a":1}')
    for wrong in ("{", '{"rules": [{"when": "("}]}', '{"rulez": []}'):
        path.write_text(wrong)
        with pytest.raises(ValueError, match=r"script\.json"):
            ScriptedModel.load(path)


def test_texts_that_share_words_have_near_vectors() -> None:
    near, like, far = asyncio.run(ScriptedModel().embed(["a red cat", "a red dog", "some other text"])).vectors

    def dot(one: list[float], two: list[float]) -> float:
        return sum(a * b for a, b in zip(one, two, strict=True))

    assert dot(near, near) == pytest.approx(1.0)
    assert dot(near, like) > dot(near, far)
