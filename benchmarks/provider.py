"""A provider to measure against: `python -m benchmarks.provider --limiter sliding --requests 480`.

OpenAI's chat completions over HTTP, whole or as a stream, in a process of its own. An answer takes so long for its
first token, and so long for each further one; how many there are follows from the seed and the request alone. It
answers so many at once, and limits requests and tokens in one of three ways that it does not tell; whatever it refuses
has status 429 and counts as a request all the same. It counts all that comes: `GET /stats` gives the counts, as does
the last line that it prints.

It prints one JSON object with its `base_url` when it listens, and ends when its standard input does.

Source: OpenAI's API reference and its guide to rate limits; RFC 9112 for the little HTTP that it speaks.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from prytany.testing.limiters import LIMITERS, MINUTE_NS, Limiter

HEADER_BYTES_MAX = 64 << 10
BYTES_A_TOKEN = 4
WORD = "word "


@dataclass(frozen=True)
class Shape:
    """How it answers, and what it allows."""

    limiter: str = "sliding"
    requests: int = 0
    """A minute; any number where 0."""
    tokens: int = 0
    concurrency: int = 0
    first_ms: float = 50
    token_ms: float = 20
    shortest: int = 20
    """Tokens of an answer."""
    longest: int = 80
    seed: int = 1
    minute_ms: int = 60_000
    """How long its minute is."""
    tell: bool = True
    """A refusal says how long to wait."""
    headers: bool = True
    """Every answer says what the limits are."""


@dataclass
class Counts:
    """All that came, and what became of it."""

    requests: int = 0
    answered: int = 0
    refused: int = 0
    refused_crowded: int = 0
    """Of those, because too many were being answered."""
    bad: int = 0
    cut: int = 0
    """The client went away before the end."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    active_max: int = 0
    first_ns: int = 0
    last_ns: int = 0
    twice: int = 0
    """Requests whose body had been answered before."""
    seen: set[str] = field(default_factory=set)

    def shown(self, active: int) -> dict[str, Any]:
        """For people and programs."""
        counts = asdict(self)
        del counts["seen"]
        return {**counts, "active": active, "span_s": (self.last_ns - self.first_ns) / 1e9}


class Refusal(Exception):
    """An answer that is none."""

    def __init__(self, status: int, message: str, wait_ns: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.wait_ns = wait_ns


class Provider:
    """See the module."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.counts = Counts()
        self.active = 0
        window_ns = shape.minute_ms * 1_000_000
        scale = window_ns / MINUTE_NS
        make = LIMITERS[shape.limiter]
        self._limits: list[tuple[str, Limiter]] = [
            (what, make(max(1, round(limit * scale)), window_ns, largest))
            for what, limit, largest in (("requests", shape.requests, 1), ("tokens", shape.tokens, 4 * shape.longest))
            if limit
        ]
        self._conversations: set[asyncio.Task[None]] = set()

    async def listen(self, port: int = 0) -> asyncio.Server:
        """Begin."""
        return await asyncio.start_server(self._accept, "127.0.0.1", port, backlog=4_096, limit=HEADER_BYTES_MAX)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)

    async def close(self) -> None:
        """End every conversation."""
        conversations = list(self._conversations)
        for task in conversations:
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._exchange(reader, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # it went away, or speaks no HTTP
        finally:
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = await reader.readexactly(int(fields.get("content-length") or 0))
        method, path, _ = head[0].split(" ", 2)
        try:
            if path.endswith("/stats"):
                _write(writer, 200, json.dumps(self.counts.shown(self.active)).encode())
            elif method == "POST" and path.endswith("/chat/completions"):
                await self._chat(writer, body)
            else:
                raise Refusal(404, f"there is no {path}")
        except Refusal as refusal:
            self._refuse(writer, refusal)

    async def _chat(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        now_ns = time.monotonic_ns()
        self.counts.requests += 1
        self.counts.first_ns = self.counts.first_ns or now_ns
        self.counts.last_ns = now_ns
        try:
            asked = json.loads(body)
            prompt = max(1, len(json.dumps(asked["messages"], ensure_ascii=False).encode()) // BYTES_A_TOKEN)
            most = int(asked.get("max_tokens") or asked.get("max_completion_tokens") or self.shape.longest)
        except (ValueError, KeyError, TypeError):
            self.counts.bad += 1
            raise Refusal(400, "the body is no request") from None
        digest = hashlib.sha256(b"%d:" % self.shape.seed + body).digest()
        span = self.shape.longest - self.shape.shortest + 1
        completion = max(1, min(most, self.shape.shortest + int.from_bytes(digest[:8]) % span))
        self._admit({"requests": 1, "tokens": prompt + completion}, now_ns)
        self.active += 1
        self.counts.active_max = max(self.counts.active_max, self.active)
        self.counts.prompt_tokens += prompt
        try:
            await self._answer(writer, asked, prompt, completion)
        except OSError:
            self.counts.cut += 1
            raise
        finally:
            self.active -= 1
        self.counts.twice += digest.hex() in self.counts.seen
        self.counts.seen.add(digest.hex())
        self.counts.answered += 1
        self.counts.completion_tokens += completion

    def _admit(self, amounts: dict[str, int], now_ns: int) -> None:
        crowded = bool(self.shape.concurrency) and self.active >= self.shape.concurrency
        waits = [limiter.wait_ns(amounts[what], now_ns) for what, limiter in self._limits]
        if not crowded and not any(waits):
            for what, limiter in self._limits:
                limiter.take(amounts[what], now_ns)
            return
        self.counts.refused += 1
        self.counts.refused_crowded += crowded
        for what, limiter in self._limits:
            if what == "requests":
                limiter.take(1, now_ns)
        raise Refusal(429, "too many requests", max(waits, default=0))

    async def _answer(self, writer: asyncio.StreamWriter, asked: dict[str, Any], prompt: int, completion: int) -> None:
        shape, usage = self.shape, {"prompt_tokens": prompt, "completion_tokens": completion}
        loop = asyncio.get_running_loop()
        begun = loop.time() + shape.first_ms / 1_000
        model = str(asked.get("model", ""))
        if not asked.get("stream"):
            await asyncio.sleep(begun + (completion - 1) * shape.token_ms / 1_000 - loop.time())
            if writer.is_closing():
                raise ConnectionResetError
            choice = {
                "index": 0,
                "message": {"role": "assistant", "content": WORD * completion},
                "finish_reason": "stop",
            }
            answer = {"object": "chat.completion", "model": model, "choices": [choice], "usage": usage}
            _write(writer, 200, json.dumps(answer).encode(), self._headers())
            return
        _write(writer, 200, None, {**self._headers(), "content-type": "text/event-stream"})
        for number in range(completion):
            await asyncio.sleep(begun + number * shape.token_ms / 1_000 - loop.time())
            _chunk(writer, {"model": model, "choices": [{"index": 0, "delta": {"content": WORD}}]})
            await writer.drain()
        _chunk(writer, {"model": model, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (asked.get("stream_options") or {}).get("include_usage"):
            _chunk(writer, {"model": model, "choices": [], "usage": usage})
        _chunk(writer, None)

    def _headers(self) -> dict[str, str]:
        if not self.shape.headers:
            return {}
        limits = (("requests", self.shape.requests), ("tokens", self.shape.tokens))
        return {f"x-ratelimit-limit-{what}": str(limit) for what, limit in limits if limit}

    def _refuse(self, writer: asyncio.StreamWriter, refusal: Refusal) -> None:
        headers = self._headers()
        if refusal.wait_ns and self.shape.tell:
            headers["retry-after-ms"] = str(-(-refusal.wait_ns // 1_000_000))
            headers["retry-after"] = str(-(-refusal.wait_ns // 1_000_000_000))
        code = "rate_limit_exceeded" if refusal.status == 429 else None
        body = {"error": {"message": str(refusal), "type": "error", "code": code}}
        _write(writer, refusal.status, json.dumps(body).encode(), headers)


def _write(
    writer: asyncio.StreamWriter, status: int, body: bytes | None, headers: dict[str, str] | None = None
) -> None:
    length = {"transfer-encoding": "chunked"} if body is None else {"content-length": str(len(body))}
    fields = {"content-type": "application/json", **length, **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    writer.write(f"HTTP/1.1 {status} {'OK' if status == 200 else 'No'}\r\n{lines}\r\n".encode() + (body or b""))


def _chunk(writer: asyncio.StreamWriter, event: dict[str, Any] | None) -> None:
    """One event of a stream; None for its end."""
    data = b"data: %s\n\n" % (b"[DONE]" if event is None else json.dumps(event).encode())
    writer.write(b"%x\r\n%s\r\n" % (len(data), data) + (b"0\r\n\r\n" if event is None else b""))


async def serve(shape: Shape, port: int) -> None:
    """Until standard input ends."""
    provider = Provider(shape)
    server = await provider.listen(port)
    print(json.dumps({"base_url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()
    await provider.close()
    print(json.dumps(provider.counts.shown(provider.active)), flush=True)


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description="A provider to measure against.")
    parser.add_argument("--port", type=int, default=0)
    for name, default in asdict(Shape()).items():
        flag = "--" + name.replace("_", "-")
        if isinstance(default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=default)
        else:
            parser.add_argument(
                flag, type=type(default), default=default, choices=sorted(LIMITERS) if name == "limiter" else None
            )
    given = vars(parser.parse_args())
    port = given.pop("port")
    asyncio.run(serve(Shape(**given), port))


if __name__ == "__main__":
    main()
