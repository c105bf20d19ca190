"""`up` and `down`: fleets that stay, on a kernel that runs in the home, or on one that lives here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from prytany.abi import control
from prytany.abi import events as ev
from prytany.abi.errors import Enoent
from prytany.cli.attached import command, reach, with_client
from prytany.cli.bringing import bring_command, resolved
from prytany.cli.failure import advised
from prytany.cli.leftovers import end_leftovers
from prytany.cli.may_spend import SHOWN, say_may_spend, tell_may_spend
from prytany.cli.others import Others
from prytany.cli.plan import show_plan
from prytany.cli.run import Terms, open_shard, progress_of
from prytany.cli.staying import Up
from prytany.cli.text import json_line, note, safe
from prytany.cli.trusting import trusted
from prytany.client import Client
from prytany.system.fleet.comparing import compare
from prytany.system.fleet.resolved import ResolvedFleet
from prytany.system.fleet.trust import remember
from prytany.system.service_manager import ServiceManager

ROOT = (
    "this kernel is root's: workers get a uid each, but files of tools and inline programs run as root."
    " An ordinary user is enough; the unit of `prytany service unit` has one"
)


@asynccontextmanager
async def kernel_here(terms: Terms, asks: bool, manager: ServiceManager) -> AsyncGenerator[Up]:
    """A kernel in this process; when a root ends, the rest of its run is ended too. Who has it sees to the last
    notices."""
    progress = progress_of(terms)
    others = Others(progress)
    ended: asyncio.Queue[int] = asyncio.Queue()

    def watch(seq: int, time_ns: int, events: Sequence[ev.Event]) -> None:
        progress(seq, time_ns, events)
        others(events)
        for event in events:
            if isinstance(event, ev.ProcessExited):
                ended.put_nowait(event.pid)

    async def tidy() -> None:
        await end_leftovers(shard.kernel)  # what the kernel before did not come to
        while True:
            root = shard.kernel.table.get(await ended.get())
            if root is not None and root.pid == root.run and root.kin:  # to look for the rest takes the whole table
                await end_leftovers(shard.kernel)

    with manager.starting("opening the journal"):
        shard = await open_shard(terms, watch, create=True, fresh=asks)
    for said in shard.notes:
        note(said, terms.as_json)
    for process in shard.kernel.table.processes.values():
        progress.name(process.pid, process.name, " ".join(process.shown_state()) if process.alive else "")
    tidying = asyncio.ensure_future(tidy())
    try:
        yield Up(shard, terms, manager, progress, others)
    finally:
        tidying.cancel()
        await asyncio.gather(tidying, return_exceptions=True)
        await shard.close()


def bring_up(
    terms: Terms, target: Path, *, trust: bool, dry_run: bool, drain_s: int, of_kernel: Sequence[str] = ()
) -> int:
    """Bring a fleet up; the exit code. Where a kernel runs, it is told; else one runs here until it is stopped, and
    then drains for so many seconds. `of_kernel` are the options typed that hold for a kernel that begins."""
    manager = ServiceManager.take(os.environ)
    fleet = resolved(target, terms.tags)
    digest = trusted(fleet, (), terms.home, trust, terms.as_json)

    async def there() -> int | None:
        try:
            client = await reach(terms.home)
        except Enoent:
            return None
        try:
            if not client.live:
                return None
            if of_kernel:
                note(f"{', '.join(of_kernel)}: only for a kernel that begins; the one that runs goes on as it is",
                     terms.as_json)  # fmt: skip
            if digest:
                remember(terms.home, digest)
            plan = await client.bring_fleet(bring_command(fleet, dry_run=dry_run))
            show_plan(plan, terms.as_json)
            await tell_may_spend(client, plan.started, terms.as_json)
            return 0
        finally:
            await client.close()

    def again() -> tuple[ResolvedFleet, str]:
        fleet = resolved(target, terms.tags)
        return fleet, trusted(fleet, (), terms.home, trust, ask=False)

    async def here() -> int:
        if (code := await there()) is not None:
            return code
        if os.geteuid() == 0 and not dry_run:
            note(ROOT, terms.as_json)
        if dry_run:
            show_plan(control.Plan.of(fleet.name, 0, compare(None, fleet, {}), dry_run=True), terms.as_json)
            return 0
        async with kernel_here(terms, any(not agent.model for agent in fleet.agents.values()), manager) as up:

            async def bring() -> None:
                plan = await up.bring(fleet, digest)
                show_plan(plan, terms.as_json, was_down=True)
                for pid in plan.started[:SHOWN]:
                    say_may_spend(up.shard, pid, terms.as_json)
                note(f"home {terms.home}  (look at it with: {command('ps', terms.home)})", terms.as_json)

            return await up.stay(bring, again, drain_s)

    return uvloop.run(here())


def take_down(home: Path, name: str, as_json: bool) -> None:
    """Take a fleet down, and ask its runs to end."""

    async def down(client: Client) -> tuple[str, int]:
        fleet = name or _only([row.name for row in await client.fleets() if row.stays])
        return fleet, await client.withdraw_fleet(fleet)

    fleet, ended = with_client(home, down)
    print(
        json_line({"fleet": fleet, "ended": ended})
        if as_json
        else safe(f"the fleet {fleet} is down; runs asked to end: {ended}")
    )


def _only(names: list[str]) -> str:
    if len(names) != 1:
        if not names:
            raise advised(Enoent("no fleet is up"), "bring one up with: prytany up")
        raise advised(Enoent("which fleet is meant?"), f"name one of {', '.join(names)}")
    return names[0]
