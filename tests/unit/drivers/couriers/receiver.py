"""A receiver of webhooks on a loopback port that answers as a test says. It speaks as little HTTP as that takes."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Self

import msgspec

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Receiver:
    """Listens while its `async with` lasts. `answers` are given one a request, then `always`; None hangs, and b"" hangs
    up."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.answers: list[bytes | None] = []
        self.always: bytes | None = OK
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.endless = b""
        """Sent again and again after an answer, until the other end has had enough."""
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._came = asyncio.Condition()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/hook"

    async def wait_requests(self, count: int) -> None:
        async with self._came:
            await self._came.wait_for(lambda: len(self.requests) >= count)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.requests.append((head[0], headers, msgspec.json.decode(body)))
            async with self._came:
                self._came.notify_all()
            said = self.answers.pop(0) if self.answers else self.always
            if said is None:
                await asyncio.get_running_loop().create_future()
            else:
                writer.write(said)
                await writer.drain()
                while self.endless:
                    writer.write(self.endless)
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
