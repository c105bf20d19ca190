"""The OpenAI driver against an endpoint that does what it is told, every kind of failure included."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from prytany.abi import limits
from prytany.drivers.models.failures import RETRYABLE, parse_retry_after_ms
from prytany.drivers.models.openai import OpenAINative
from prytany.drivers.models.prices import Prices, listed_cost_usd_micros
from prytany.drivers.models.scripted import Rule, ScriptedCall, ScriptedModel
from prytany.ports.model import Allowance, Embedded, ModelAnswer, ModelFailure, ModelRequest, Told, ToolSpec, Usage
from prytany.testing.model_endpoint import Fault, ModelEndpoint

T = TypeVar("T")
KEY = "sk-very-secret-0123456789"
HELLO = ModelRequest([{"role": "user", "content": "Hello there. How are you?"}], max_tokens=100)


def run(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(main, 20))


def driver(endpoint: ModelEndpoint, **options: Any) -> OpenAINative:
    return OpenAINative("m", base_url=endpoint.base_url, key=KEY, proxied=False, **options)


async def collect(model: OpenAINative, items: list[Any]) -> None:
    """What a stream gives, kept even where it fails."""
    async for item in model.stream(HELLO):
        items.append(item)


async def ask(fault: Fault | None = None, *, stream: bool = False, request: ModelRequest = HELLO) -> list[Any]:
    """What one call gives, and how often the endpoint was asked."""
    async with ModelEndpoint() as endpoint:
        if fault is not None:
            endpoint.faults.append(fault)
        model = driver(endpoint)
        try:
            items = [item async for item in model.stream(request)] if stream else [await model.chat(request)]
        except ModelFailure as error:
            return [error, endpoint.total]
        finally:
            await model.close()
        return [*items, endpoint.total]


def test_an_answer_comes_back_whole_with_its_usage() -> None:
    answer, calls = run(ask())
    assert answer.text == "Hello there. [5 words]"
    assert (answer.finish, answer.model, calls) == ("stop", "m", 1)
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0


def test_a_stream_gives_the_pieces_of_the_same_answer() -> None:
    *pieces, answer, _ = run(ask(stream=True))
    whole, _ = run(ask())
    assert len(pieces) > 1
    assert "".join(pieces) == answer.text
    assert answer == whole


def test_a_piece_is_given_as_soon_as_it_comes() -> None:
    first = b'data: {"choices":[{"index":0,"delta":{"content":"He"}}]}\n\n'

    async def main() -> tuple[str | ModelAnswer, int]:
        async with ModelEndpoint() as endpoint:
            endpoint.faults.append(Fault(body=first + b"data: [DONE]\n\n", hold_after_bytes=len(first)))
            stream = driver(endpoint).stream(HELLO)
            piece = await anext(stream)  # the endpoint holds the rest back until now
            endpoint.release()
            return piece, len([item async for item in stream])

    assert run(main()) == ("He", 1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.refusal(401), "bad_key"),
        (Fault.refusal(403), "bad_key"),
        (Fault.refusal(402), "no_funds"),
        (Fault.refusal(429, "insufficient_quota"), "no_funds"),
        (Fault.refusal(429, "rate_limit_exceeded"), "rate_limited"),
        (Fault.refusal(500), "overloaded"),
        (Fault.refusal(503), "overloaded"),
        (Fault(529, body=b"<html>busy</html>"), "overloaded"),
        (Fault.refusal(400), "bad_request"),
        (Fault.refusal(404), "no_model"),
        (Fault.refusal(400, "model_not_found"), "no_model"),
        (Fault.refusal(422), "bad_request"),
        (Fault.refusal(400, "context_length_exceeded"), "too_long"),
        (Fault.refusal(413), "too_long"),
        (Fault.refusal(408), "timeout"),
        (Fault(302, {"location": "http://127.0.0.1:1/"}, b""), "bad_request"),
        (Fault(body=b"<html>not a model</html>\n"), "garbage"),
        (Fault(cut_after_bytes=40), "interrupted"),
        (Fault(cut_after_bytes=0), "interrupted"),
    ],
)
def test_each_failure_has_its_kind_and_is_not_tried_again(fault: Fault, kind: str, stream: bool) -> None:
    error, calls = run(ask(fault, stream=stream))
    assert isinstance(error, ModelFailure)
    assert error.kind == kind
    assert error.retryable == (kind in RETRYABLE)
    assert calls == 1


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"choices": []}', b'{"choices": [{"message": {"content": 7}}]}', b"[" * 100_000, b"\xff"]
)
def test_an_answer_of_another_form_is_garbage(body: bytes) -> None:
    error, _ = run(ask(Fault(body=body)))
    assert error.kind == "garbage"


def test_a_stream_that_ends_early_is_interrupted_after_its_pieces() -> None:
    async def main() -> tuple[list[Any], str]:
        async with ModelEndpoint() as endpoint:
            endpoint.faults.append(Fault(body=b'data: {"choices":[{"index":0,"delta":{"content":"He"}}]}\n\n'))
            items: list[Any] = []
            with pytest.raises(ModelFailure) as caught:
                await collect(driver(endpoint), items)
            return items, caught.value.kind

    assert run(main()) == (["He"], "interrupted")


def test_an_error_within_a_stream_has_the_kind_it_names() -> None:
    error, _ = run(ask(Fault(body=b'data: {"error": {"code": "rate_limit_exceeded"}}\n\n'), stream=True))
    assert error.kind == "rate_limited"
    error, _ = run(ask(Fault(body=b'error: {"code": 500, "message": "slot"}\n\n'), stream=True))
    assert error.kind == "overloaded"


def test_nobody_listening_and_no_such_host_are_unreachable() -> None:
    async def kind(url: str) -> str:
        with pytest.raises(ModelFailure) as caught:
            await OpenAINative("m", base_url=url, proxied=False, timeout_ms=5_000).chat(HELLO)
        return caught.value.kind

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert run(kind(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")) == "unreachable"
    assert run(kind("http://nonesuch.invalid/v1")) == "unreachable"
    assert run(kind("no address at all")) == "bad_request"


@pytest.mark.parametrize("stream", [False, True])
def test_an_endpoint_that_does_not_answer_is_a_timeout(stream: bool) -> None:
    async def main() -> str:
        async with ModelEndpoint() as endpoint:
            endpoint.faults.append(Fault(hold=True))
            model = driver(endpoint, timeout_ms=50)
            with pytest.raises(ModelFailure) as caught:
                await (collect(model, []) if stream else model.chat(HELLO))
            return caught.value.kind

    assert run(main()) == "timeout"


@pytest.mark.parametrize(
    ("headers", "wait_ms"),
    [
        ({"retry-after": "2"}, 2_000),
        ({"retry-after": "0.25"}, 250),
        ({"retry-after-ms": "120", "retry-after": "9"}, 120),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30_000),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(headers: dict[str, str], wait_ms: int | None) -> None:
    assert parse_retry_after_ms(headers.get, lambda: datetime(2026, 11, 21, 12, tzinfo=UTC)) == wait_ms


def test_a_rate_limit_says_how_long_to_wait() -> None:
    error, _ = run(ask(Fault.refusal(429, retry_after="3")))
    assert error.retry_after_ms == 3_000


SAID = {"x-ratelimit-limit-requests": "60", "X-RateLimit-Remaining-Tokens": "0", "x-ratelimit-reset-tokens": "1m30s"}
TOLD = Told(Allowance(limit=60), Allowance(left=0, reset_ns=90 * 10**9))


@pytest.mark.parametrize("stream", [False, True])
def test_what_an_endpoint_says_of_its_limits_comes_with_an_answer_and_with_a_refusal(stream: bool) -> None:
    *_, answer, _ = run(ask(Fault(headers=SAID), stream=stream))
    assert answer.told == TOLD
    error, _ = run(ask(replace(Fault.refusal(429), headers=SAID), stream=stream))
    assert error.told == TOLD
    *_, answer, _ = run(ask(stream=stream))
    assert answer.told is None


def test_the_key_is_sent_and_shown_nowhere() -> None:
    async def main() -> tuple[set[str], str]:
        async with ModelEndpoint() as endpoint:
            endpoint.always = Fault.refusal(401, message=f"Incorrect API key provided: {KEY}")
            model = driver(endpoint)
            with pytest.raises(ModelFailure) as caught:
                await model.chat(HELLO)
            error = caught.value
            return endpoint.tokens, f"{model!r} {error!r} {error} {error.message} {error.__cause__!r}"

    tokens, shown = run(main())
    assert tokens == {KEY}
    assert KEY not in shown


def test_the_kernels_bounds_win_over_extra_fields_and_the_rest_passes_through() -> None:
    async def main() -> dict[str, Any]:
        async with ModelEndpoint() as endpoint:
            request = ModelRequest(
                [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}],
                    }
                ],
                max_tokens=7,
                temperature=0.5,
                seed=3,
                stop=["END"],
                schema={"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                tools=[ToolSpec("add", "adds", {"type": "object"})],
                extra={"max_tokens": 9_999, "max_completion_tokens": 9_999, "stream": True, "vendor_field": [1]},
            )
            await driver(endpoint).chat(request)
            return endpoint.bodies[0]

    body = run(main())
    assert body["max_completion_tokens"] == 7
    assert "max_tokens" not in body
    assert body["stream"] is False
    assert body["vendor_field"] == [1]
    assert body["messages"][0]["content"][0]["type"] == "image_url"
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["a"]
    assert body["tools"] == [
        {"type": "function", "function": {"name": "add", "description": "adds", "parameters": {"type": "object"}}}
    ]
    assert (body["temperature"], body["seed"], body["stop"]) == (0.5, 3, ["END"])


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_come_back(stream: bool) -> None:
    rule = Rule("Hello", tool_calls=[ScriptedCall("add", {"a": 1}), ScriptedCall("sub", {"b": 2})])

    async def main() -> ModelAnswer:
        async with ModelEndpoint(ScriptedModel([rule])) as endpoint:
            model = driver(endpoint)
            answers = [item async for item in model.stream(HELLO)] if stream else [await model.chat(HELLO)]
            last = answers[-1]
            assert isinstance(last, ModelAnswer)
            return last

    answer = run(main())
    assert answer.finish == "tool_calls"
    assert [(call.name, call.arguments) for call in answer.tool_calls] == [("add", '{"a":1}'), ("sub", '{"b":2}')]
    assert len({call.id for call in answer.tool_calls}) == 2


def test_an_answer_beyond_the_bound_is_refused_for_good() -> None:
    error, _ = run(ask(Fault(body=b" " * (limits.RESULT_BYTES_MAX + 1))))
    assert (error.kind, error.retryable) == ("garbage", False)


def test_a_request_that_is_not_json_is_refused_before_it_is_sent() -> None:
    error, calls = run(ask(request=ModelRequest([{"role": "user", "content": object()}], max_tokens=1)))
    assert (error.kind, calls) == ("bad_request", 0)


def test_embeddings_come_in_the_order_of_the_texts_with_what_they_took() -> None:
    async def main() -> tuple[Embedded, Embedded, Embedded]:
        async with ModelEndpoint() as endpoint:
            model = driver(endpoint, prices=Prices(1.0, 2.0))
            return await model.embed(["a", "b"]), await ScriptedModel().embed(["a", "b"]), await model.embed([])

    given, expected, none = run(main())
    assert given.vectors == expected.vectors
    assert (given.usage.prompt_tokens, given.usage.cost_usd_micros) == (1, 1)
    assert none.vectors == []


def test_connections_are_kept_and_a_call_is_counted_by_its_body() -> None:
    async def main() -> tuple[int, list[int]]:
        async with ModelEndpoint() as endpoint:
            model = driver(endpoint)
            for _ in range(3):
                await model.chat(HELLO)
            return endpoint.connections, list(endpoint.calls.values())

    assert run(main()) == (1, [3])


def test_a_cancelled_call_leaves_the_driver_usable() -> None:
    async def main() -> str:
        async with ModelEndpoint() as endpoint:
            endpoint.faults.append(Fault(hold=True))
            model = driver(endpoint)
            call = asyncio.create_task(model.chat(HELLO))
            await endpoint.wait_calls(1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            return (await model.chat(HELLO)).finish

    assert run(main()) == "stop"


def test_the_operators_prices_round_up_and_come_first() -> None:
    assert Prices(1.0, 2.0).cost_usd_micros(Usage(10, 5)) == 20
    assert Prices(0.15, 0.6).cost_usd_micros(Usage(1, 0)) == 1


def test_listed_prices_are_used_where_they_are_known() -> None:
    pytest.importorskip("genai_prices", reason="the extra [prices] is not installed")
    usage = Usage(1_000, 100)
    assert listed_cost_usd_micros(usage, "gpt-4o-mini", "https://api.openai.com/v1") == 210
    assert listed_cost_usd_micros(usage, "gpt-4o-mini", "http://127.0.0.1:1/v1") is None
    assert listed_cost_usd_micros(usage, "nonesuch", "https://api.openai.com/v1") is None
