"""The form of a model call, and the bound that is reserved for it."""

from __future__ import annotations

from typing import Any

import pytest

from prytany.abi import limits
from prytany.abi.errors import Einval, Eperm
from prytany.drivers.models.scripted import ScriptedModel
from prytany.kernel.models.requests import read_chat
from prytany.kernel.models.reserve import IMAGE_TOKENS, reserve_chat
from prytany.kernel.trap import decode_arguments

USER = {"role": "user", "content": "hello"}
TOOL = {"name": "t", "description": "d", "parameters": {"type": "object"}}


def parts(*content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(content)}]


def test_a_sound_request_is_what_was_asked_with_the_bounds_of_the_kernel() -> None:
    chat = read_chat([USER], {"temperature": 0.5, "stop": ["\n"], "tools": [TOOL], "stream": True})
    assert chat.request.max_tokens == limits.MODEL_MAX_TOKENS
    assert (chat.request.stop, chat.request.tools[0].name, chat.stream) == (["\n"], "t", True)
    assert chat.needs() == ["tools"]


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{}],
        [{"role": "user"}],
        [{"role": "nobody", "content": "x"}],
        [{"role": 7, "content": "x"}],
        [{"role": ["user"], "content": "x"}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": 7}],
        [{"role": "user", "content": "x", "url": "http://x"}],
        [{"role": "user", "content": "x", 7: "x"}],
        parts("x"),
        parts({"type": "text"}),
        parts({"type": "text", "text": 7}),
        parts({"type": "input_audio", "input_audio": {}}),
        parts({"type": "file", "file": {"file_id": "x"}}),
        parts({"type": "image", "media_type": "image/png", "data": b""}),
        parts({"type": "image", "media_type": "image/svg+xml", "data": b"x"}),
        parts({"type": "image", "media_type": "image/png", "data": "x", "url": "http://x"}),
        parts({"type": "image", "media_type": "image/png", "data": "aGVsbG8="}),
        parts({"type": "image_url", "image_url": "http://x"}),
        [{"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "x"}}]}],
        parts({"type": "image_url", "image_url": {"url": "data:,x", "then": "http://x"}}),
    ],
)
def test_messages_of_another_form_are_refused(messages: Any) -> None:
    with pytest.raises(Einval):
        read_chat(messages, {})


@pytest.mark.parametrize(
    "options",
    [
        {"max_tokens": 0},
        {"max_tokens": True},
        {"max_tokens": limits.MODEL_TOKENS_MAX + 1},
        {"max_tokens": 1.5},
        {"temperature": -1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"seed": "x"},
        {"stop": "x"},
        {"stop": ["x"] * (limits.MODEL_STOPS_MAX + 1)},
        {"schema": "x"},
        {"tools": TOOL},
        {"tools": [{"name": ""}]},
        {"tools": [{"name": "x" * 1_000}]},
        {"tools": [TOOL] * (limits.MODEL_TOOLS_MAX + 1)},
        {"tools": [TOOL | {"url": "http://x"}]},
        {"stream": "yes"},
        {"n": 2},
        {"extra": {"n": 9}},
    ],
)
def test_options_of_another_form_are_refused(options: Any) -> None:
    with pytest.raises(Einval):
        read_chat([USER], options)


@pytest.mark.parametrize("url", ["http://x/a.png", "https://x", "file:///etc/passwd", "//x", "", "DATA:,x"])
def test_a_picture_by_its_address_is_refused(url: str) -> None:
    with pytest.raises(Eperm):
        read_chat(parts({"type": "image_url", "image_url": {"url": url}}), {})


def test_the_reservation_is_a_token_a_byte_and_more_with_all_that_goes_along() -> None:
    def prompt(messages: list[dict[str, Any]], **options: Any) -> int:
        return reserve_chat(1, 1, "m", ScriptedModel(), read_chat(messages, options)).prompt_tokens

    plain = prompt([USER])
    assert plain >= 5
    assert prompt([{"role": "user", "content": "é" * 1_000}]) >= 2_000
    assert prompt([USER, USER]) > plain
    assert prompt([USER], tools=[TOOL]) > plain + len(str(TOOL))
    assert prompt([USER], schema={"type": "object"}) > plain
    picture = {"type": "image", "media_type": "image/png", "data": b"x" * 500}
    assert prompt(parts(picture)) >= IMAGE_TOKENS + 500
    assert reserve_chat(1, 1, "m", ScriptedModel(), read_chat([USER], {"max_tokens": 7})).completion_tokens == 7


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc1",
        b"\x91\x91\xa1\xff",
        b"\x91" * 100_000 + b"\xc0",
        b"\x93\x91\x82\xa4role\xa4user\xa7content\xa1x\xa0\x81\xa6schema\x81\xa1x" + b"\x91" * 100_000 + b"\xc0",
        b"\x91\xc6\xff\xff\xff\xff",
        b"\x80",
    ],
)
@pytest.mark.parametrize("call", ["model_chat", "model_embed"])
def test_bytes_that_are_no_arguments_are_refused(call: str, raw: bytes) -> None:
    with pytest.raises(Einval):
        decode_arguments(call, raw)
