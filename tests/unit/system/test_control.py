"""The control socket: what it answers, to whom, and what a hostile or slow peer costs."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop

from prytany.abi import control, limits
from prytany.abi.errors import Eacces, Eagain, Einval, Eio, Enoent, Epipe, Esrch
from prytany.abi.signals import Signal
from prytany.client import Client
from prytany.client.client import Client as AttachedClient
from prytany.client.link import connect
from prytany.system import control as served
from prytany.system.control import ControlServer
from prytany.system.desk import Desk, Facts
from prytany.userland.process import Process
from tests.simulation.steered import Home, Steered


async def ask(proc: Process) -> str:
    return await proc.llm("may I?")


async def greet(proc: Process) -> str:
    return "here"


async def crowd(proc: Process) -> None:
    pids = [await proc.spawn("greet") for _ in range(700)]
    for pid in pids:
        await proc.wait(pid)


class Served:
    """A kernel whose control socket lies in `folder`."""

    def __init__(self, kernel: Steered, server: ControlServer, folder: Path) -> None:
        self.kernel, self.server, self.folder = kernel, server, folder
        self.socks: list[socket.socket] = []

    async def waiting(self) -> int:
        """The pid of a process that waits for a person."""
        pid = self.kernel.spawn("ask")
        await self.kernel.incident(pid, 1)
        return pid

    def client(self) -> Client:
        return AttachedClient(self.folder, os.open(self.folder, os.O_RDONLY))

    def raw(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        fd = os.open(self.folder, os.O_RDONLY)
        sock.connect(f"/proc/self/fd/{fd}/control")
        os.close(fd)
        sock.setblocking(False)
        self.socks.append(sock)
        return sock

    async def said(self, sock: socket.socket) -> tuple[int, str, Any]:
        """The next answer on a raw connection."""
        size = int.from_bytes(await self._exactly(sock, 4), "little")
        return msgspec.msgpack.decode(await self._exactly(sock, size), type=tuple[int, str, Any])

    async def _exactly(self, sock: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = await asyncio.get_running_loop().sock_recv(sock, size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    async def hung_up(self, sock: socket.socket) -> bool:
        try:
            while await asyncio.get_running_loop().sock_recv(sock, 1 << 16):
                pass
        except ConnectionResetError:
            return True
        return True

    async def well(self) -> None:
        """Others are served."""
        client = self.client()
        assert (await client.status()).version == "test"
        await client.close()


def serve(folder: Path, test: Callable[[Served], Awaitable[None]], places: int = 8) -> None:
    @asynccontextmanager
    async def served_life() -> AsyncIterator[Served]:
        async with Home({"ask": ask, "greet": greet, "crowd": crowd}, places=places).life() as kernel:
            folder_fd = os.open(folder, os.O_RDONLY)
            server = ControlServer(Desk(kernel.kernel, Facts("test", 1, str(folder), True, 8)), folder_fd)
            await server.start()
            it = Served(kernel, server, folder)
            try:
                yield it
            finally:
                await server.close()
                for sock in it.socks:
                    sock.close()
                os.close(folder_fd)

    async def life() -> None:
        async with served_life() as it:
            await asyncio.wait_for(test(it), 10)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(life())


def test_a_person_looks_at_and_steers_a_running_kernel(tmp_path: Path) -> None:
    async def test(it: Served) -> None:
        pid = await it.waiting()
        client = it.client()
        status = await client.status()
        assert (status.processes, status.running, status.incidents) == (1, 1, 1)
        assert [(r.pid, r.state, r.reason) for r in await client.ps()] == [(pid, "waiting", "a person: bad_key")]
        assert [(r.pid, r.n, r.kind, r.call) for r in await client.incidents()] == [(pid, 1, "bad_key", "model_chat")]
        found = await client.inspect(pid)
        assert [(o.n, o.call, o.doubt) for o in found.open] == [(1, "model_chat", False)]
        assert found.now_ns >= found.open[0].opened_ns >= found.started_ns > 0
        assert found.limits["calls_in_flight"] == limits.CALLS_IN_FLIGHT_MAX
        waiting = asyncio.ensure_future(client.wait(pid))
        await client.settle(pid, 1, "give", "said")
        ended = await waiting
        assert (ended.status, ended.result) == (0, "said")
        with pytest.raises(Enoent):
            await client.settle(pid, 1, "retry")
        with pytest.raises(Esrch):
            await client.signal(pid, Signal.TERM)
        for command in (client.inspect(99), client.wait(99), client.signal(-1, 9)):
            with pytest.raises(Esrch):
                await command
        await client.close()

    serve(tmp_path, test)


def test_a_kill_is_answered_when_it_is_durable_and_carries_the_peers_uid(tmp_path: Path) -> None:
    async def test(it: Served) -> None:
        pid = await it.waiting()
        client = it.client()
        with pytest.raises(Einval):
            await client.signal(pid, 64)
        await client.signal(pid, Signal.KILL)
        journal = it.kernel.kernel.ledger.journal
        assert journal.durable == journal.head.seq
        assert (await client.wait(pid)).signal == Signal.KILL
        row = it.kernel.kernel.reader.row(journal.head.seq)
        assert row is not None
        assert f"signal {Signal.KILL}".encode() in row.record
        await client.close()

    serve(tmp_path, test)


def test_more_processes_than_one_answer_holds_are_all_listed_and_the_end_of_a_reaped_child_is_told(
    tmp_path: Path,
) -> None:
    async def test(it: Served) -> None:
        client = it.client()
        root = it.kernel.spawn("crowd")
        await it.kernel.until(lambda: len(it.kernel.kernel.table.processes) > 600)
        rows = await client.ps()
        assert [row.pid for row in rows] == sorted(row.pid for row in rows)
        assert len(rows) > control.ROWS_MAX
        last = rows[-1].pid
        assert (await client.wait(last)).result == "here"
        await client.wait(root)
        with pytest.raises(Esrch):
            await client.wait(last)
        await client.close()

    serve(tmp_path, test)


def test_the_socket_is_the_owners_alone_and_goes_with_the_kernel(tmp_path: Path) -> None:
    async def test(it: Served) -> None:
        found = os.lstat(tmp_path / "control")
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o600

    serve(tmp_path, test)
    assert not (tmp_path / "control").exists()


def test_a_home_with_a_path_longer_than_a_socket_address_is_served(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120) / ("y" * 120)
    folder.mkdir(parents=True)
    serve(folder, lambda it: it.well())


def test_a_dead_kernels_socket_is_replaced_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "control"))
    dead.close()
    serve(tmp_path, lambda it: it.well())
    (tmp_path / "control").write_text("mine")
    with pytest.raises(Eio):
        serve(tmp_path, lambda it: it.well())
    assert (tmp_path / "control").read_text() == "mine"


def test_a_peer_of_another_user_is_told_so_and_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(it: Served) -> None:
        monkeypatch.setattr(served, "peer_uid", lambda sock: os.getuid() + 1)
        sock = it.raw()
        n, errno, value = await it.said(sock)
        assert (n, errno) == (0, "EACCES")
        assert str(os.getuid() + 1) in value[0]
        assert await it.hung_up(sock)
        client = it.client()
        with pytest.raises(Eacces):
            await client.status()
        await client.close()

    serve(tmp_path, test)


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "little") + body


pack = msgspec.msgpack.encode


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        (100 << 20).to_bytes(4, "little"),
        framed(b""),
        framed(b"\xc1\xff\x00"),
        framed(pack(7)),
        framed(pack([])),
        framed(pack(["one", ["status"]])),
        framed(pack([1])),
        framed(pack([0, ["status"]])),
        framed(pack([-1, ["status"]])),
        framed(b"\x92\x01" + b"\x91" * 100_000 + b"\xc0"),
    ],
)
def test_what_is_no_request_is_told_so_and_hung_up_on(tmp_path: Path, sent: bytes) -> None:
    async def test(it: Served) -> None:
        sock = it.raw()
        sock.send(sent)
        n, errno, _ = await it.said(sock)
        assert (n, errno) == (0, "EINVAL")
        assert await it.hung_up(sock)
        await it.well()

    serve(tmp_path, test)


@pytest.mark.parametrize(
    "command",
    [
        msgspec.Raw(b"\x91\xa2\xff\xfe"),
        msgspec.Raw(b"\x95\xa6settle\x01\x01\xa4give\xa1\xff"),
        ["explode"],
        ["inspect"],
        ["inspect", "1"],
        ["signal", 1],
        ["settle", 1, 1],
        ["settle", 1, 1, 7],
        ["forget"],
        ["forget", "1"],
        ["send", 1],
        ["send", 1, 7, None],
        ["upgrade", None],
        ["follow", None],
        {},
        None,
        3,
        [],
    ],
)
def test_a_command_that_is_none_is_refused_by_its_number_and_the_next_is_answered(
    tmp_path: Path, command: object
) -> None:
    async def test(it: Served) -> None:
        sock = it.raw()
        sock.send(framed(pack([5, command])) + framed(pack([6, ["status", "of a newer client"]])))
        assert (await it.said(sock))[:2] == (5, "EINVAL")
        assert (await it.said(sock))[:2] == (6, "")

    serve(tmp_path, test)


def test_half_a_request_and_a_connection_that_is_cut_harm_nobody(tmp_path: Path) -> None:
    async def test(it: Served) -> None:
        pid = await it.waiting()
        half = it.raw()
        half.send(framed(pack([1, ["status"]]))[:-2])
        cut = it.raw()
        cut.send(framed(pack([1, ["wait", pid]])) * 3)
        await it.well()
        cut.close()
        while it.kernel.kernel.reactions.ended:  # each look lets the loop turn once
            await it.well()
        half.send(framed(pack([1, ["status"]]))[-2:])
        assert (await it.said(half))[:2] == (1, "")
        half.close()

    serve(tmp_path, test)


def test_whoever_follows_is_told_of_the_next_durable_entry_and_of_the_kernels_end(tmp_path: Path) -> None:
    async def test(it: Served) -> None:
        client = it.client()
        ledger = it.kernel.kernel.ledger
        await it.waiting()
        assert await client.wait_entry(-1) == ledger.journal.durable
        last = ledger.journal.head.seq
        following = asyncio.ensure_future(client.wait_entry(last))
        gone = it.raw()
        gone.send(framed(pack([1, ["follow", last]])) * 3)
        while len(ledger.followers) < 4:
            await it.well()
        gone.close()
        while len(ledger.followers) > 1:  # who hung up is not told
            await it.well()
        await it.waiting()
        assert last < await following <= ledger.journal.durable
        endless = asyncio.ensure_future(client.wait_entry((1 << 63) - 1))
        while not ledger.followers:
            await it.well()
        closing = asyncio.ensure_future(it.server.close())
        with pytest.raises(Epipe):
            await endless
        await closing
        assert ledger.followers == []
        await client.close()

    serve(tmp_path, test)


def test_who_sends_garbage_after_a_question_is_answered_nothing_more(tmp_path: Path) -> None:
    async def test(it: Served) -> None:
        pid = await it.waiting()
        sock = it.raw()
        sock.send(framed(pack([1, ["wait", pid]])) + framed(pack([2, ["status"]])) + b"\xff" * 8)
        assert (await it.said(sock))[:2] == (0, "EINVAL")
        assert await it.hung_up(sock)
        it.kernel.settle(pid, 1, "give", "x")
        await it.kernel.ended(pid)
        await it.well()

    serve(tmp_path, test)


def test_too_many_requests_in_flight_are_refused_one_by_one(tmp_path: Path) -> None:
    async def test(it: Served) -> None:
        pid = await it.waiting()
        sock = it.raw()
        for n in range(1, limits.CONTROL_REQUESTS_MAX + 2):
            sock.send(framed(pack([n, ["wait", pid]])))
        assert (await it.said(sock))[:2] == (limits.CONTROL_REQUESTS_MAX + 1, "EAGAIN")
        await it.well()

    serve(tmp_path, test)


def test_a_peer_that_never_reads_is_not_read_from_either(tmp_path: Path) -> None:
    async def test(it: Served) -> None:
        it.kernel.spawn("crowd")
        await it.kernel.until(lambda: len(it.kernel.kernel.table.processes) > 300)
        sock = it.raw()
        question = framed(pack([1, ["ps"]]))
        taken = 0
        for _ in range(300):
            try:
                taken += sock.send(question * 1000)
            except BlockingIOError:
                await it.well()
        connection = next(iter(it.server._connections))
        assert connection._transport is not None
        assert connection._transport.get_write_buffer_size() <= limits.CONTROL_OUTPUT_BYTES_MAX
        assert taken < 300 * 1000 * len(question)
        sock.close()
        await it.well()

    serve(tmp_path, test, places=64)


def test_a_thousand_connections_are_bounded_and_who_asks_next_is_served(tmp_path: Path) -> None:
    async def test(it: Served) -> None:
        pid = await it.waiting()
        client = it.client()
        waiting = asyncio.ensure_future(client.wait(pid))
        socks: list[socket.socket] = []
        for at in range(1000):
            socks.append(it.raw())
            if at % 50 == 0:
                await it.well()
        assert len(it.server._connections) <= limits.CONTROL_CONNECTIONS_MAX
        await it.well()
        await it.kernel.until(lambda: True)
        it.kernel.settle(pid, 1, "give", "still there")
        assert (await waiting).result == "still there"
        await client.close()

    serve(tmp_path, test)


def test_where_all_connections_wait_the_next_is_told_to_come_again(tmp_path: Path) -> None:
    async def test(it: Served) -> None:
        pid = await it.waiting()
        socks = [it.raw() for _ in range(limits.CONTROL_CONNECTIONS_MAX)]
        for sock in socks:
            sock.send(framed(pack([1, ["wait", pid]])))
        await it.kernel.until(lambda: True)
        while sum(len(c.requests) for c in it.server._connections) < len(socks):
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        client = it.client()
        with pytest.raises(Eagain):
            await client.status()
        await client.close()

    serve(tmp_path, test)


def test_who_waits_when_the_kernel_stops_is_told_so(tmp_path: Path) -> None:
    async def test(it: Served) -> None:
        pid = await it.waiting()
        client = it.client()
        waiting = asyncio.ensure_future(client.wait(pid))
        await client.status()
        await it.server.close()
        with pytest.raises(Epipe):
            await waiting
        await client.close()

    serve(tmp_path, test)


def test_where_nothing_listens_there_is_no_link(tmp_path: Path) -> None:
    folder_fd = os.open(tmp_path, os.O_RDONLY)
    assert asyncio.run(connect(folder_fd)) is None
    os.close(folder_fd)
