"""What an endpoint can put into an answer to hurt whoever reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prytany.abi import limits
from prytany.drivers.models import openai_wire as wire
from prytany.ports.model import ModelFailure


def answer(**message: Any) -> bytes:
    return json.dumps({"choices": [{"delta": message}]}).encode()


def test_an_error_code_of_thousands_of_digits_is_a_failure_like_others() -> None:
    with pytest.raises(ModelFailure) as refused:
        wire.decode(json.dumps({"error": {"code": "1" * 5_000, "message": "no"}}).encode())
    assert refused.value.kind == "overloaded"


@pytest.mark.parametrize("field", ["name", "arguments"])
def test_what_a_streamed_tool_call_holds_is_bounded_whatever_it_is(field: str) -> None:
    fold = wire.Fold()
    chunk = wire.decode(answer(tool_calls=[{"index": 0, "function": {field: "x" * (1 << 20)}}]))
    for _ in range(limits.RESULT_BYTES_MAX // (1 << 20)):
        fold.add(chunk)
    with pytest.raises(ModelFailure, match="larger than the bound"):
        fold.add(chunk)


def test_the_ids_of_tool_calls_are_bounded_too() -> None:
    fold = wire.Fold()
    for index in range(4):
        fold.add(wire.decode(answer(tool_calls=[{"index": index, "id": "x" * (1 << 20)}])))
    with pytest.raises(ModelFailure, match="larger than the bound"):
        fold.add(wire.decode(answer(tool_calls=[{"index": 4, "id": "x"}])))


def test_the_name_that_a_model_gives_itself_is_cut() -> None:
    fold = wire.Fold()
    fold.add(wire.decode(json.dumps({"model": "m" * (1 << 20), "choices": []}).encode()))
    assert len(fold.finish().model) == wire.MODEL_CHARS_MAX


@pytest.mark.parametrize(("usage", "tokens"), [
    (None, (0, 0, 0)), ({}, (0, 0, 0)), ([], (0, 0, 0)), ("12", (0, 0, 0)), (7, (0, 0, 0)),
    ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3}}, (9, 4, 3)),
    ({"prompt_tokens": 9.0, "completion_tokens": 3.2, "prompt_tokens_details": None}, (9, 4, 0)),
    ({"prompt_tokens": "ten", "completion_tokens": None, "prompt_tokens_details": 5}, (0, 0, 0)),
    ({"prompt_tokens": -9, "completion_tokens": -0.5, "prompt_tokens_details": {"cached_tokens": "3"}}, (0, 0, 0)),
    ({"prompt_tokens": True, "completion_tokens": {"a": 1}}, (0, 0, 0)),
    ({"prompt_tokens": 10**30, "completion_tokens": 10**18}, (0, 0, 0)),
    ({"prompt_tokens": 1e300, "completion_tokens": 12}, (0, 12, 0)),
])  # fmt: skip
def test_an_answer_is_one_whatever_it_says_that_it_took(usage: Any, tokens: tuple[int, int, int]) -> None:
    fold, body = wire.Fold(), {"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}], "usage": usage}
    fold.add(wire.decode(json.dumps(body).encode()))
    answered = fold.finish()
    assert answered.text == "Yes."
    assert (answered.usage.prompt_tokens, answered.usage.completion_tokens, fold.cached_tokens) == tokens
    vectors = {"data": [{"embedding": [1.0], "index": 0}], "usage": usage}
    assert wire.decode_vectors(json.dumps(vectors).encode(), 1)[1].prompt_tokens == tokens[0]
