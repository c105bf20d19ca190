"""The control socket: operators' commands to a running kernel.

It lies in the home, 0700, as `control`, 0600, and serves the home's owner and root, by the peer's uid as the operating
system knows it. Agents cannot reach it: they may neither open a socket nor see the home.

A peer that sends garbage, sends half a message, never reads or comes a thousand times costs a bounded amount and ends
with its connection closed: connections, requests in flight, a request's bytes and unread answers all have a bound, and
where the connections are at theirs, the one that has been idle longest makes room.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
from collections.abc import Generator
from typing import Any, cast

import msgspec

from prytany.abi import control, limits
from prytany.abi.errors import Eacces, Eagain, Einval, Eio, Epipe, KernelError
from prytany.abi.wire import UNREADABLE, FrameReader
from prytany.system.desk import Desk

BACKLOG = 128
SAID_CHARS_MAX = 300
GOODBYE_S = 2.0
"""How long last words may take to leave."""
_TURNS = 4
"""Of the loop, in which a connection becomes one that is known here."""
_UCRED = struct.Struct("3i")


def socket_address(folder_fd: int) -> str:
    """The socket's name in an open home: a path of any length fits, and it is the folder that was checked."""
    return f"/proc/self/fd/{folder_fd}/{control.SOCKET}"


def peer_uid(sock: socket.socket) -> int:
    """Who is at the other end."""
    return int(_UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))[1])


class _Turn:
    """Awaited, it lets the loop do everything else that is due."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class ControlServer:
    """Listens in one home until `close`."""

    def __init__(self, desk: Desk, folder_fd: int) -> None:
        self.desk = desk
        self._folder_fd = folder_fd
        self._allowed = {0, os.fstat(folder_fd).st_uid}
        self._server: asyncio.Server | None = None
        self._connections: dict[Connection, None] = {}
        """All that are served; the one that was busy last comes last."""
        self._leaving: set[Connection] = set()
        self.stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Listen. Whoever holds the home's lock is its kernel: a socket that lies there is a dead one's.

        Raises:
            Eio: no socket can be made there.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            self._remove()
            os.fchmod(sock.fileno(), 0o600)  # the mode of what bind makes
            sock.bind(socket_address(self._folder_fd))
            sock.listen(BACKLOG)
            self._server = await asyncio.get_running_loop().create_unix_server(lambda: Connection(self), sock=sock)
        except KernelError:
            sock.close()
            raise
        except OSError as error:
            sock.close()
            raise Eio(f"cannot listen for commands in the home: {error.strerror}") from error

    def _remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(control.SOCKET, dir_fd=self._folder_fd, follow_symlinks=False)
            if not stat.S_ISSOCK(found.st_mode):
                raise Eio(f"{control.SOCKET!r} in the home is not a socket; move it away")
            os.unlink(control.SOCKET, dir_fd=self._folder_fd)

    async def close(self) -> None:
        """Take no more, answer what is under way, and remove the socket."""
        if self._server is None:
            return
        server, self._server = self._server, None
        with contextlib.suppress(OSError, Eio):
            self._remove()
        self.stopping.set_result(None)
        # Who connected before that is hung up on: asyncio forgets what it has accepted and not handed over, and leaves
        # its socket open, when a server is closed in between.
        for _ in range(_TURNS):
            await _Turn()
        server.close()
        for connection in list(self._connections):
            connection.say_goodbye()
        for connection in list(self._leaving):
            connection.abort()
        await self._gone()
        for connection in (*self._connections, *self._leaving):
            connection.abort()
        await self._gone()

    async def _gone(self) -> None:
        if closing := [c.closed for c in (*self._connections, *self._leaving)]:
            await asyncio.wait(closing, timeout=GOODBYE_S)

    async def until_stopping(self, command: control.Unbounded, uid: int) -> bytes:
        """The answer of a command that takes as long as it takes; raises Epipe when the kernel stops first."""
        answer = asyncio.ensure_future(self.desk.answer(command, uid))
        try:
            first: list[asyncio.Future[Any]] = [answer, self.stopping]
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            raise Epipe("the kernel stops; what it ran goes on when it is resumed")
        finally:
            answer.cancel()

    def admit(self, connection: Connection, uid: int) -> None:
        """Take a connection in; raises Eacces, Eagain or Epipe."""
        if self.stopping.done():
            raise Epipe("the kernel stops")
        if uid not in self._allowed:
            raise Eacces(f"uid {uid} is neither the home's owner nor root")
        if len(self._connections) >= limits.CONTROL_CONNECTIONS_MAX:
            idle = next((c for c in self._connections if not c.requests), None)
            if idle is None:
                raise Eagain(f"{limits.CONTROL_CONNECTIONS_MAX} connections are open, and all of them wait")
            idle.refuse(Eagain("idle for longest, and others want to connect"))
        self._connections[connection] = None

    def touch(self, connection: Connection) -> None:
        """It is busy."""
        if self._connections.pop(connection, True) is None:
            self._connections[connection] = None

    def leave(self, connection: Connection) -> bool:
        """It is served no more, and has only its last words to hear; False where too many are at that."""
        self._connections.pop(connection, None)
        self._leaving.add(connection)
        return len(self._leaving) <= limits.CONTROL_CONNECTIONS_MAX

    def forget(self, connection: Connection) -> None:
        """It is gone."""
        self._connections.pop(connection, None)
        self._leaving.discard(connection)


class Connection(asyncio.Protocol):
    """One peer."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._frames = FrameReader(limits.CONTROL_REQUEST_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._uid = -1
        self._leaving = False
        self.requests: set[asyncio.Task[None]] = set()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or say why not."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are of no class that says so
        try:
            self._uid = peer_uid(transport.get_extra_info("socket"))
            self._server.admit(self, self._uid)
        except KernelError as error:
            self.refuse(error)

    def data_received(self, data: bytes) -> None:
        """Requests, whole or in parts."""
        if self._leaving:
            return
        try:
            for body in self._frames.feed(data):
                self._on_request(body)
        except KernelError as error:
            self.refuse(error)

    def pause_writing(self) -> None:
        """It does not take its answers: no more questions are read."""
        assert self._transport is not None
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It took them."""
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there to be answered."""
        for request in self.requests:
            request.cancel()
        self._server.forget(self)
        if not self.closed.done():
            self.closed.set_result(None)

    # Its own.

    def _on_request(self, body: bytes) -> None:
        try:
            envelope = control.decode_envelope(body)
        except UNREADABLE:
            raise Einval("that is no request") from None
        if envelope.n < 1:
            raise Einval("requests are numbered from 1")
        if len(self.requests) >= limits.CONTROL_REQUESTS_MAX:
            self._send(envelope.n, Eagain(f"{limits.CONTROL_REQUESTS_MAX} requests are in flight"))
            return
        try:
            command = control.decode_command(envelope.command)
        except UNREADABLE as error:
            said = str(error)[:SAID_CHARS_MAX]  # it quotes what was sent
            self._send(envelope.n, Einval(f"{control.UNKNOWN}, or not with these arguments: {said}"))
            return
        self._server.touch(self)
        request = asyncio.ensure_future(self._answer(envelope.n, command))
        self.requests.add(request)
        request.add_done_callback(self._done)

    def _done(self, request: asyncio.Task[None]) -> None:
        self.requests.discard(request)
        if self._server.stopping.done():
            self.say_goodbye()

    async def _answer(self, n: int, command: control.Command) -> None:
        try:
            if isinstance(command, control.Unbounded):
                self._send(n, await self._server.until_stopping(command, self._uid))
            else:
                self._send(n, await self._server.desk.answer(command, self._uid))
        except KernelError as error:
            self._send(n, error)
        except Exception as error:  # a bug of ours: it is reported, and its asker does not wait for ever
            self._send(n, Eio(f"the kernel failed: {type(error).__name__}"))
            context = {"message": "a command failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def _send(self, n: int, answer: bytes | KernelError) -> None:
        transport = self._transport
        if transport is None or transport.is_closing() or (self._leaving and n):
            return
        if isinstance(answer, KernelError):
            advice = getattr(answer, "__notes__", ())  # what is to be done about it, for whoever asked
            detail = {**answer.detail, control.NEXT: list(advice)} if advice else answer.detail
            message = (n, answer.errno, [answer.message, detail])
            transport.write(control.encode_message(message))
        else:
            transport.write(control.encode_message((n, "", msgspec.Raw(answer))))
        if transport.get_write_buffer_size() > limits.CONTROL_OUTPUT_BYTES_MAX:
            self.abort()

    def refuse(self, error: KernelError) -> None:
        """Say what is wrong with the connection, and end it.

        What it still sends is read and dropped for a while: a socket that is closed over unread bytes takes the last
        words with it.
        """
        self._leaving = True
        self._send(0, error)
        transport = self._transport
        if not self._server.leave(self):
            self.abort()
        elif transport is not None and not transport.is_closing():
            for request in self.requests:
                request.cancel()
            transport.write_eof()
            asyncio.get_running_loop().call_later(GOODBYE_S, transport.abort)

    def say_goodbye(self) -> None:
        """End it when all its requests are answered."""
        if not self.requests:
            self._leaving = True
            if self._transport is not None:
                self._transport.close()

    def abort(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()
