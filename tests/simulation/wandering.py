"""Programs that wander: what they do is their own seed's, and does not depend on time, so that a replay repeats it."""

from __future__ import annotations

import asyncio
from random import Random  # noqa: TID251 seeded
from typing import Any

from prytany.abi.errors import Emodel, KernelError
from prytany.userland.process import Process
from prytany.userland.server import Server
from prytany.userland.topics import on

TOOLS = ("shop.look", "shop.pay", "shop.ship")
LONG_MS = 700


class Counter(Server):
    """Counts, asks, fails at times, and has its calls waited for."""

    state: int = 0

    async def on_add(self, amount: int) -> int:
        self.state += amount
        if amount % 3 == 0:
            await self.proc.nop(b"between")
        if amount % 7 == 1 and self.message.attempt < 3:
            raise ValueError("it fails at this")
        return self.state

    @on("notes.*.count")
    async def counted(self, topic: str, amount: int) -> None:
        self.state += amount
        if amount % 5 == 1 and self.message.attempt < 3:
            raise ValueError("it fails at this too")

    async def on_ask(self, what: str) -> str:
        talk = self.proc.conversation()
        return await talk.llm(what)


class Wanderer:
    """One incarnation of `wander`."""

    def __init__(self, proc: Process, seed: int, depth: int, parallel: bool) -> None:
        self.proc, self.seed, self.depth, self.parallel = proc, seed, depth, parallel
        self.age: int = proc.state or 0
        self.rng = Random(f"{seed} {self.age}")
        self.said: list[str] = []
        self.children: list[int] = []
        self.servers: list[int] = []
        self.talk = proc.conversation(system="wander")

    async def run(self) -> list[str]:
        for step in range(self.rng.randrange(1, 15)):
            act = self.rng.choice(ACTS)
            try:
                await act(self, f"{self.seed} {self.age} {step}")
            except Emodel:
                self.said.append("no answer")
            except KernelError as error:
                self.said.append(error.errno)
        for server in self.servers:
            try:
                await self.proc.kill(server, 9)
            except KernelError as error:
                self.said.append(error.errno)
        if self.rng.random() < 0.15:
            raise ValueError("a program that fails")
        return self.said

    async def ask(self, what: str) -> None:
        self.said.append(await self.proc.llm(what))

    async def nothing(self, what: str) -> None:
        await self.proc.nop(self.rng.randbytes(self.rng.choice([10, 300, 9_000])))

    async def spawn(self, what: str) -> None:
        if self.depth < 2:
            seed, restarts = self.rng.randrange(1 << 30), self.rng.choice([0, 0, 2])
            tools = self.rng.choice([None, None, ["shop.look"], []])
            self.children.append(
                await self.proc.spawn(
                    "wander", seed, self.depth + 1, self.parallel, restarts=restarts, tools=tools, name="child"
                )
            )

    async def serve(self, what: str) -> None:
        if self.depth < 2:
            self.servers.append(await self.proc.spawn("Counter", restarts=self.rng.choice([0, 3])))

    async def wait(self, what: str) -> None:
        if self.children:
            self.said.append(str((await self.proc.wait(self.children.pop(0))).status))

    async def signal(self, what: str) -> None:
        if self.children:
            await self.proc.kill(self.rng.choice(self.children), self.rng.choice([9, 15, 10, 2]))

    async def hold(self, what: str) -> None:
        if self.children and not self.parallel:
            stopped = self.rng.choice(self.children + self.servers)
            await self.proc.kill(stopped, 19)
            try:
                self.said.append(await self.proc.llm(f"{what} while it stands"))
            finally:
                await self.proc.kill(stopped, 18)

    async def gather(self, what: str) -> None:
        if self.parallel:
            self.said += await asyncio.gather(*(self.proc.llm(f"{what} {n}") for n in range(3)))

    async def trespass(self, what: str) -> None:
        await self.proc.files.read("/etc/passwd")

    async def sleep(self, what: str) -> None:
        await self.proc.sleep(self.rng.choice([0, 0.01, 3]))

    async def send(self, what: str) -> None:
        to = self.rng.choice([self.proc.pid, self.proc.parent, *self.children])
        await self.proc.send(to, "note", what=what)

    async def receive(self, what: str) -> None:
        message = await self.proc.receive(timeout_ms=LONG_MS)
        end = self.rng.randrange(4)
        if end == 0:
            await message.reject("no")
        elif end <= 2:
            await message.done(reply=what)

    async def call(self, what: str) -> None:
        to = self.rng.choice([self.proc.parent, *self.children])
        self.said.append(str(await self.proc.call(to, "question", timeout_ms=LONG_MS, what=what)))

    async def add(self, what: str) -> None:
        if self.servers:
            server, amount = self.rng.choice(self.servers), self.rng.randrange(20)
            self.said.append(str(await self.proc.call(server, "add", amount=amount, timeout_ms=9 * LONG_MS)))

    async def question(self, what: str) -> None:
        if self.servers:
            server = self.rng.choice(self.servers)
            self.said.append(str(await self.proc.call(server, "ask", what=what, timeout_ms=LONG_MS)))

    async def use(self, what: str) -> None:
        tool, order = self.rng.choice(TOOLS), self.rng.choice("ab")
        self.said.append(str(await self.proc.tools[tool](order=order, count=self.rng.randrange(1 << 30))))

    async def converse(self, what: str) -> None:
        self.said.append(await self.talk.llm(what))
        if self.rng.random() < 0.3:
            self.talk = await self.talk.fork()

    async def stream(self, what: str) -> None:
        self.said.append("".join([piece async for piece in self.proc.llm(what, stream=True)]))

    async def stream_in(self, what: str) -> None:
        self.said.append("".join([piece async for piece in await self.talk.stream(what)]))

    async def publish(self, what: str) -> None:
        topic = self.rng.choice(["notes.a.count", "notes.b.count", "notes.b.other"])
        self.said.append(str(await self.proc.publish(topic, amount=self.rng.randrange(20))))

    async def subscribe(self, what: str) -> None:
        pattern, since = self.rng.choice(["notes.>", "notes.a.*"]), self.rng.choice([None, 1, "start", "last"])
        self.said.append(str(await self.proc.subscribe(pattern, since=since)))

    async def unsubscribe(self, what: str) -> None:
        self.said.append(str(await self.proc.unsubscribe("notes.>")))

    async def begin_again(self, what: str) -> None:
        if self.age < 2:
            await self.proc.exec(self.age + 1)


ACTS: list[Any] = [
    Wanderer.ask, Wanderer.nothing, Wanderer.spawn, Wanderer.spawn, Wanderer.serve, Wanderer.wait, Wanderer.signal,
    Wanderer.hold, Wanderer.gather, Wanderer.trespass, Wanderer.sleep, Wanderer.send, Wanderer.receive, Wanderer.call,
    Wanderer.add, Wanderer.add, Wanderer.question, Wanderer.use, Wanderer.use, Wanderer.converse, Wanderer.stream,
    Wanderer.stream_in, Wanderer.begin_again, Wanderer.publish, Wanderer.publish, Wanderer.subscribe,
    Wanderer.unsubscribe, Wanderer.receive,
]  # fmt: skip


async def wander(proc: Process, seed: int, depth: int, parallel: bool) -> list[str]:
    return await Wanderer(proc, seed, depth, parallel).run()
