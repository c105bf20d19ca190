"""The models, tools and couriers that a kernel has open, and those that it is about to let go of."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Container, Coroutine, Sequence

from prytany.abi.errors import KernelError
from prytany.drivers.tools.python.tools import PythonTools
from prytany.kernel.kernel import Kernel
from prytany.kernel.toolbox import older
from prytany.ports.courier import Courier
from prytany.ports.model import Model
from prytany.ports.tool import Tools
from prytany.system.fleet.switched import SwitchedModel
from prytany.system.fleet.variables import Variables


class Drivers:
    """By name, by file and by channel: the same dictionaries that the kernel looks them up in."""

    def __init__(self, models: dict[str, Model]) -> None:
        self.models = models
        self.tools: dict[str, Tools] = {}
        self.couriers: dict[str, Courier] = {}
        self.skills: dict[tuple[int, str], bytes] = {}
        """What the skills of each fleet's agents were when it was brought, digests."""
        self.variables = Variables()
        self.told_with: dict[int, dict[str, str]] = {}
        """The secrets of each fleet's channels when it was brought, by their names."""
        self._dropping: set[str] = set()
        """The models that are dropped when those have ended who may ask them."""
        self._leaving: dict[asyncio.Task[None], Tools | Model] = {}
        self._closings: dict[Tools | Model, asyncio.Future[None]] = {}

    def replace_tools(self, kernel: Kernel, path: str, tools: Tools) -> None:
        """From now on the file is `tools`. What is under way ends where it began; who was granted what the file does
        not say any more goes on with it as it was."""
        before, self.tools[path] = self.tools.get(path), tools
        if before is None:
            return
        said = kernel.tools.said_by(path, before)
        runs = runs_with(kernel, path, said)
        if not runs or kernel.tools.said_by(path, tools) == said:
            self._retire(before)
            return
        key = older(path, said)
        if (same := self.tools.pop(key, None)) is not None:  # of two that say the same, the later one
            self._retire(same)
        self.tools[key] = before
        self._later(self._keep(kernel, runs, key, before), before)

    def replace_older(self, key: str, tools: Tools) -> None:
        """Of an older text of a file the same, as it is whole."""
        if (before := self.tools.get(key)) is None:
            self._retire(tools)  # whoever went on with it has ended meanwhile
        else:
            self.tools[key] = tools
            self._retire(before)

    async def _keep(self, kernel: Kernel, runs: Sequence[int], key: str, tools: Tools) -> None:
        """Until these runs have ended."""
        await self._ended(kernel, runs)
        if self.tools.get(key) is tools:
            del self.tools[key]
            await self._leave(tools)

    async def _ended(self, kernel: Kernel, pids: Sequence[int]) -> None:
        for pid in pids:
            with contextlib.suppress(KernelError):  # it has ended long ago
                await kernel.operator.wait_ended(pid)

    def _retire(self, tools: Tools) -> None:
        self._later(self._leave(tools), tools)

    def forget_all_but(self, fleets: Container[int]) -> None:
        """What was remembered of other fleets than these, by their numbers, is of no use any more."""
        self.skills = {key: digest for key, digest in self.skills.items() if key[0] in fleets}
        self.told_with = {number: secrets for number, secrets in self.told_with.items() if number in fleets}
        self.variables.forget_all_but(fleets)

    def drop_model(self, kernel: Kernel, name: str) -> None:
        """No fleet names it any more. It stays for those that may ask it, until they have ended or it is named again;
        what was asked of it is answered."""
        model = self.models[name]
        if pids := who_asks(kernel, name):
            if name not in self._dropping:
                self._dropping.add(name)
                self._later(self._drop_then(kernel, pids, name), model)
            return
        del self.models[name]
        self._later(self._leave(model), model)

    async def _drop_then(self, kernel: Kernel, pids: Sequence[int], name: str) -> None:
        try:
            await self._ended(kernel, pids)
        finally:
            self._dropping.discard(name)
        if name in self.models and name not in kernel.fleets.models:
            self.drop_model(kernel, name)

    def _later(self, work: Coroutine[None, None, None], what: Tools | Model) -> None:
        task = asyncio.ensure_future(work)
        self._leaving[task] = what
        task.add_done_callback(lambda done: self._leaving.pop(done, None))

    async def close(self) -> None:
        """Let go of everything at once."""
        leaving = dict(self._leaving)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        for courier in self.couriers.values():
            await courier.close()
        for what in dict.fromkeys([*self.tools.values(), *self.models.values(), *leaving.values()]):
            await self._closed(what)

    async def _leave(self, what: Tools | Model) -> None:
        """Close it when what is under way there has ended; a driver that another model has stays."""
        if isinstance(what, SwitchedModel):
            await what.let_go()
            return
        if isinstance(what, PythonTools):
            await what.drain()
        await self._closed(what)

    async def _closed(self, what: Tools | Model) -> None:
        """Close it. That is not cut off where who waits for it is cancelled: another waits for the same."""
        closing = self._closings.get(what)
        if closing is None:
            closing = self._closings[what] = asyncio.ensure_future(what.close())
            closing.add_done_callback(lambda done: self._closings.pop(what, None))
        await asyncio.shield(closing)


def who_asks(kernel: Kernel, name: str) -> list[int]:
    """The processes that may ask a model: it is theirs, or an open call of theirs was meant for it, and waits for its
    turn, for a person, or for the process to go on. Looks at every process and open call."""
    return [
        p.pid
        for p in kernel.table.processes.values()
        if p.alive
        and (p.model == name or any(c.reserved is not None and c.reserved.endpoint == name for c in p.open.values()))
    ]


def runs_with(kernel: Kernel, path: str, said: bytes) -> list[int]:
    """The runs that go on and were granted a file of tools that says that."""
    table, grants = kernel.table, kernel.ledger.state.grants
    alive = dict.fromkeys(p.run for p in table.processes.values() if p.alive)
    return [
        run for run in alive if any(grant.path == path and grant.manifest == said for grant in grants.of(run).values())
    ]
