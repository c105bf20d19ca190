"""A worker that does not keep to userland's bounds is ended, and what it sent reaches nobody."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from prytany.abi import limits, wire
from prytany.ports.runner import Call
from prytany.runtime import confined


class Handle:
    """A worker's handle, of a worker that this test plays."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.output_fd, self.printed_fd = os.pipe()
        self.os_pid, self.start_time = 1, 1
        self.exited: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class Launcher:
    def __init__(self) -> None:
        self.killed = asyncio.get_running_loop().create_future()

    def kill(self, handle: Handle) -> None:
        if not self.killed.done():
            self.killed.set_result(None)


class Host:
    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.taken = asyncio.get_running_loop().create_future()

    def on_frame(self, pid: int, delivered: int, calls: Sequence[Call]) -> None:
        self.calls += calls
        if not self.taken.done():
            self.taken.set_result(None)


async def sent(calls: list[bytes]) -> tuple[bool, list[Call]]:
    """Whether the worker that sent this frame was ended, and which calls came through."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    handle, launcher, host = Handle(ours), Launcher(), Host()
    some: Any = (handle, 7, host, launcher, lambda pid, data: None)
    confined.ConfinedWorker(*some)
    await asyncio.get_running_loop().sock_sendall(theirs, wire.join_frame(1, calls))
    await asyncio.wait([launcher.killed, host.taken], return_when=asyncio.FIRST_COMPLETED)
    loop = asyncio.get_running_loop()
    loop.remove_reader(ours)
    loop.remove_reader(handle.output_fd)
    for end in (ours, theirs):
        end.close()
    os.close(handle.output_fd)
    os.close(handle.printed_fd)
    return launcher.killed.done(), host.calls


def call_of(size_bytes: int) -> bytes:
    return msgspec.msgpack.encode((1, "nop", (bytes(size_bytes),)))


@pytest.mark.parametrize(("size_bytes", "ended"), [
    (limits.ARGUMENT_BYTES_MAX - 64, False), (limits.ARGUMENT_BYTES_MAX, True),
])  # fmt: skip
def test_arguments_are_bounded(size_bytes: int, ended: bool) -> None:
    killed, calls = asyncio.run(sent([call_of(size_bytes)]))
    assert killed == ended
    assert len(calls) == (0 if ended else 1)


@pytest.mark.parametrize(("count", "ended"), [(limits.FRAME_CALLS_MAX, False), (limits.FRAME_CALLS_MAX + 1, True)])
def test_calls_in_a_frame_are_bounded(count: int, ended: bool) -> None:
    killed, calls = asyncio.run(sent([call_of(1)] * count))
    assert killed == ended
    assert len(calls) == (0 if ended else count)


@pytest.mark.parametrize("odd", [b"\x93\x01\xa2\xff\xff\x90", b"\x81\x80\x01", b"\x93\x01\xa3nop" + b"\x91" * 99_000])
def test_what_is_no_call_ends_its_worker_and_nobody_else(odd: bytes) -> None:
    killed, calls = asyncio.run(sent([odd]))
    assert (killed, calls) == (True, [])
