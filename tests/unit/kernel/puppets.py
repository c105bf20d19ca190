"""A kernel whose workers are led by hand: a test makes their calls and looks at the items that reach them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from prytany.drivers.stores.memory import MemoryStore
from prytany.journal.digests import Keyring
from prytany.journal.writer import START, Journal
from prytany.kernel.effects import Outside
from prytany.kernel.kernel import Kernel
from prytany.kernel.ledger import TENANT, Ledger
from prytany.kernel.outcome import Program
from prytany.kernel.state import ShardState
from prytany.ports.runner import UTILITY, Host
from tests.simulation.fleet import Following, LogicalClock, small_entropy

PLEDGE = ("ipc", "proc")


async def one_turn() -> None:
    """Let the loop run everything that is due."""
    loop = asyncio.get_running_loop()
    turned = loop.create_future()
    loop.call_soon(turned.set_result, None)
    await turned


class Puppet:
    """One worker. `answers` are what reached it, by number of the call: errno and value."""

    identity = (0, 0)

    def __init__(self, pid: int, host: Host) -> None:
        self.pid, self.host = pid, host
        self.answers: dict[int, tuple[str, Any]] = {}
        self.start: dict[str, Any] = {}
        self.delivered = 0
        self.made = 0
        self.killed = False

    def send(self, n: int, time_ns: int, errno: str, value: bytes) -> None:
        self.delivered += 1
        if n == 0:
            self.start = msgspec.msgpack.decode(value)
            self.made = self.start["base"]
            asyncio.get_running_loop().call_soon(self.host.on_frame, self.pid, 1, ())
        else:
            self.answers[n] = (errno, msgspec.msgpack.decode(value))

    def kill(self) -> None:
        self.killed = True
        asyncio.get_running_loop().call_soon(self.host.on_left, self.pid, 0)

    def hear(self) -> None:
        return

    def at_frontier(self) -> None:
        return

    def weigh(self, qos: int) -> bool:
        return True

    def take_cpu_us(self) -> int:
        return 0

    def log(self, text: str) -> None:
        return

    def call(self, name: str, *args: Any) -> int:
        """Make a call; its number."""
        self.made += 1
        packed = msgspec.Raw(msgspec.msgpack.encode(args))
        self.host.on_frame(self.pid, self.delivered, ((self.made, name, packed),))
        return self.made


class Stage:
    """The kernel with its puppets."""

    def __init__(self, outside: Outside | None = None) -> None:
        self.store = store = MemoryStore()
        keyring = Keyring(small_entropy)
        keyring.admit(TENANT)
        clock: Any = outside.clock if outside else LogicalClock(0)
        ledger = Ledger(ShardState(), keyring, clock, lambda entry: self.kernel.react(entry))
        nothing: Any = None
        reader: Any = Following(store)
        self.puppets: dict[int, Puppet] = {}
        self.text = b"# one"
        self.kernel = Kernel(
            ledger, outside or Outside(clock, {}, nothing), {"inline": self}, reader, self.find, small_entropy,
            running_max=64,
        )  # fmt: skip
        failed = asyncio.get_running_loop().create_future()
        ledger.attach(Journal(store, asyncio.get_running_loop(), START, ledger.on_durable, failed.set_result))
        self.kernel.begin("test", 1)

    def find(self, target: str, beside: str, **more: Any) -> Program:
        return Program(target, target, self.text, PLEDGE if target != "mute" else (), target == "Server")

    async def start(self, pid: int, item: bytes, host: Host, qos: int = UTILITY) -> Puppet:
        self.puppets[pid] = Puppet(pid, host)
        return self.puppets[pid]

    async def close(self) -> None:
        return

    async def settled(self) -> None:
        """All that was decided is durable, and has left."""
        journal = self.kernel.ledger.journal
        head = 0
        while head != journal.head.seq:
            head = journal.head.seq
            await journal.wait_durable(head)
            for _ in range(5):
                await one_turn()

    async def root(self, name: str = "program", restarts: int = 0) -> Puppet:
        """A process of a run of its own."""
        pid = self.kernel.operator.spawn(name, [], {}, uid=0, kind="inline", restarts=restarts)
        await self.settled()
        return self.puppets[pid]

    async def child(self, parent: Puppet, name: str = "program", restarts: int = 0) -> Puppet:
        """A process of its run."""
        errno, pid = await self.ask(parent, "process_spawn", name, [], {}, "", None, restarts)
        assert errno == ""
        return self.puppets[pid]

    async def ask(self, puppet: Puppet, name: str, *args: Any) -> tuple[str, Any]:
        """Make a call that is answered at once: errno and value."""
        n = puppet.call(name, *args)
        await self.settled()
        return puppet.answers[n]
