"""Workers for these tests: a launcher whose workers run `runtime_probes.py`, and a question to one of them."""

from __future__ import annotations

import asyncio
import os
import select
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from prytany.runtime.confinement import Confinement
from prytany.runtime.launcher import Launcher, Register, WorkerHandle
from prytany.runtime.messages import WorkerSpec

PROBES_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "runtime_probes.py")
ENTRY = f"{PROBES_FILE}:main"
DEADLINE_S = 20
T = TypeVar("T")


def with_launcher(
    body: Callable[[Launcher], Awaitable[T]],
    *,
    unconfined: bool = False,
    entry: str = ENTRY,
    roster: Register | None = None,
) -> T:
    """Run `body` with a launcher of its own, under a deadline; end everything afterwards."""

    async def run() -> T:
        launcher = Launcher(sys.executable, unconfined=unconfined, entry=entry, roster=roster)
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await body(launcher)
        finally:
            await launcher.close()

    return asyncio.run(run())


def spec(*read_only: str) -> WorkerSpec:
    """A worker that is granted these paths."""
    return WorkerSpec(confinement=Confinement(read_only=read_only))


async def tell(handle: WorkerHandle, name: str, argument: str = "") -> None:
    """Ask for a probe without an answer."""
    await asyncio.get_running_loop().sock_sendall(handle.sock, msgspec.msgpack.encode((name, argument)))


async def ask(handle: WorkerHandle, name: str, argument: str = "") -> object:
    """A probe's errno, or a fact."""
    await tell(handle, name, argument)
    data = await asyncio.get_running_loop().sock_recv(handle.sock, 65_536)
    assert data, f"the worker ended at {name}: {printed(handle)}"
    return msgspec.msgpack.decode(data)


def printed(handle: WorkerHandle) -> str:
    """What it has printed so far."""
    try:
        return os.read(handle.output_fd, 1 << 16).decode(errors="replace")
    except BlockingIOError:
        return ""


def release(*handles: WorkerHandle) -> None:
    """Close what a holder has to close."""
    for handle in handles:
        handle.sock.close()
        os.close(handle.output_fd)


def wait_ended(pidfd: int) -> bool:
    """Whether the process behind the descriptor ends before the deadline."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(DEADLINE_S * 1000))
