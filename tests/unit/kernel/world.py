"""A stage with an outside that fails as a test says: models, files on a real disk, tools, programs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from prytany.drivers.files.beneath import BeneathFiles
from prytany.kernel.effects import Outside
from prytany.kernel.outcome import Program
from prytany.ports.model import Embedded, ModelAnswer, ModelFailure, ModelFeatures, ModelRequest
from prytany.ports.tool import ToolFailure, Tools
from prytany.system.programs import find_program
from tests.simulation.fleet import LogicalClock
from tests.simulation.tools import PATH, CountingTools
from tests.unit.kernel.puppets import Puppet, Stage, one_turn

DEADLINE_S = 30
EVERYTHING = ["files.read", "files.write", "ipc", "model", "pipe", "proc", "tools"]


class Moody:
    """A model that answers, and does not where a message says so: `fail`, or `wait` for ever."""

    def __init__(self, name: str, *, embeddings: bool) -> None:
        self.name = name
        self.features = ModelFeatures(embeddings=embeddings)

    async def _mood(self, said: str) -> None:
        if said == "fail":
            raise ModelFailure("bad_request", "not this", retryable=False)
        if said == "wait":
            await asyncio.get_running_loop().create_future()

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        await self._mood(str(request.messages[-1]["content"]))
        return ModelAnswer("yes", "stop")

    def stream(self, request: ModelRequest) -> Any:
        raise AssertionError("not streamed")

    async def embed(self, texts: list[str]) -> Embedded:
        await self._mood(texts[0])
        return Embedded([[1.0] for _ in texts])

    async def close(self) -> None:
        return


class MoodyTools(CountingTools):
    """Tools that raise for the order `raise`, and wait for ever for `wait`."""

    async def call(self, name: str, arguments: dict[str, Any], key: str) -> Any:
        match arguments["order"]:
            case "raise":
                raise ToolFailure("raised", "no such order")
            case "crash":
                raise RuntimeError("the driver itself")
            case "wait":
                await asyncio.get_running_loop().create_future()
        return await super().call(name, arguments, key)


class World(Stage):
    """A parent that may do everything, its child, its child that has pledged nothing, and a process of another run."""

    parent: Puppet
    child_: Puppet
    mute: Puppet
    stranger: Puppet

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loaded: dict[str, Tools] = {PATH: MoodyTools()}
        models: dict[str, Any] = {"": Moody("", embeddings=True), "deaf": Moody("deaf", embeddings=False)}
        super().__init__(Outside(LogicalClock(0), models, BeneathFiles(), self.loaded))

    @classmethod
    async def make(cls, folder: Path) -> World:
        """With files to read in `r`, and a folder `w` to write."""
        world = cls(folder)
        for name in ("r", "w"):
            (folder / name).mkdir()
            (folder / name / "file").write_text("text")
        (folder / "w" / "own.py").write_text("async def main(proc):\n    pass\n")
        unveil = {str(folder / "r"): "r", str(folder / "w"): "rw"}
        pid = world.kernel.operator.spawn(
            "program", [], {}, uid=0, kind="inline", pledge=EVERYTHING, unveil=unveil, tools=[PATH]
        )
        await world.settled()
        world.parent = world.puppets[pid]
        world.child_ = await world.child(world.parent)
        world.mute = await world.child(world.parent, "mute")
        world.stranger = await world.root()
        return world

    def find(self, target: str, beside: str, **more: Any) -> Program:
        """Programs that are led by hand, and those on disk."""
        if target in ("program", "mute"):
            return super().find(target, beside)
        return find_program(target, beside, **more)

    async def met(self, call: str, *arguments: Any, by: Puppet | None = None) -> str:
        """The errno with which a call ends, when it has ended."""
        puppet = by or self.parent
        return await self.ended(puppet, puppet.call(call, *arguments))

    async def ended(self, puppet: Puppet, n: int) -> str:
        """The errno of a call that was made."""
        async with asyncio.timeout(DEADLINE_S):
            while n not in puppet.answers:
                await one_turn()
        return puppet.answers[n][0]

    async def open(self, call: str, *arguments: Any, by: Puppet | None = None) -> int:
        """Make a call that is not answered yet, and see that it is recorded; its number."""
        puppet = by or self.parent
        n = puppet.call(call, *arguments)
        await self.settled()
        assert n not in puppet.answers
        return n

    async def context(self, *said: str) -> int:
        """A context of the parent's with these messages."""
        errno, value = await self.ask(self.parent, "context_open", [{"role": "user", "content": text} for text in said])
        assert errno == ""
        return int(value["context"])

    def lose_content(self) -> None:
        """Everything that is beside the chain is gone."""
        rows = [(seq, b"") for seq in self.store._rows]  # pyright: ignore[reportPrivateUsage]
        digests = [digest for _, digest in self.store._bodies]  # pyright: ignore[reportPrivateUsage]
        self.store.forget(0, digests, rows)
