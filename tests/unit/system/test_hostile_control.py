"""Anything at all on the control socket: no exception, bounded memory, an honest client is answered all the while, and
what runs is told nothing of it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import typing
from contextlib import suppress
from pathlib import Path
from random import Random  # noqa: TID251 seeded
from typing import Any

import msgspec
import pytest

from prytany.abi import control, limits
from prytany.client.client import Client
from prytany.system.control import BACKLOG, ControlServer
from prytany.system.desk import Desk, Facts
from prytany.userland.process import Process
from tests.simulation import hostile_frames as hostile
from tests.simulation.steered import Home, Steered
from tests.unit.kernel.puppets import one_turn

TAGS = sorted(str(command.__struct_config__.tag) for command in typing.get_args(control.Command))
COMMANDS = (*(tag for tag in TAGS if tag != "freeze"), "no such", "")
"""All that there are, but for the one that stops honest processes too."""
READ_BYTES = 1 << 18
"""That a transport reads at once, at most."""
SETTLED_TURNS = 6


async def mayor(proc: Process) -> str:
    """Calls as long as it is told to."""
    while (await proc.calls.message_receive(0))["type"] != "end":
        await proc.nop()
    return "came through"


async def idle(proc: Process) -> None:
    await proc.calls.message_receive(0)


def request(rng: Random, n: int) -> bytes:
    """A request, or nearly; whatever it names is no honest process."""
    name: Any = rng.choice(COMMANDS) if rng.random() < 0.95 else hostile.value(rng)
    arguments = [
        rng.choice((0, 1, 2, 9, 9, 15)) if rng.random() < 0.5 else hostile.value(rng) for _ in range(rng.randrange(5))
    ]
    body = b"\x92" + msgspec.msgpack.encode(n) + msgspec.msgpack.encode([name, *arguments])
    if rng.random() < 0.03:
        body = body[:-1] + hostile.nested(rng)
    if rng.random() < 0.05:
        return hostile.garbage(rng)
    if rng.random() < 0.1:
        return hostile.framed(body)[: rng.randrange(1, 12)]
    if rng.random() < 0.02:
        return (limits.CONTROL_REQUEST_BYTES_MAX + 1).to_bytes(4, "little") + body
    return hostile.framed(body)


class Hostiles:
    """Many peers."""

    def __init__(self, rng: Random, folder_fd: int) -> None:
        self._rng, self._folder_fd = rng, folder_fd
        self.socks: list[socket.socket] = []

    def act(self) -> None:
        rng = self._rng
        if not self.socks or (len(self.socks) < 100 and rng.random() < 0.3):
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            self.socks.append(sock)
            with suppress(OSError):
                sock.connect(f"/proc/self/fd/{self._folder_fd}/control")
            return
        sock = rng.choice(self.socks)
        with suppress(OSError):
            match rng.randrange(30):
                case 0:
                    self.socks.remove(sock)
                    sock.close()
                case 1:
                    sock.shutdown(rng.choice([socket.SHUT_WR, socket.SHUT_RD, socket.SHUT_RDWR]))
                case 2:
                    sock.send(request(rng, 1) * 300)  # and its answers are not read
                case 3 | 4 | 5 | 6:
                    sock.recv(1 << 16)
                case _:
                    sock.send(request(rng, rng.choice([1, 2, 3, 0, -1, 1 << 63])))


def check(server: ControlServer) -> None:
    assert len(server._connections) <= limits.CONTROL_CONNECTIONS_MAX
    assert len(server._leaving) <= limits.CONTROL_CONNECTIONS_MAX + BACKLOG  # those that were aborted in this turn
    for connection in (*server._connections, *server._leaving):
        assert len(connection._frames._rest) <= limits.CONTROL_REQUEST_BYTES_MAX + READ_BYTES
        assert len(connection.requests) <= limits.CONTROL_REQUESTS_MAX
        assert connection._transport is not None
        assert connection._transport.get_write_buffer_size() <= limits.CONTROL_OUTPUT_BYTES_MAX + READ_BYTES


async def attacked(kernel: Steered, folder: Path, rng: Random, rounds: int) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    for name in ("idle", "idle", "idle", "mayor"):
        honest = kernel.spawn(name)
    assert honest == 4  # no request names that number
    folder_fd = os.open(folder, os.O_RDONLY)
    server = ControlServer(Desk(kernel.kernel, Facts("test", 1, str(folder), True, 8)), folder_fd)
    await server.start()
    hostiles = Hostiles(rng, folder_fd)
    for number in range(rounds):
        hostiles.act()
        if rng.random() < 0.5:
            await one_turn()
        check(server)
        assert not told, told
        if number % 100 == 0:
            kernel.kernel.operator.send(honest, "go", {}, uid=0)
            client = Client(folder, os.dup(folder_fd))
            assert (await client.status()).processes >= 1
            assert honest in [row.pid for row in await client.ps()]
            await client.close()
    kernel.kernel.operator.send(honest, "end", {}, uid=0)
    assert (await kernel.ended(honest))["result"] == "came through"
    for sock in hostiles.socks:
        sock.close()
    for _ in range(SETTLED_TURNS):
        await one_turn()
    await server.close()
    os.close(folder_fd)
    assert not server._connections
    assert not server._leaving
    assert kernel.kernel.ledger.journal.failure is None
    assert not [key for key in kernel.kernel.table.incidents if ":fault:" in key]
    assert not told, told


def attack(folder: Path, seed: int, rounds: int) -> None:
    print(f"seed {seed}")

    async def life() -> None:
        async with Home({"mayor": mayor, "idle": idle}, pledge=("ipc", "proc")).life() as kernel:
            await asyncio.wait_for(attacked(kernel, folder, Random(seed), rounds), 120)

    asyncio.run(life())


@pytest.mark.parametrize("seed", range(3))
def test_requests_of_any_kind_harm_nobody_else(tmp_path: Path, seed: int) -> None:
    attack(tmp_path, seed, 600)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 1_010))
def test_requests_of_any_kind_harm_nobody_else_in_the_long_run(tmp_path: Path, seed: int) -> None:
    attack(tmp_path, seed, 5_000)
