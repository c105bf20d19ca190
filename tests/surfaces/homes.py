"""Homes for these tests: a real journal on disk, made by inline programs, without a worker or a model."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prytany.abi.errors import KernelError
from prytany.drivers.clocks.system import SystemClock
from prytany.journal.anchor import Anchor
from prytany.journal.writer import Journal
from prytany.kernel.kernel import Kernel
from prytany.kernel.ledger import Ledger
from prytany.kernel.quotas import DEFAULT_QUOTAS, Quotas
from prytany.kernel.reactions import Watcher
from prytany.ports.runner import Runner
from prytany.runtime.inline import InlineRunner
from prytany.system.logs import Logs
from prytany.system.shard import Shard

__all__ = ["Anchor", "Journal", "Kernel", "Ledger", "SystemClock", "make_home", "open_home", "opens", "spawn"]

PROGRAM = "async def steps(proc, count, size):\n    pass\n"


async def steps(proc: Any, count: int, size: int) -> int:
    """Makes `count` calls with `size` bytes each."""
    for number in range(count):
        await proc.nop(number.to_bytes(4, "big") * (size // 4))
    return count


async def waits(proc: Any, count: int, size: int) -> int:
    """Makes its calls, and then waits for a time that does not come."""
    await steps(proc, count, size)
    await proc.calls.timer_wait(1 << 62)
    return count


async def says(proc: Any, text: str, times: int, then: str) -> str:
    """Puts what it was told into the journal, small and large, and ends, or waits."""
    await proc.nop(text.encode())
    await proc.nop(text.encode() * times)
    if then == "wait":
        await proc.calls.timer_wait(1 << 62)
    return text


async def parent(proc: Any) -> None:
    """Has a child that ends, and does not take its result."""
    await proc.spawn(":says", "orphan secret", 1, "end")
    await proc.calls.timer_wait(1 << 62)


async def family(proc: Any, text: str) -> str:
    """Hands on what its child leaves."""
    child = await proc.spawn(":says", text, 1, "end")
    return str((await proc.wait(child)).result)


async def listens(proc: Any, times: int) -> list[Any]:
    """Takes that many messages, and leaves them."""
    taken: list[Any] = []
    for _ in range(times):
        message = await proc.receive()
        taken.append([message.type, message.body, message.sender])
        await message.done()
    return taken


PROGRAMS: dict[str, Any] = {
    "steps": steps, "waits": waits, "says": says, "parent": parent, "family": family, "listens": listens,
}  # fmt: skip


async def open_home(home: Path, *, quotas: Quotas = DEFAULT_QUOTAS, watch: Watcher | None = None) -> Shard:
    """A kernel in `home` that runs inline programs."""
    program = home.parent / "program.py"
    if not program.exists():
        program.write_text("".join(PROGRAM.replace("steps", name) for name in PROGRAMS))

    def runners(logs: Logs) -> dict[str, Runner]:
        return {"inline": InlineRunner({f"{program}:{name}": body for name, body in PROGRAMS.items()})}

    return await Shard.open(home, {}, runners=runners, quotas=quotas, watch=watch)


def spawn(shard: Shard, home: Path, name: str, *args: object, pledge: Sequence[str] = ("proc",)) -> int:
    program = f"{home.parent / 'program.py'}:{name}"
    return shard.kernel.operator.spawn(program, list(args), {}, uid=0, kind="inline", pledge=list(pledge))


def make_home(home: Path, *, count: int = 120, crashed: bool = False) -> None:
    """A home in which one process has ended; with `crashed`, as a kernel leaves it that was killed."""

    async def run() -> None:
        shard = await open_home(home)
        pid = spawn(shard, home, "steps", count, 600)
        await shard.kernel.operator.wait_ended(pid)
        pid = spawn(shard, home, "steps", 2, 8_000)
        await shard.kernel.operator.wait_ended(pid)
        if crashed:
            shutil.copytree(home, home.with_name("crashed"), ignore=shutil.ignore_patterns("control"))
        await shard.close()

    asyncio.run(run())
    if crashed:
        shutil.rmtree(home)
        home.with_name("crashed").rename(home)


def opens(home: Path) -> KernelError | None:
    """Open the home, let it run a short program, close it; or what it was refused with."""

    async def run() -> None:
        shard = await open_home(home)
        try:
            ended = await shard.kernel.operator.wait_ended(spawn(shard, home, "steps", 3, 100))
            assert ended["result"] == 3, ended
        finally:
            await shard.close()

    try:
        asyncio.run(run())
    except KernelError as error:
        return error
    return None
