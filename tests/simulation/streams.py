"""Models that stream, and programs that read streams, for the fleet of the simulation."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from prytany.abi.errors import Emodel
from prytany.ports.model import ModelAnswer, ModelFailure, ModelFeatures, ModelRequest, Usage
from prytany.userland.process import Process
from tests.simulation.fleet import PLEDGES, PROGRAMS, CountingModel, Fleet

WORDS = ["In ", "the ", "beginning ", "was ", "the ", "journal."]


class Turn:
    """One turn of the loop."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class StreamingModel(CountingModel):
    """Streams its words. `cut` is after how many of them the first attempts fail; `wait_after` holds it for ever."""

    def __init__(self, *cut: int, wait_after: int = -1) -> None:
        super().__init__()
        self.cut = list(cut)
        self.wait_after = wait_after
        self.closed = 0
        self.features = ModelFeatures(streaming=True)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer, None]:
        self.asked[str(request.messages[-1]["content"])] += 1
        cut = self.cut.pop(0) if self.cut else -1
        try:
            for place, word in enumerate(WORDS):
                while place == self.wait_after:
                    await Turn()
                if place == cut:
                    raise ModelFailure("interrupted", "cut", retryable=True)
                for _ in range(30):  # the group before it becomes durable meanwhile
                    await Turn()
                yield word
            yield ModelAnswer("".join(WORDS), "stop", usage=Usage(7, 6))
        finally:
            self.closed += 1


LIVES: list[list[str]] = []
"""What the program saw, a life of its worker each."""


async def teller(proc: Process) -> dict[str, Any]:
    seen: list[str] = []
    LIVES.append(seen)
    stream = proc.llm("tell", stream=True)
    try:
        async for piece in stream:
            seen.append(piece)
            if len(seen) == 1:
                await proc.nop(b"after the first")
    except Emodel as error:
        return {"seen": seen, "cause": error.detail["cause"], "text": error.detail["text"]}
    return {"seen": seen, "cause": "", "text": stream.answer.text, "usage": stream.answer.usage.prompt_tokens}


async def leaver(proc: Process) -> str:
    async with proc.llm("tell", stream=True) as stream:
        await anext(stream)
    await proc.nop(b"on it goes")
    return stream.text


async def quitter(proc: Process) -> str:
    return await anext(proc.llm("tell", stream=True))


async def length(proc: Process) -> list[Any]:
    stream = proc.llm("tell", stream=True)
    try:
        return ["", "", len(await stream)]
    except Emodel as error:
        return [error.detail["cause"], error.detail["why"], len(stream.text)]


PROGRAMS.update({"teller": teller, "leaver": leaver, "quitter": quitter, "length": length})
PLEDGES.update(dict.fromkeys(("teller", "leaver", "quitter", "length"), ("model",)))


def streaming_fleet(root: str = "teller", *cut: int, wait_after: int = -1) -> Fleet:
    LIVES.clear()
    fleet = Fleet(root)
    fleet.model = StreamingModel(*cut, wait_after=wait_after)
    return fleet
