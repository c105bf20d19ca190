"""llama.cpp's server, beyond OpenAI's form: slots that are chosen, saved and restored, tokens that are gone on from.

Source: llama.cpp `tools/server`, its README, and what its answers were seen to be.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec

from prytany.drivers.models import openai_wire as wire
from prytany.drivers.models.failures import failure, from_exception, host_of
from prytany.drivers.models.openai import OpenAINative, read_lines
from prytany.ports.model import ModelRequest

T = TypeVar("T")


class _Timings(msgspec.Struct):
    cache_n: int = 0
    prompt_n: int = 0
    predicted_n: int = 0


class _Chunk(wire.WireAnswer):
    """A chunk of a chat, or of a completion."""

    content: str = ""
    stop: bool = False
    stop_type: str = ""
    timings: _Timings | None = None


class _Wrote(msgspec.Struct):
    n_written: int


class _Text(msgspec.Struct):
    content: str


_chunk = msgspec.json.Decoder(_Chunk)
_wrote = msgspec.json.Decoder(_Wrote)
_text = msgspec.json.Decoder(_Text)


class Chunk(NamedTuple):
    """A part of what is generated; the last one has its reason to end."""

    text: str
    generated: int
    """Tokens of this request, up to this one; 0 while the prompt is read."""
    prompt: int
    """Tokens of the prompt that were read, or need not be."""
    cached: int
    finish: str = ""


class LlamaEndpoint(OpenAINative):
    """The server of one process, at its root."""

    async def chat_chunks(self, request: ModelRequest, slot: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
        """A chat's answer in chunks; raises ModelFailure, `interrupted` if it is cut.

        Args:
            request: as `local_schema.prepare` gives it.
            slot: the fields that say which slot, and what of it is used.
        """
        extra = {**request.extra, **slot, "timings_per_token": True, "return_progress": True}
        body = wire.encode_request(msgspec.structs.replace(request, extra=extra), self._model, stream=True)
        async for chunk in self._chunks("/v1/chat/completions", body):
            yield chunk

    async def token_chunks(
        self, request: ModelRequest, tokens: list[int], slot: dict[str, Any]
    ) -> AsyncGenerator[Chunk, None]:  # fmt: skip
        """What follows on `tokens`, which are the chat's prompt and the beginning of its answer."""
        body: dict[str, Any] = {**request.extra, **slot, "timings_per_token": True, "return_progress": True}
        body |= {"prompt": tokens, "n_predict": request.max_tokens, "stream": True, "temperature": request.temperature}
        if request.seed is not None:
            body["seed"] = request.seed
        if request.stop:
            body["stop"] = request.stop
        async for chunk in self._chunks("/completion", wire.encode(body)):
            yield chunk

    async def save(self, slot: int, name: str) -> int:
        """Write a slot that nobody uses, or soon nobody will, to a file: its bytes. Raises ModelFailure."""
        body = await self._post(f"/slots/{slot}?action=save", wire.encode({"filename": name}))
        return _decoded(body, _wrote).n_written

    async def restore(self, slot: int, name: str) -> None:
        """Read it back, into any slot. Raises ModelFailure, `bad_request` where it is not what was saved."""
        await self._post(f"/slots/{slot}?action=restore", wire.encode({"filename": name}))

    async def text_of(self, tokens: list[int]) -> str:
        """What they are written as. Raises ModelFailure."""
        return _decoded(await self._post("/detokenize", wire.encode({"tokens": tokens})), _text).content

    async def answers(self, timeout_ms: int) -> bool:
        """Whether its loop turns. It is asked for its metrics, which that collects, and which touch no slot."""
        try:
            request = self._connect().get(f"{self._base_url}/metrics").header("Authorization", f"Bearer {self._key}")
            await request.timeout(timedelta(milliseconds=timeout_ms)).build().send()
        except Exception as error:
            failed = from_exception(error, host_of(self._base_url))
            return failed.kind not in ("timeout", "unreachable", "interrupted")
        return True

    async def _chunks(self, path: str, body: bytes) -> AsyncGenerator[Chunk, None]:
        fold = wire.Fold()
        last = Chunk("", 0, 0, 0)
        finish = ""
        async with self._open(path, body) as response:
            async for raw in read_lines(response):
                line = self._strike(raw)
                if line.startswith(b"error:"):
                    wire.decode(b'{"error":%s}' % line.removeprefix(b"error:"))
                data = line.removeprefix(b"data:").strip()
                if not line.startswith(b"data:") or data == b"[DONE]":
                    continue
                chunk = _decoded(data, _chunk)
                if chunk.error is not None:
                    wire.decode(data)
                text = fold.add(chunk) or chunk.content
                if (timings := chunk.timings) is not None:
                    last = Chunk("", timings.predicted_n, timings.cache_n + timings.prompt_n, timings.cache_n)
                if chunk.stop:
                    finish = "length" if chunk.stop_type == "limit" else "stop"
                if text or (timings is not None and not finish and not fold.finished):
                    yield last._replace(text=text)
        if not finish and not fold.finished:
            raise failure("interrupted", "the stream ended before the answer did")
        yield last._replace(finish=finish or fold.finish().finish)


def _decoded(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        raise failure("garbage", "the local model's process said what nobody understands") from None
