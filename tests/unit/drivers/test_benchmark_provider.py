"""The provider that benchmarks measure against: it answers our own driver, refuses as providers do, and counts."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from benchmarks.provider import Provider, Shape
from prytany.drivers.models.openai import OpenAINative
from prytany.ports.model import ModelAnswer, ModelFailure, ModelRequest


def request(text: str, max_tokens: int = 100) -> ModelRequest:
    return ModelRequest([{"role": "user", "content": text}], max_tokens=max_tokens)


async def ask(
    shape: Shape, *requests: ModelRequest, stream: bool = False
) -> tuple[list[Any], Provider, dict[str, Any]]:
    """What each came to, one after the other; and what the provider counted, as it says over HTTP."""
    provider = Provider(shape)
    server = await provider.listen()
    port = server.sockets[0].getsockname()[1]
    model = OpenAINative("m", base_url=f"http://127.0.0.1:{port}/v1", proxied=False)
    came: list[Any] = []
    for asked in requests:
        try:
            came.append([piece async for piece in model.stream(asked)] if stream else await model.chat(asked))
        except ModelFailure as failure:
            came.append(failure)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /stats HTTP/1.1\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    stats = json.loads(await reader.readexactly(length))
    writer.close()
    await writer.wait_closed()
    await model.close()
    server.close()
    await provider.close()
    return came, provider, stats


FAST = Shape(first_ms=0, token_ms=0, shortest=5, longest=9)


def test_a_whole_answer_and_a_stream_of_one_request_are_the_same() -> None:
    (whole,), _, _ = asyncio.run(ask(FAST, request("hello")))
    (pieces,), _, stats = asyncio.run(ask(FAST, request("hello"), stream=True))
    assert isinstance(whole, ModelAnswer)
    assert 5 <= whole.usage.completion_tokens <= 9
    *texts, last = pieces
    assert "".join(texts) == last.text
    assert last.usage.completion_tokens in (0, len(texts))
    assert (stats["answered"], stats["refused"], stats["twice"]) == (1, 0, 0)


def test_an_answer_is_bounded_by_what_is_asked_for_and_follows_from_the_seed() -> None:
    came, _, stats = asyncio.run(ask(FAST, request("a", 3), request("b"), request("b")))
    assert came[0].usage.completion_tokens == 3
    assert came[1].usage == came[2].usage
    assert stats["twice"] == 1


@pytest.mark.parametrize("limiter", ["fixed", "sliding", "bucket"])
def test_beyond_its_limit_it_refuses_and_says_for_how_long(limiter: str) -> None:
    shape = Shape(limiter=limiter, requests=3, first_ms=0, token_ms=0)
    came, provider, _ = asyncio.run(ask(shape, *(request(str(n)) for n in range(5))))
    refused = [failure for failure in came if isinstance(failure, ModelFailure)]
    assert [failure.kind for failure in refused] == ["rate_limited"] * 2
    assert all(0 < (failure.retry_after_ms or 0) <= 61_000 for failure in refused)
    assert (provider.counts.requests, provider.counts.answered, provider.counts.refused) == (5, 3, 2)


def test_a_body_that_is_no_request_is_refused_and_the_provider_goes_on() -> None:
    async def run() -> tuple[bytes, Provider]:
        provider = Provider(FAST)
        server = await provider.listen()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\n\r\n[]")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        server.close()
        await provider.close()
        return line, provider

    line, provider = asyncio.run(run())
    assert b" 400 " in line
    assert provider.counts.bad == 1
    assert provider.active == 0
