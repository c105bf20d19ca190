"""Turns of the local model, and a llama.cpp of letters to try them against."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, TypeVar

from prytany.drivers.models.local import LocalModel
from prytany.drivers.models.local_turn import LocalAside
from prytany.ports.model import ModelAnswer, ModelRequest
from prytany.ports.turns import Turn

T = TypeVar("T")
FAKE = Path(__file__).with_name("fake_llama.py")
ASKED = ModelRequest([{"role": "user", "content": "Say letters. " * 40}], max_tokens=12, temperature=0.0, seed=1)
Between = Callable[[LocalModel, LocalAside], Awaitable[object]]


class Fake:
    """The folder that the fake works in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.mkfifo(folder / "bell")
        self.bell = os.open(folder / "bell", os.O_RDWR | os.O_NONBLOCK)

    def fault(self, name: str, text: str = "") -> None:
        """It is wrong from now on, or hangs."""
        if name.endswith("-hangs"):
            os.mkfifo(self.folder / name)
        else:
            (self.folder / name).write_text(text)

    def mend(self, name: str) -> None:
        """It is right again."""
        lets_go = os.open(self.folder / name, os.O_RDWR)
        (self.folder / name).unlink()
        os.close(lets_go)

    def log(self, key: str) -> list[dict[str, Any]]:
        """The requests that have this."""
        path = self.folder / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [said for line in lines if key in (said := json.loads(line))]

    async def has(self, key: str, count: int = 1) -> None:
        """Return when so many requests of that kind have come."""
        rung = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.bell, rung.set)
        while len(self.log(key)) < count:
            await rung.wait()
            rung.clear()
            with suppress(BlockingIOError):
                os.read(self.bell, 1 << 16)
        loop.remove_reader(self.bell)


def with_model(
    main: Callable[[LocalModel], Coroutine[Any, Any, T]], tmp_path: Path, *, slots: int = 2, **options: Any
) -> T:  # fmt: skip
    async def run() -> T:
        model = LocalModel(tmp_path / "x.gguf", slots=slots, saves=tmp_path, **options)
        try:
            return await asyncio.wait_for(main(model), 60)
        finally:
            await model.close()

    return asyncio.run(run())


async def one_turn(
    model: LocalModel, request: ModelRequest, turn: Turn, pieces: list[str] | None = None
) -> ModelAnswer | LocalAside:  # fmt: skip
    async with aclosing(model.turn(request, turn)) as items:
        async for item in items:
            if isinstance(item, str):
                (pieces if pieces is not None else []).append(item)
            else:
                assert isinstance(item, ModelAnswer | LocalAside)
                last = item
    return last


async def in_turns(
    model: LocalModel, request: ModelRequest, quantum: int, between: Between | None = None
) -> tuple[ModelAnswer, list[str], int]:  # fmt: skip
    """The answer, its pieces, and how often it was put aside."""
    aside: LocalAside | None = None
    pieces: list[str] = []
    count = 0
    while True:
        came = await one_turn(model, request, Turn(aside, lambda tokens: tokens >= quantum), pieces)
        if isinstance(came, ModelAnswer):
            return came, pieces, count
        aside, count = came, count + 1
        assert aside.text == "".join(pieces)
        if between is not None:
            await between(model, aside)


async def put_aside(model: LocalModel, tokens: int = 5, request: ModelRequest = ASKED) -> LocalAside:
    came = await one_turn(model, request, Turn(is_up=lambda count: count >= tokens))
    assert isinstance(came, LocalAside)
    return came


async def others(model: LocalModel, _: object = None) -> None:
    """Somebody else has had every slot since."""
    asked = [
        ModelRequest([{"role": "user", "content": f"{number}"}], max_tokens=1, temperature=0.0, tenant=9)
        for number in range(model.features.slots)
    ]
    await asyncio.gather(*map(model.chat, asked))


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("prytany-slots-*/saved/*"))
