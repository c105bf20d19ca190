"""Workers that send anything at all, beside an honest process: no exception, bounded memory, and the honest one is told
nothing of it. The whole kernel behind real sockets, in virtual time; a seed decides everything.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from random import Random  # noqa: TID251 seeded
from typing import Any

import msgspec
import pytest

from prytany.abi import limits
from prytany.abi.errors import Enoent
from prytany.drivers.stores.memory import MemoryStore
from prytany.journal.digests import Keyring
from prytany.journal.writer import START
from prytany.kernel.effects import Outside
from prytany.kernel.folding import fold_from_start
from prytany.kernel.kernel import Kernel
from prytany.kernel.ledger import TENANT, Ledger
from prytany.kernel.outcome import Program
from prytany.kernel.state import ShardState
from prytany.ports.runner import UTILITY, Host
from prytany.runtime.confined import ConfinedWorker
from prytany.runtime.inline import InlineRunner
from prytany.runtime.launcher import ExitStatus
from prytany.system.programs import find_program
from prytany.testing.virtual_time import SteppedJournal, VirtualClock, VirtualLoop
from prytany.userland.process import Process
from tests.simulation import hostile_frames as hostile
from tests.simulation.episode import SlowModel
from tests.simulation.fleet import Following

PLEDGE = ("files.read", "files.write", "ipc", "model", "proc", "tools")
HOSTILE = 4
TURNS = 12
ASKED = 40


async def honest(proc: Process) -> str:
    """Asks and waits, again and again, and is answered each time."""
    for number in range(ASKED):
        await proc.sleep(0.05)
        await proc.nop(number.to_bytes(2, "big"))
    return "came through"


class NoFiles:
    """There are none."""

    async def read(self, unveil: dict[str, str], path: str) -> bytes:
        raise Enoent("no such file")

    async def write(self, unveil: dict[str, str], path: str, data: bytes) -> int:
        raise Enoent("no such folder")

    async def list(self, unveil: dict[str, str], path: str) -> list[str]:
        raise Enoent("no such folder")


class Peer:
    """The worker's end of one connection."""

    def __init__(self, pid: int, rng: Random) -> None:
        self.pid, self._rng = pid, rng
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.theirs.setblocking(False)
        self.output_fd, self._printed_fd = os.pipe()
        os.set_blocking(self._printed_fd, False)
        self.os_pid = self.start_time = pid
        self.exited: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()
        self.n = 0
        self.delivered = 0
        self._left = b""

    @property
    def sock(self) -> socket.socket:
        return self.ours

    def kill(self, signal: int = 9, *, lost: bool = False) -> None:
        if not self.exited.done():
            self.exited.set_result(ExitStatus(None, signal, cpu_us=1, lost=lost))
            self.theirs.close()
            os.close(self._printed_fd)

    def act(self) -> None:
        """Something that a worker could do."""
        rng = self._rng
        if rng.random() < 0.7:
            self._take()
        match rng.randrange(100):
            case 0:
                self._send(hostile.garbage(rng))
            case 1:
                self._send(hostile.changed(rng, self._frame()))
            case 2:
                self._send(self._frame()[: rng.randrange(1, 30)])
            case 3 | 4 | 5:
                with suppress(BlockingIOError):
                    os.write(self._printed_fd, hostile.garbage(rng) * rng.choice([1, 30]))
            case 6:
                self.kill(11)
            case 7:
                self.theirs.shutdown(socket.SHUT_RDWR)
            case 8 | 9:
                self.kill(lost=True)  # it comes back, and what it asks is held against its record
            case _:
                self._send(self._frame())

    def _frame(self) -> bytes:
        rng = self._rng
        calls: list[bytes] = []
        for _ in range(rng.choice([0, 1, 1, 2, 5])):
            self.n += 1
            calls.append(hostile.call(rng, self.n))
        if rng.random() < 0.003:
            self.delivered = rng.choice(hostile.NUMBERS)
        body = b"\x92" + msgspec.msgpack.encode(self.delivered) + bytes((0x90 | len(calls),)) + b"".join(calls)
        return hostile.framed(body)

    def _send(self, data: bytes) -> None:
        with suppress(OSError):
            self._left = (self._left + data)[: 1 << 21]
            self._left = self._left[self.theirs.send(self._left) :]

    def _take(self) -> None:
        with suppress(OSError):
            data = self.theirs.recv(1 << 20)
            at = 0
            while at + 4 <= len(data):  # a frame that is cut in two is counted wrong now and then, which is welcome
                at += 4 + int.from_bytes(data[at : at + 4], "little")
                self.delivered = min(self.delivered + 1, (1 << 64) - 1)


class Peers:
    """Runs the hostile ones."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.workers: dict[int, ConfinedWorker] = {}
        self.peers: dict[int, Peer] = {}
        self.log_bytes = 0

    async def start(self, pid: int, item: bytes, host: Host, qos: int = UTILITY) -> ConfinedWorker:
        peer = self.peers[pid] = Peer(pid, self._rng)
        some: Any = (peer, pid, host, self, self._log)
        self.workers[pid] = ConfinedWorker(*some)
        return self.workers[pid]

    def _log(self, pid: int, data: bytes) -> None:
        self.log_bytes += len(data)

    def kill(self, peer: Peer) -> None:
        peer.kill()

    async def close(self) -> None:
        for peer in self.peers.values():
            peer.kill()
        for _ in range(TURNS):  # their ends are heard before it is closed, as a launcher's
            await asyncio.sleep(0)  # noqa: TID251 virtual


class World:
    """One seed's kernel, and what is said of it."""

    def __init__(self, seed: int, steps: int) -> None:
        self.seed, self.rng = seed, Random(seed)
        self.steps = steps
        self.told: list[dict[str, Any]] = []

    def run(self) -> None:
        loop = VirtualLoop()
        loop.set_exception_handler(lambda loop, context: self.told.append(context))
        try:
            loop.run_until_complete(self._live(loop))
        finally:
            loop.close()
        self._check_told()

    async def _live(self, loop: VirtualLoop) -> None:
        rng, store = self.rng, MemoryStore()
        keyring = Keyring(rng.randbytes)
        keyring.admit(TENANT)
        clock = VirtualClock(loop)
        ledger = Ledger(ShardState(), keyring, clock, lambda entry: kernel.react(entry))
        reader: Any = Following(store)
        model: Any = SlowModel(rng)
        peers = Peers(rng)
        runners: Any = {"python": peers, "inline": InlineRunner({"honest": honest})}
        kernel = Kernel(
            ledger, Outside(clock, {"": model}, NoFiles()), runners, reader, _find, rng.randbytes, running_max=64
        )
        failed: asyncio.Future[Any] = loop.create_future()
        journal = SteppedJournal(store, loop, START, ledger.on_durable, failed.set_result, delay=lambda: 0.001)
        ledger.attach(journal)
        kernel.begin("test", 1)
        told = asyncio.ensure_future(
            kernel.operator.wait_ended(kernel.operator.spawn("honest", [], {}, uid=0, kind="inline"))
        )
        for _ in range(self.steps):
            self._check(kernel, peers)
            roots = [p for p in kernel.table.processes.values() if p.kind == "python" and p.alive]
            for _ in range(HOSTILE - len(roots)):
                kernel.operator.spawn("hostile", [], {}, uid=0)
            for key in list(kernel.table.incidents):
                of, _, n = key.split(":")
                kernel.operator.settle(int(of), int(n), rng.choice(["retry", "skip"]), None, uid=0)
            for pid, peer in list(peers.peers.items()):
                if peer.exited.done():
                    del peers.peers[pid], peers.workers[pid]
                else:
                    peer.act()
            await asyncio.sleep(rng.choice([0, 0.001, 0.002, 0.1]))  # noqa: TID251 virtual
        assert (await told)["result"] == "came through"
        self._check(kernel, peers)
        await kernel.close()
        assert fold_from_start(store.reader()).state.digest() == ledger.state.digest()

    def _check_told(self) -> None:
        for context in self.told:
            raise AssertionError(f"seed {self.seed}: {context}") from context.get("exception")

    def _check(self, kernel: Kernel, peers: Peers) -> None:
        self._check_told()
        assert kernel.ledger.journal.failure is None
        assert not [key for key in kernel.table.incidents if ":fault:" in key]
        assert all(len(p.open) <= limits.CALLS_IN_FLIGHT_MAX for p in kernel.table.processes.values())
        for worker in peers.workers.values():
            assert len(worker._frames._rest) <= limits.FRAME_BYTES_MAX + (1 << 18)
            assert worker.backlog_bytes <= limits.BACKLOG_BYTES_MAX


def _find(target: str, beside: str, *source: bytes, **more: Any) -> Program:
    if target in ("honest", "hostile"):
        return Program(target, target, b"# " + target.encode(), PLEDGE)
    return find_program(target, f"/nowhere/{beside}.py", *source, **more)


@pytest.mark.parametrize("seed", range(6))
def test_frames_of_any_kind_harm_nobody_else(seed: int) -> None:
    World(seed, 150).run()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 1_040))
def test_frames_of_any_kind_harm_nobody_else_in_the_long_run(seed: int) -> None:
    World(seed, 600).run()
