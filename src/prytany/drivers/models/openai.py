"""Any endpoint that speaks OpenAI's chat completions, over HTTP.

One connection pool an endpoint, made when it is first used. It never retries and follows no redirect (a redirect would
carry the conversation, and the key, to an address that the operator did not name). The key is kept out of repr, logs
and errors, and where an endpoint sends it back (some quote it when they refuse it) it is struck out as the bytes come.

Source: OpenAI's API reference.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from prytany.abi import limits
from prytany.drivers.models import openai_wire as wire
from prytany.drivers.models.failures import failure, from_exception, from_status, host_of
from prytany.drivers.models.prices import Prices, listed_cost_usd_micros, listed_prices
from prytany.drivers.models.told import read_told
from prytany.ports.model import Embedded, ModelAnswer, ModelFailure, ModelFeatures, ModelRequest, Told, Usage

if TYPE_CHECKING:
    from pyreqwest.client import Client
    from pyreqwest.http import Url
    from pyreqwest.request import RequestBuilder
    from pyreqwest.response import Response

STREAM_BYTES_MAX = 16 * limits.RESULT_BYTES_MAX  # a chunk wraps a word in some hundred bytes of JSON
ERROR_BYTES_MAX = 64 << 10
CONNECT_TIMEOUT_MS = 10_000
SECRET_CHARS_MIN = 16  # a shorter one may stand in any text by chance
STRUCK = b"[struck out]"
# pyreqwest fills this before it hands an answer over: a whole one then comes at once, and a stream would be held back.
WHOLE_AHEAD_BYTES = 64 << 10
STREAM_AHEAD_BYTES = 1


class OpenAINative:
    """One model at one endpoint, as a `prytany.ports.model.Model`.

    Args:
        model: the endpoint's name of the model.
        base_url: up to and with `/v1`.
        key: sent as a bearer token; None where the endpoint wants none.
        name: as the operator named it; the model's name if not given.
        prices: the operator's own prices, before those of genai-prices.
        max_tokens_field: `max_completion_tokens` for endpoints that refuse the older name.
        headers: sent with each request.
        proxied: whether the environment's proxies are used.
        kept_alive: whether a connection is used again; not where the endpoint ends idle ones sooner than it is asked.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str = "https://api.openai.com/v1",
        key: str | None = None,
        name: str | None = None,
        prices: Prices | None = None,
        features: ModelFeatures | None = None,
        timeout_ms: int = limits.MODEL_TIMEOUT_MS,
        max_tokens_field: str = "max_tokens",
        headers: Mapping[str, str] | None = None,
        proxied: bool = True,
        kept_alive: bool = True,
    ) -> None:
        self._model = model
        self._base_url = base_url.rstrip("/")
        self._urls: dict[str, Url] = {}
        self._key = key
        self._name = name or model
        self._prices = prices
        self._features = features or ModelFeatures(
            streaming=True, tools=True, json_schema=True, images=True, embeddings=True
        )
        self._timeout_ms = timeout_ms
        self._max_tokens_field = max_tokens_field
        self._headers = dict(headers or {})
        given = [key or "", *self._headers.values()]
        self._secrets = [secret.encode() for secret in given if len(secret) >= SECRET_CHARS_MIN]
        self._proxied = proxied
        self._kept_alive = kept_alive
        self._priced = False
        self._client: Client | None = None

    def __repr__(self) -> str:
        return f"OpenAINative({self._name!r})"

    @property
    def name(self) -> str:
        """As the operator named it."""
        return self._name

    @property
    def features(self) -> ModelFeatures:
        """What it can do, as far as the operator says; its prices are looked up when they are first wanted."""
        if not self._priced:
            prices = self._prices or listed_prices(self._model, self._base_url)
            self._features = msgspec.structs.replace(self._features, prices=prices)
            self._priced = True  # last: it may be looked up in a thread
        return self._features

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        """One whole answer; raises ModelFailure."""
        body = wire.encode_request(request, self._model, stream=False, max_tokens_field=self._max_tokens_field)
        received, told = await self._post_told("/chat/completions", body)
        answer = wire.decode(received)
        if not answer.choices:
            raise failure("garbage", "an answer without a choice")
        fold = wire.Fold()
        fold.add(answer)
        return fold.finish(self._cost(fold.usage, fold.cached_tokens), told)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer, None]:
        """Pieces of text as they come, and the whole answer last; raises ModelFailure, `interrupted` if it is cut."""
        body = wire.encode_request(request, self._model, stream=True, max_tokens_field=self._max_tokens_field)
        fold = wire.Fold()
        done = strange = False
        async with self._open("/chat/completions", body) as response:
            told = read_told(response.get_header_all)
            async for raw in read_lines(response):
                line = self._strike(raw)
                if line.startswith(b"error:"):  # llama.cpp's way to fail within a stream
                    wire.decode(b'{"error":%s}' % line.removeprefix(b"error:"))
                if not line.startswith(b"data:"):
                    strange = strange or not (line == b"" or line.startswith((b":", b"event:", b"id:", b"retry:")))
                    continue
                data = line.removeprefix(b"data:").strip()
                if data == b"[DONE]":
                    done = True
                    break
                if piece := fold.add(wire.decode(data)):
                    yield piece
        if not done and not fold.finished:
            if strange:
                raise failure("garbage", "what answers is not a stream of events")
            raise failure("interrupted", "the stream ended before the answer did")
        yield fold.finish(self._cost(fold.usage, fold.cached_tokens), told)

    async def embed(self, texts: list[str]) -> Embedded:
        """One vector a text; raises ModelFailure."""
        if not texts:
            return Embedded([])
        body = wire.encode({"model": self._model, "input": texts, "encoding_format": "float"})
        vectors, used = wire.decode_vectors(await self._post("/embeddings", body), len(texts))
        cost = self._cost(used) if used.prompt_tokens else None
        return Embedded(vectors, msgspec.structs.replace(used, cost_usd_micros=cost))

    async def close(self) -> None:
        """Let go of the connections; the next call makes new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _cost(self, usage: Usage, cached_tokens: int = 0) -> int | None:
        if self._prices is not None:
            return self._prices.cost_usd_micros(usage, cached_tokens)
        return listed_cost_usd_micros(usage, self._model, self._base_url, cached_tokens)

    async def _post(self, path: str, body: bytes) -> bytes:
        return (await self._post_told(path, body))[0]

    async def _post_told(self, path: str, body: bytes) -> tuple[bytes, Told | None]:
        # As `_open`, without a context manager of ours around the client's: this is on the way of every call.
        try:
            async with self._request(path, body, WHOLE_AHEAD_BYTES).build_streamed() as response:
                if response.status != 200:
                    raise await self._refusal(response)
                received = await _read(response, limits.RESULT_BYTES_MAX)
                return self._strike(received), read_told(response.get_header_all)
        except ModelFailure:
            raise
        except Exception as error:
            raise _translated(error, self._base_url) from None

    def _strike(self, received: bytes) -> bytes:
        for secret in self._secrets:
            received = received.replace(secret, STRUCK)
        return received

    @asynccontextmanager
    async def _open(self, path: str, body: bytes) -> AsyncGenerator[Response, None]:
        """An answer with status 200 whose body is still to be read; everything else is a ModelFailure."""
        try:
            async with self._request(path, body, STREAM_AHEAD_BYTES).build_streamed() as response:
                if response.status != 200:
                    raise await self._refusal(response)
                yield response
        except ModelFailure:
            raise
        except Exception as error:
            raise _translated(error, self._base_url) from None

    def _request(self, path: str, body: bytes, ahead_bytes: int) -> RequestBuilder:
        client, url = self._connect(), self._urls.get(path)
        if url is None:
            from pyreqwest.http import Url

            url = self._urls[path] = Url(self._base_url + path)
        builder = client.post(url).header("Content-Type", "application/json")
        if self._headers:
            builder = builder.headers(self._headers)
        if self._key is not None:
            builder = builder.header("Authorization", f"Bearer {self._key}", is_sensitive=True)
        return builder.body_bytes(body).streamed_read_buffer_limit(ahead_bytes)

    async def _refusal(self, response: Response) -> ModelFailure:
        """What an answer with another status than 200 says."""
        text = self._strike(await _read(response, ERROR_BYTES_MAX, cut=True))
        refusal = from_status(response.status, response.get_header, text)
        refusal.told = read_told(response.get_header_all)
        return refusal

    def _connect(self) -> Client:
        if self._client is None:
            from pyreqwest.client import ClientBuilder

            builder = ClientBuilder().follow_redirects(False).user_agent("prytany")
            builder = builder.timeout(timedelta(milliseconds=self._timeout_ms))
            builder = builder.connect_timeout(timedelta(milliseconds=min(self._timeout_ms, CONNECT_TIMEOUT_MS)))
            builder = builder if self._kept_alive else builder.pool_max_idle_per_host(0)
            self._client = (builder if self._proxied else builder.no_proxy()).build()
        return self._client


def _translated(error: Exception, address: str) -> Exception:
    """The failure that `error` means; itself where it was thrown in by who reads a stream, or is a bug."""
    if not type(error).__module__.startswith("pyreqwest") and not isinstance(error, ValueError | OSError):
        return error
    return from_exception(error, host_of(address))


async def _read(response: Response, bytes_max: int, *, cut: bool = False) -> bytes:
    """The body, up to a bound: beyond it, cut off or refused."""
    body = bytearray()
    while (chunk := await response.body_reader.read_chunk()) is not None:
        body += chunk
        if len(body) > bytes_max:
            if cut:
                break
            raise wire.too_big()
    return bytes(body)


async def read_lines(response: Response) -> AsyncIterator[bytes]:
    """The lines of a stream, without their ends; what follows the last end of line was cut off, and is dropped."""
    rest = bytearray()
    total = 0
    while (chunk := await response.body_reader.read_chunk()) is not None:
        total += len(chunk)
        rest += chunk
        lines: list[bytes] = []
        if b"\n" in chunk:  # a line that drips in byte by byte must not be copied at each of them
            *lines, tail = bytes(rest).split(b"\n")
            rest = bytearray(tail)
        if total > STREAM_BYTES_MAX or len(rest) > limits.RESULT_BYTES_MAX:
            raise wire.too_big()
        for line in lines:
            yield line.rstrip(b"\r")
