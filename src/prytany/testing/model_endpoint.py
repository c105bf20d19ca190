"""A model endpoint for tests and benchmarks: OpenAI's chat completions on a loopback port, with faults on demand.

It answers with what `ScriptedModel` answers, counts calls by the digest of their body (so that a test can say "never
paid for twice"), and holds calls back until the test lets them go, so that no test sleeps. It must not be used in the
product.

Source: OpenAI's API reference; RFC 9112 for the little HTTP that it speaks.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from typing import Any, Self

import msgspec

from prytany.drivers.models.scripted import ScriptedModel
from prytany.ports.model import Model, ModelAnswer, ModelRequest, ToolSpec

HEADER_BYTES_MAX = 64 << 10
BODIES_KEPT = 1_000
REASONS = {200: "OK"}


class Fault(msgspec.Struct, frozen=True):
    """What one call, or every call, meets instead of an answer, or before it."""

    status: int = 200
    headers: dict[str, str] = {}
    body: bytes | None = None
    """Sent instead of an answer, with `status`."""
    latency_ms: int = 0
    cut_after_bytes: int | None = None
    """The connection is reset after so many bytes of the answer's body; 0 is before its header."""
    hold: bool = False
    """Waits until `release` is called."""
    hold_after_bytes: int | None = None
    """Waits so after that many bytes of the answer's body."""

    @staticmethod
    def refusal(status: int, code: str = "", message: str = "no", **headers: str) -> Fault:
        """An error of OpenAI's form; `retry_after="2"` becomes a header."""
        body = msgspec.json.encode({"error": {"message": message, "type": "error", "code": code or None}})
        return Fault(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


class ModelEndpoint:
    """The endpoint, while its `async with` lasts.

    Attributes:
        faults: each is met by one call, in order.
        always: met by every call for which `faults` has none.
        calls: how often each body was sent, by digest.
        bodies: what was sent, decoded, the last thousand.
        tokens: the bearer tokens that came.
    """

    def __init__(self, model: Model | None = None, *, latency_ms: int = 0) -> None:
        self._model = model or ScriptedModel()
        self.faults: deque[Fault] = deque()
        self.always = Fault(latency_ms=latency_ms)
        self.calls: Counter[str] = Counter()
        self.bodies: deque[dict[str, Any]] = deque(maxlen=BODIES_KEPT)
        self.tokens: set[str] = set()
        self.connections = 0
        self._arrived = asyncio.Condition()
        self._released = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def total(self) -> int:
        """How many calls came."""
        return self.calls.total()

    @property
    def base_url(self) -> str:
        """Up to and with `/v1`."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def wait_calls(self, count: int) -> None:
        """Wait until `count` calls have come."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self.total >= count)

    def release(self) -> None:
        """Let go the calls that are held."""
        self._released.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=4_096, limit=HEADER_BYTES_MAX)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client went away, which is its right
        finally:
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False when the connection is to end."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        fault = self.faults.popleft() if self.faults else self.always
        self.tokens.add(headers.get("authorization", "").removeprefix("Bearer "))
        asked: dict[str, Any] = msgspec.json.decode(raw)
        self.bodies.append(asked)
        self.calls[hashlib.sha256(raw).hexdigest()] += 1
        async with self._arrived:
            self._arrived.notify_all()
        if fault.hold:
            await self._released.wait()
        if fault.latency_ms:
            await asyncio.sleep(fault.latency_ms / 1_000)
        if fault.body is not None:
            body, kind = fault.body, "application/json"
        else:
            body, kind = await self._answer(head[0].split(" ")[1], asked)
        given = {"content-type": kind, "content-length": str(len(body)), **fault.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        answer = f"HTTP/1.1 {fault.status} {REASONS.get(fault.status, 'No')}\r\n{lines}\r\n".encode()
        if fault.hold_after_bytes is not None:
            writer.write(answer + body[: fault.hold_after_bytes])
            await self._released.wait()
            writer.write(body[fault.hold_after_bytes :])
            return True
        if fault.cut_after_bytes is None:
            writer.write(answer + body)
            return True
        if fault.cut_after_bytes:
            writer.write(answer + body[: fault.cut_after_bytes])
        writer.close()  # what was written still goes out; the rest that was promised never comes
        await writer.wait_closed()
        return False

    async def _answer(self, path: str, body: dict[str, Any]) -> tuple[bytes, str]:
        if path.endswith("/embeddings"):
            given = await self._model.embed(list(body["input"]))
            data = [{"index": place, "embedding": vector} for place, vector in enumerate(given.vectors)]
            usage = {"prompt_tokens": given.usage.prompt_tokens, "total_tokens": given.usage.prompt_tokens}
            return msgspec.json.encode({"data": data, "usage": usage}), "application/json"
        request = read_request(body)
        if not body.get("stream"):
            return msgspec.json.encode(write_answer(await self._model.chat(request), body)), "application/json"
        chunks: list[dict[str, Any]] = []
        async for item in self._model.stream(request):
            if isinstance(item, ModelAnswer):
                chunks += write_end(item, body)
            else:
                chunks.append({"choices": [{"index": 0, "delta": {"content": item}}]})
        events = [b"data: %s\n\n" % msgspec.json.encode(chunk) for chunk in chunks]
        return b"".join([*events, b"data: [DONE]\n\n"]), "text/event-stream"


def read_request(body: dict[str, Any]) -> ModelRequest:
    """The request that a body of OpenAI's form stands for."""
    form: dict[str, Any] = body.get("response_format") or {}
    given: list[dict[str, Any]] = body.get("tools") or []
    tools: list[dict[str, Any]] = [tool["function"] for tool in given]
    return ModelRequest(
        messages=body.get("messages", []),
        max_tokens=int(body.get("max_tokens") or body.get("max_completion_tokens") or 1_024),
        stop=list(body.get("stop") or []),
        schema=form.get("json_schema", {}).get("schema"),
        tools=[ToolSpec(tool["name"], tool.get("description", ""), tool.get("parameters", {})) for tool in tools],
    )


def write_calls(answer: ModelAnswer) -> list[dict[str, Any]]:
    """The tool calls of an answer, in OpenAI's form."""
    return [
        {"index": place, "id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
        for place, c in enumerate(answer.tool_calls)
    ]


def write_usage(answer: ModelAnswer) -> dict[str, int]:
    """The usage of an answer, in OpenAI's form."""
    return {"prompt_tokens": answer.usage.prompt_tokens, "completion_tokens": answer.usage.completion_tokens}


def write_answer(answer: ModelAnswer, body: dict[str, Any]) -> dict[str, Any]:
    """A whole answer, in OpenAI's form."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text}
    if answer.tool_calls:
        message["tool_calls"] = write_calls(answer)
    choice = {"index": 0, "message": message, "finish_reason": answer.finish}
    return {"object": "chat.completion", "model": body["model"], "choices": [choice], "usage": write_usage(answer)}


def write_end(answer: ModelAnswer, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The last chunks of a stream: tool calls, the reason of its end, and the usage where it was asked for."""
    choice = {"index": 0, "delta": {"tool_calls": write_calls(answer)}, "finish_reason": answer.finish}
    chunks: list[dict[str, Any]] = [{"model": body["model"], "choices": [choice]}]
    options: dict[str, Any] = body.get("stream_options") or {}
    if options.get("include_usage"):
        chunks.append({"choices": [], "usage": write_usage(answer)})
    return chunks
