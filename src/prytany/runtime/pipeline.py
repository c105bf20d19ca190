"""The program behind `prytany run 'research topic | write | review'`: it joins the stages, and ends as the last does.

    stage ─▶ pipe ─▶ stage ─▶ pipe ─▶ stage ─▶ outlet, which people are shown

A stage that reads streams has the pipe before it as its standard input, and begins at once. Any other begins when
what comes before it is whole, and has that as its last argument. What a stage returns that wrote nothing is what it
gives. A stage that fails ends its pipe: those behind it go on with what there is, as in Unix.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec

from prytany import Process
from prytany.abi.errors import Enoent, Epipe, KernelError
from prytany.userland.piping import Pipe

NOT_BEGUN = 126
"""As a shell has it of a command that cannot be executed."""


class Stage(msgspec.Struct, frozen=True):
    """One stage, as the command line found it."""

    agent: str
    args: list[Any]
    reads: bool
    """It reads its standard input; else it is given what comes before it."""
    chat: bool


async def main(proc: Process, stages: list[dict[str, Any]], pipefail: bool = False) -> None:
    """Run all stages; the status is that of the last, or with `pipefail` of the last that failed."""
    found = msgspec.convert(stages, list[Stage])
    pipes = [await proc.pipe(outlet=at + 1 == len(found)) for at in range(len(found))]
    statuses = await asyncio.gather(
        *(_run(proc, stage, pipes[at - 1] if at else None, pipes[at]) for at, stage in enumerate(found))
    )
    failed = [status for status in statuses if status]
    proc.exit(failed[-1] if pipefail and failed else statuses[-1])


async def _run(proc: Process, stage: Stage, source: Pipe | None, out: Pipe) -> int:
    """One stage, from its input to its end; its status."""
    try:
        pid = await _begin(proc, stage, source, out)
    except KernelError as error:
        proc.log(f"{stage.agent} cannot begin: {error}")
        await _let_go(source)
        await out.output.close()
        return NOT_BEGUN
    await _let_go(source)
    ended = await proc.wait(pid)
    if ended.ok and ended.result is not None and not (await out.look())["written"]:
        with suppress(Epipe):
            await out.output.write(ended.result)
    await out.output.close()
    return ended.status


async def _begin(proc: Process, stage: Stage, source: Pipe | None, out: Pipe) -> int:
    if source is None or stage.reads:
        return await proc.spawn(stage.agent, *stage.args, stdin=source, stdout=out)
    given = await source.input.rest()
    return await proc.spawn(
        stage.agent, *(_prompt(stage.args, given) if stage.chat else [*stage.args, given]), stdout=out
    )


def _prompt(args: list[Any], given: Any) -> list[str]:
    """What a chat agent is asked: its own words, then what comes before it."""
    text = given if isinstance(given, str) else msgspec.json.encode(given, enc_hook=repr).decode()
    return ["\n\n".join(filter(None, [*args, text])) or "(nothing)"]


async def _let_go(source: Pipe | None) -> None:
    """Who reads now is the stage: where that ends, whoever writes hears of it."""
    if source is not None:
        with suppress(Enoent):
            await source.input.close()
