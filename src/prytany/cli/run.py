"""`run` and `resume`: a kernel in this process, until the run has ended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from prytany.abi.errors import Ebusy
from prytany.cli.attached import command
from prytany.cli.leftovers import end_leftovers
from prytany.cli.progress import Progress
from prytany.cli.text import say
from prytany.cli.totals import total_line
from prytany.cli.wait import show_end
from prytany.kernel.totals import tree_of
from prytany.ports.store import StoreError, StoreFull
from prytany.runtime.environments import find_python
from prytany.system.models import name_model, open_models
from prytany.system.shard import Shard
from prytany.system.tools import tool_path

INTERRUPTED = 130
DISK_FULL = 75  # EX_TEMPFAIL of sysexits.h
JOURNAL_FAILED = 74  # EX_IOERR


def run_program(
    home: Path, target: str, kwargs: dict[str, Any], unveil: dict[str, str], *, model: str, running_max: int,
    unconfined: bool, python: str = "", tools: Sequence[Path] = (),
) -> int:  # fmt: skip
    """Run one program to its end; the exit code of the command."""
    found, asked = find_python(python), name_model(model)

    async def start(shard: Shard) -> list[int]:
        pid = shard.kernel.operator.spawn(
            target, [], kwargs, uid=os.getuid(), unveil=unveil, model=asked, python=found,
            tools=[tool_path(path) for path in tools],
        )  # fmt: skip
        return [pid]

    return uvloop.run(_session(home, start, model, running_max, unconfined, create=True, tools=tools))


def resume(home: Path, *, model: str, running_max: int, unconfined: bool) -> int:
    """Let everything in the home go on until each of its runs has ended."""

    async def start(shard: Shard) -> list[int]:
        return [p.pid for p in shard.kernel.table.processes.values() if p.pid == p.run and p.alive]

    return uvloop.run(_session(home, start, model, running_max, unconfined, create=False))


async def _session(
    home: Path, start: Any, model: str, running_max: int, unconfined: bool, *, create: bool, tools: Sequence[Path] = ()
) -> int:
    progress = Progress(say, home)
    try:
        shard = await Shard.open(
            home, partial(open_models, model, fresh=create), create=create, running_max=running_max,
            unconfined=unconfined, watch=progress, tools=tools,
        )  # fmt: skip
    except Ebusy as error:
        raise Ebusy(
            f"{error.message}; look with `{command('ps', home)}`, end one with `{command('kill PID', home)}`,"
            " or run elsewhere with another --home",
            detail=error.detail,
        ) from None
    try:
        for note in shard.notes:
            say(note)
        for process in shard.kernel.table.processes.values():
            progress.name(process.pid, process.name)
        if unconfined:
            say("workers are NOT confined (--unconfined)")
        left = end_leftovers(shard.kernel, say)  # of runs whose root ended just before a kernel died
        roots = await start(shard)
        if not roots and left:
            return 0
        if not roots:
            say(f"nothing to resume in {home}")
            return 0
        ended = asyncio.gather(*(shard.kernel.operator.wait_ended(pid) for pid in roots))
        interrupted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def interrupt() -> None:
            if not interrupted.done():
                interrupted.set_result(None)

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, interrupt)
        first: list[asyncio.Future[Any]] = [ended, interrupted, shard.failed]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
            if shard.failed.done():
                return _broken(home, shard.failed.result())
            say(f"stopped; go on with: {command('resume', home)}")
            return INTERRUPTED
        if not shard.failed.done():  # else resume does it
            end_leftovers(shard.kernel, say)
        return _report(ended.result(), shard)
    finally:
        await shard.close()


def _broken(home: Path, error: StoreError) -> int:
    """Say why the kernel stopped, that nothing is lost, and how to go on; the exit code."""
    full = isinstance(error, StoreFull)
    say(f"stopped: the disk under {home} is full" if full else f"stopped: the journal cannot be written ({error})")
    say("nothing that was acknowledged is lost: ps, trace and logs show it")
    say(f"{'make room there' if full else 'see to the disk'}, and go on with: prytany resume --home {home}")
    return DISK_FULL if full else JOURNAL_FAILED


def _report(ends: list[dict[str, Any]], shard: Shard) -> int:
    status = 0
    for end in ends:
        root = shard.kernel.table.get(end["pid"])
        if root is not None:
            say(f"run {root.pid}: {total_line(tree_of(shard.kernel.table, root))}")
        show_end(end["result"], end["error"])
        status = status or end["status"]
    return int(status)
