"""`run` and `resume`: a kernel in this process, until the run has ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import uvloop

from prytany.abi.budgets import RUN_DEFAULT, Budget, over
from prytany.abi.control import SOCKET, Ended
from prytany.abi.errors import Ebusy, Eintr, Einval, Eio, Enoent, Enospc
from prytany.cli.arguments import given_arguments
from prytany.cli.aside import Aside
from prytany.cli.attached import command, no_home
from prytany.cli.context_memory import context_bytes
from prytany.cli.failure import INTERRUPTED, advised, tell
from prytany.cli.last import last_notices
from prytany.cli.leftovers import end_leftovers
from prytany.cli.may_spend import say_may_spend
from prytany.cli.outflow import Outflow
from prytany.cli.progress import Progress
from prytany.cli.table import in_colour
from prytany.cli.text import note, processes, safe, say
from prytany.cli.totals import total_line
from prytany.cli.wait import show
from prytany.kernel.quotas import DEFAULT_QUOTAS
from prytany.kernel.reactions import Watcher
from prytany.kernel.totals import tree_of
from prytany.ports.store import StoreError, StoreFull, StoreGone
from prytany.runtime.environments import find_python
from prytany.system.announcing import Announcer
from prytany.system.models import name_model, open_models
from prytany.system.programs import find_program, programs_in
from prytany.system.service_manager import ServiceManager
from prytany.system.shard import Shard
from prytany.system.tools import tool_path

DISK_FULL = 75  # EX_TEMPFAIL of sysexits.h
JOURNAL_FAILED = 74  # EX_IOERR


NAMED_MAX = 5
"""How many programs of a file are named to who named another."""
QUIET_S = 10.0
"""After how long without a word a run says that it still goes on."""


UNCONFINED = "workers are NOT confined (--unconfined)"
DAY_MS = 86_400_000


class Terms(NamedTuple):
    """How a kernel is to run in a home."""

    home: Path
    model: str
    running_max: int
    unconfined: bool
    as_json: bool
    tools: Sequence[Path] = ()
    plain: bool = False
    """Lines for what goes on, on a terminal as well."""
    quiet: bool = False
    """What processes do is not said."""
    tags: Sequence[str] = ()
    """Of what is started."""
    keep_ended_days: float = 7.0
    """How long runs that ended are listed."""
    budget: Budget | None = None
    """Of what is run, over what it has by default."""
    running_of: Mapping[int, int] = {}
    """Of a class alone, where it has a bound of its own."""


Start = Callable[[Shard], Awaitable[list[int]]]
"""What gives the roots that are waited for."""


def run_program(terms: Terms, target: str, kwargs: dict[str, Any], unveil: dict[str, str], python: str = "") -> int:
    """Run one program to its end; the exit code of the command."""
    found, asked = find_python(python), name_model(terms.model)

    async def start(shard: Shard) -> list[int]:
        pid = shard.kernel.operator.spawn(
            target, [], kwargs, uid=os.getuid(), unveil=unveil, model=asked, python=found,
            tools=[tool_path(path) for path in terms.tools], tags=terms.tags, budget=over(RUN_DEFAULT, terms.budget),
        )  # fmt: skip
        say_may_spend(shard, pid, terms.as_json)
        return [pid]

    return uvloop.run(session(terms, start, create=True))


def check_program(target: str) -> None:
    """Raise what is wrong with a program, before a folder is made for it: Enoent, Einval, Eacces."""
    advice = "name an async function of a Python file, such as agents/summaries.py:main"
    try:
        find_program(target, "")
    except (Enoent, Einval) as error:
        path = Path(target if target.endswith(".py") else target.rpartition(":")[0])
        if os.path.isfile(path):  # False for what is no path, or is too long for one
            try:
                there = [f"{path}:{name}" for name in programs_in(path)]
            except Einval as broken:
                raise advised(broken, "mend the file, and try again") from None
            if there:
                advice = f"it can be run as {' or '.join(there[:NAMED_MAX])}"
            else:
                advice = f"write an `async def` with the process as its first argument into {path}"
        raise advised(error, advice) from None


def check_terms(arguments: Sequence[str], model: str, python: str) -> None:
    """Raise what is wrong with the terms of a run, before a folder is made for it: Einval, Enoent."""
    given_arguments(arguments, {})
    name_model(model)
    find_python(python)


def resume(terms: Terms) -> int:
    """Let everything in the home go on until each of its runs has ended."""

    async def start(shard: Shard) -> list[int]:
        return [p.pid for p in shard.kernel.table.processes.values() if p.pid == p.run and p.alive]

    return uvloop.run(session(terms, start, create=False))


async def session(terms: Terms, start: Start, *, create: bool, asks: bool = True) -> int:
    """A kernel in the home until the roots that `start` gives have ended; the exit code. A new run `asks` the model of
    the terms, or brings its own."""
    home, tell_note = terms.home, partial(note, as_json=terms.as_json)
    progress = progress_of(terms)
    outflow = Outflow(progress, terms.as_json)
    tell_note(f"home {home}  (look at it with: {command('ps', home)})", home=str(home))
    died = (home / SOCKET).exists()  # what stopped of itself has removed it
    manager = ServiceManager.take(os.environ)
    with manager.starting("opening the journal"):
        shard = await open_shard(terms, outflow, create=create, fresh=create and asks)
    outflow.content = shard.kernel.content
    announcer = Announcer(
        manager, shard.kernel.ledger.journal, lambda: f"{processes(len(shard.kernel.table.running))} running"
    )
    try:
        announcer.begin()
        for said in shard.notes:
            tell_note(said)
        for process in shard.kernel.table.processes.values():
            progress.name(process.pid, process.name, " ".join(process.shown_state()) if process.alive else "")
        if terms.unconfined:
            tell_note(UNCONFINED)
        left = await end_leftovers(shard.kernel)  # of runs whose root ended just before a kernel died
        roots = await start(shard)
        if not create and roots:
            alive = sum(process.alive for process in shard.kernel.table.processes.values())
            why = "the kernel before died; " if died else ""
            tell_note(f"{why}what goes on from the journal, where it was: {processes(alive)}")
        if not roots:
            if not left:
                tell_note(f"nothing to resume in {home}: every run in it has ended")
            return 0
        announcer.ready()
        return await _wait(shard, terms, roots, progress, outflow)
    finally:
        await last_notices(shard, home, terms.as_json)
        announcer.stopping(0)
        announcer.close()
        await shard.close()


def progress_of(terms: Terms) -> Progress:
    """What says how it goes on: a table that is drawn again in its place, for a person who looks at a terminal; else
    lines; nothing where it is to be quiet."""
    if terms.quiet:
        return Progress(lambda text: None, terms.home)
    if terms.plain or terms.as_json or not in_colour(sys.stderr):
        if sys.stderr is not sys.__stderr__:
            return Progress(say, terms.home, terms.as_json)
        aside = Aside()
        return Progress(lambda text: print(safe(text), file=aside), terms.home, terms.as_json)
    from prytany.cli.live import LiveProgress

    return LiveProgress(terms.home)


async def open_shard(terms: Terms, watch: Watcher, *, create: bool, fresh: bool) -> Shard:
    """A kernel in the home, with what to do said where it cannot be."""
    home = terms.home
    ended_run_ms = int(terms.keep_ended_days * DAY_MS)
    quotas = DEFAULT_QUOTAS._replace(ended_run_ms=ended_run_ms, context_bytes=context_bytes())
    try:
        return await Shard.open(
            home, partial(open_models, terms.model, fresh=fresh), create=create, running_max=terms.running_max,
            running_of=terms.running_of, unconfined=terms.unconfined, watch=watch, tools=terms.tools, quotas=quotas,
        )  # fmt: skip
    except Ebusy as error:
        raise advised(error, in_use(error, home)) from None
    except Enoent as error:
        raise error if create else no_home(error, home) from None


def in_use(error: Ebusy, home: Path) -> str:
    """What to do where a kernel has the home; the number that it is named by is the operating system's."""
    holder = error.detail.get("pid")
    end = f"; stop that kernel with `kill {holder}`" if holder else ""
    return (
        f"use the kernel that runs there: `{command('chat', home)}`, `{command('up', home)}`, `{command('ps', home)}`"
        f"{end}; or run elsewhere with another --home"
    )


async def _wait(shard: Shard, terms: Terms, roots: list[int], progress: Progress, outflow: Outflow) -> int:
    """Until the roots have ended, somebody stops it, or the journal fails; the exit code."""
    loop = asyncio.get_running_loop()
    ended = asyncio.gather(*(shard.kernel.operator.wait_ended(pid) for pid in roots))
    interrupted: asyncio.Future[None] = loop.create_future()

    def interrupt() -> None:
        if not interrupted.done():
            interrupted.set_result(None)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    first: list[asyncio.Future[Any]] = [ended, interrupted, shard.failed]
    progress.begin()
    try:
        while not (await asyncio.wait(first, timeout=QUIET_S, return_when=asyncio.FIRST_COMPLETED))[0]:
            alive = [p for p in shard.kernel.table.processes.values() if p.alive]
            progress.go_on(len(alive), sum(p.shown_state()[0].value == "waiting" for p in alive))
    finally:
        progress.end()
        outflow.end()
    if not ended.done():
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)
        if shard.failed.done():
            return broken(terms, shard.failed.result())
        go_on = f"go on with: {command('resume', terms.home)}"
        if terms.as_json:
            tell(advised(Eintr("stopped"), go_on), True)
        else:
            say(f"stopped; {go_on}")
        return INTERRUPTED
    if not shard.failed.done():  # else resume does it
        await end_leftovers(shard.kernel)
    return _report(ended.result(), shard, terms.as_json)


def broken(terms: Terms, error: StoreError, go_on: str = "resume") -> int:
    """Say why the kernel stopped, that nothing is lost, and by which command to go on; the exit code."""
    if isinstance(error, StoreGone):
        gone = Eio(f"stopped: the home {terms.home} was removed, or moved, while its kernel ran")
        gone.add_note(
            f"put it back where it was, or make it of a backup: {command('restore-home FILE', terms.home)}; what was"
            " recorded in a home that was removed is lost with it"
        )
        tell(gone, terms.as_json)
        return JOURNAL_FAILED
    full = isinstance(error, StoreFull)
    told = Enospc(f"stopped: the disk under {terms.home} is full") if full else Eio(
        f"stopped: the journal cannot be written ({error})"
    )  # fmt: skip
    told.add_note("nothing that was acknowledged is lost: ps, trace and logs show it")
    told.add_note(f"{'make room there' if full else 'see to the disk'}, and go on with: {command(go_on, terms.home)}")
    tell(told, terms.as_json)
    return DISK_FULL if full else JOURNAL_FAILED


def _report(ends: list[dict[str, Any]], shard: Shard, as_json: bool) -> int:
    for end in ends:
        root = shard.kernel.table.get(end["pid"])
        if root is not None:
            took = tree_of(shard.kernel.table, root)
            note(f"run {root.pid}: {total_line(took)}", as_json, run=root.pid, took=took)
        show(msgspec.convert(end, Ended), as_json)
    return next((int(end["status"]) for end in ends if end["status"]), 0)
