"""A connection to a running kernel: questions out, answers back by their numbers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

import msgspec

from prytany.abi import control
from prytany.abi.errors import Eacces, Eagain, Ebusy, Einval, Eio, Epipe, Etimedout, KernelError, error_of
from prytany.abi.limits import CONTROL_REQUEST_BYTES_MAX
from prytany.abi.wire import LENGTH_BYTES, UNREADABLE, FrameReader
from prytany.client.holder import Holder
from prytany.system.control import socket_address

ANSWER_S = 30.0
"""How long a kernel may take to answer what it need not wait for; one that is stopped never does."""
SILENT_S = 3.0
"""After how long without an answer its asker is told."""
STOPPED_S = 5.0
"""How long one that is stopped may take to answer a look; what was commanded it does when it goes on."""


Look = (
    control.GetStatus | control.ListProcesses | control.InspectProcess | control.ListIncidents | control.ListNotices
    | control.ListSessions | control.ListFleets | control.SchedulingLook | control.SharingLook | control.TopicsLook
    | control.ReadEvents
)  # fmt: skip
"""What changes nothing."""


class Locked(Exception):
    """The home cannot be steered now; what it holds is the errno that says so."""

    def __init__(self, error: Ebusy) -> None:
        super().__init__(error)
        self.error = error


async def connect(folder_fd: int) -> Link | None:
    """A connection to the kernel that runs in the open home, or None when none runs.

    Raises:
        Eacces: it belongs to somebody else.
        Eagain: it takes no more connections now.
        Eio: its socket cannot be used.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        sock.connect(socket_address(folder_fd))
        _, link = await asyncio.get_running_loop().create_unix_connection(Link, sock=sock)
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except PermissionError:
        sock.close()
        raise Eacces("the kernel's control socket belongs to somebody else") from None
    except BlockingIOError:
        sock.close()
        raise Eagain("the kernel takes no more connections now") from None
    except OSError as error:
        sock.close()
        raise Eio(f"the kernel's control socket cannot be used: {error.strerror}") from error
    return link


class Link(asyncio.Protocol):
    """See the module."""

    def __init__(self) -> None:
        self._frames = FrameReader()
        self._transport: asyncio.WriteTransport | None = None
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._last_n = 0
        self._holder: Callable[[], Holder] = lambda: Holder(0, False)
        self._on_silence: Callable[[Holder], None] = lambda holder: None
        self._gone: KernelError | None = None
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def whose(self, holder: Callable[[], Holder], on_silence: Callable[[Holder], None]) -> None:
        """Know who is to answer, and call `on_silence` where no answer comes for a while that should."""
        self._holder, self._on_silence = holder, on_silence

    @property
    def open(self) -> bool:
        """Whether anything can be asked."""
        return self._gone is None

    async def ask(self, command: control.Command) -> msgspec.Raw:
        """The packed answer to `command`.

        Raises:
            KernelError: as the kernel says.
            Epipe: the kernel went away; whether the command was carried out is for the next look to say.
            Etimedout: the kernel does not answer.
        """
        if self._gone is not None or self._transport is None:
            raise self._gone or Epipe("not connected")
        self._last_n = n = self._last_n + 1
        try:
            message = control.encode_message((n, command))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise Einval(f"the command cannot be sent: {error}") from None
        if len(message) - LENGTH_BYTES > CONTROL_REQUEST_BYTES_MAX:
            raise Einval(f"the command has {len(message)} bytes; {CONTROL_REQUEST_BYTES_MAX} are the most")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[n] = answer
        self._transport.write(message)
        loop, bounded = asyncio.get_running_loop(), not isinstance(command, control.Unbounded)

        def silent() -> None:
            holder = self._holder()
            if bounded or holder.stopped:
                self._on_silence(holder)
            if holder.stopped and isinstance(command, Look):
                limit.reschedule(loop.time() + STOPPED_S - SILENT_S)

        telling = loop.call_later(SILENT_S, silent)
        try:
            async with asyncio.timeout(ANSWER_S if bounded else None) as limit:
                return msgspec.Raw(await answer)
        except TimeoutError:
            raise _unanswered(self._holder()) from None
        finally:
            telling.cancel()
            self._asked.pop(n, None)

    async def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()
            await self._closed

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Answers."""
        try:
            for body in self._frames.feed(data):
                self._on_reply(control.decode_reply(body))
        except (*UNREADABLE, KernelError) as error:
            self._fail(Eio(f"what answers on the control socket is no kernel of this version: {error}"))
            if self._transport is not None:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing will be answered any more."""
        self._fail(Epipe("the kernel went away"))
        if not self._closed.done():
            self._closed.set_result(None)

    def _on_reply(self, reply: control.Reply) -> None:
        error: KernelError | None = None
        if reply.errno:
            message, detail = msgspec.msgpack.decode(reply.value, type=tuple[str, dict[str, Any]])
            advice = detail.pop(control.NEXT, ())
            error = error_of(reply.errno, message, detail=detail)
            for line in advice if isinstance(advice, list) else ():  # pyright: ignore[reportUnknownVariableType]
                error.add_note(str(line))  # pyright: ignore[reportUnknownArgumentType]
        if reply.n == 0:
            self._fail(error or Eio("the kernel hung up"))
            if self._transport is not None:
                self._transport.close()
            return
        answer = self._asked.get(reply.n)
        if answer is None or answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(bytes(reply.value))

    def _fail(self, error: KernelError) -> None:
        self._gone = self._gone or error
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(self._gone)


def _unanswered(holder: Holder) -> Etimedout:
    if not holder.stopped:
        return Etimedout("the kernel does not answer", detail={"pid": holder.os_pid})
    error = Etimedout("the kernel does not answer: it is stopped", detail={"pid": holder.os_pid})
    error.add_note(f"let it go on with: kill -CONT {holder.os_pid}")
    return error
