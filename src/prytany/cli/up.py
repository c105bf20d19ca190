"""`up` and `down`: fleets that stay, on a kernel that runs in the home, or on one that lives here."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from prytany.abi import control
from prytany.abi import events as ev
from prytany.abi.errors import Enoent
from prytany.cli.attached import command, with_client
from prytany.cli.failure import advised
from prytany.cli.fleet import path_of, trusted
from prytany.cli.leftovers import end_leftovers
from prytany.cli.progress import Progress
from prytany.cli.run import Terms, broken, open_shard
from prytany.cli.text import json_line, note, say
from prytany.client import Client, attach
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import ResolvedFleet, resolve
from prytany.system.fleet.trust import remember
from prytany.system.shard import Shard


class Up:
    """A kernel in this process that stays until it is told to stop."""

    def __init__(self, shard: Shard, terms: Terms) -> None:
        self.shard = shard
        self._terms = terms

    async def stay(self) -> int:
        """Until TERM or Ctrl-C, or until the journal fails; the exit code."""
        loop = asyncio.get_running_loop()
        stopped: asyncio.Future[None] = loop.create_future()

        def stop() -> None:
            if not stopped.done():
                stopped.set_result(None)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        first: list[asyncio.Future[Any]] = [stopped, self.shard.failed]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if self.shard.failed.done():
            return broken(self._terms, self.shard.failed.result())
        note(f"stopped; go on with: {command('up', self._terms.home)}", self._terms.as_json)
        return 0


@asynccontextmanager
async def kernel_here(terms: Terms, asks: bool) -> AsyncGenerator[Up]:
    """A kernel in this process; when a root ends, the rest of its run is ended too."""
    progress = Progress((lambda text: None) if terms.quiet else say, terms.home, terms.as_json)
    ended: asyncio.Queue[int] = asyncio.Queue()

    def watch(seq: int, time_ns: int, events: Sequence[ev.Event]) -> None:
        progress(seq, time_ns, events)
        for event in events:
            if isinstance(event, ev.ProcessExited):
                ended.put_nowait(event.pid)

    async def tidy() -> None:
        await end_leftovers(shard.kernel)  # what the kernel before did not come to
        while True:
            root = shard.kernel.table.get(await ended.get())
            if root is not None and root.pid == root.run and root.kin:  # to look for the rest takes the whole table
                await end_leftovers(shard.kernel)

    shard = await open_shard(terms, watch, create=True, fresh=asks)
    for said in shard.notes:
        note(said, terms.as_json)
    for process in shard.kernel.table.processes.values():
        progress.name(process.pid, process.name)
    tidying = asyncio.ensure_future(tidy())
    try:
        yield Up(shard, terms)
    finally:
        tidying.cancel()
        await asyncio.gather(tidying, return_exceptions=True)
        await shard.close()


def resolved_of(target: Path) -> ResolvedFleet:
    """The fleet that a file, or the folder that holds it, describes. Raises KernelError."""
    path = path_of(target)
    return resolve(load_fleet(path).fleet, path.absolute().parent, {})


def bring_up(terms: Terms, target: Path, *, trust: bool, dry_run: bool) -> int:
    """Bring a fleet up; the exit code. Where a kernel runs, it is told; else one runs here until it is stopped."""
    fleet = resolved_of(target)
    digest = trusted(fleet, (), terms.home, trust)

    async def there() -> int | None:
        try:
            client = await attach(terms.home)
        except Enoent:
            return None
        try:
            if not client.live:
                return None
            if digest:
                remember(terms.home, digest)
            _tell(await client.bring_fleet(msgspec.msgpack.encode(fleet), dry_run=dry_run), terms.as_json, dry_run)
            return 0
        finally:
            await client.close()

    async def here() -> int:
        if (code := await there()) is not None:
            return code
        if dry_run:
            _tell(
                control.Plan(fleet=fleet.name, number=0, added=sorted(fleet.agents), models=sorted(fleet.models)),
                terms.as_json,
                True,
            )
            return 0
        async with kernel_here(terms, any(not agent.model for agent in fleet.agents.values())) as up:
            if digest:
                remember(terms.home, digest)
            packed = await up.shard.desk.answer(control.BringFleet(msgspec.msgpack.encode(fleet)), os.getuid())
            _tell(msgspec.msgpack.decode(packed, type=control.Plan), terms.as_json, False)
            note(f"home {terms.home}  (look at it with: {command('ps', terms.home)})", terms.as_json)
            return await up.stay()

    return uvloop.run(here())


def _tell(plan: control.Plan, as_json: bool, dry_run: bool) -> None:
    if as_json:
        print(json_line(plan))
        return
    if plan.empty and not plan.started:
        print(f"the fleet {plan.fleet} is up as it is; nothing changes")
        return
    would = "would be" if dry_run else "is"
    for verb, names in (("added", plan.added), ("changed", plan.changed), ("removed", plan.removed)):
        for name in names:
            print(f"agent {name} {would} {verb}")
    for name in plan.models:
        print(f"model {name} {would} new, changed or gone")
    if not dry_run:
        print(
            f"the fleet {plan.fleet} is up"
            + (f"; started: {', '.join(map(str, plan.started))}" if plan.started else "")
        )


def take_down(home: Path, name: str, as_json: bool) -> None:
    """Take a fleet down, and ask its runs to end."""

    async def down(client: Client) -> tuple[str, int]:
        fleet = name or _only([row.name for row in await client.fleets() if row.stays])
        return fleet, await client.withdraw_fleet(fleet)

    fleet, ended = with_client(home, down)
    print(
        json_line({"fleet": fleet, "ended": ended})
        if as_json
        else f"the fleet {fleet} is down; runs asked to end: {ended}"
    )


def _only(names: list[str]) -> str:
    if len(names) != 1:
        said = f"there are {', '.join(names)}" if names else "no fleet is up"
        raise advised(Enoent("which fleet is meant?" if names else said), said)
    return names[0]
