"""`up` and `down`: fleets that stay, on a kernel that runs in the home, or on one that lives here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import uvloop

from prytany.abi import control
from prytany.abi import events as ev
from prytany.abi.errors import Ebusy, Enoent
from prytany.cli.attached import command, reach, with_client
from prytany.cli.bringing import bring_command, resolved
from prytany.cli.failure import advised
from prytany.cli.heeded import asked_by_nobody, only_at_begin
from prytany.cli.held import HangUps
from prytany.cli.leftovers import end_leftovers
from prytany.cli.may_spend import say_estimates, say_of_fleet, tell_may_spend
from prytany.cli.others import Others
from prytany.cli.plan import show_plan
from prytany.cli.run import UNCONFINED, Terms, open_shard, progress_of
from prytany.cli.staying import Up
from prytany.cli.text import json_line, note, safe
from prytany.cli.trusting import trusted
from prytany.client import Client
from prytany.drivers.clocks.system import SystemClock
from prytany.system.estimating import of_rows
from prytany.system.fleet.comparing import compare
from prytany.system.fleet.resolved import ResolvedFleet
from prytany.system.fleet.trust import remember
from prytany.system.service_manager import ServiceManager

OF_KERNEL = ("model", "running", "running_of", "unconfined", "keep_ended", "drain", "plain")
"""Options of `up` that only a kernel heeds which begins."""
ROOT = (
    "this kernel is root's: workers get a uid each, but files of tools and inline programs run as root."
    " An ordinary user is enough; the unit of `prytany service unit` has one"
)


BEGINNING_MS = 5_000
"""That a kernel is waited for which has taken the home and does not answer yet."""
AGAIN_MS = 100


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
    if terms.unconfined:
        note(UNCONFINED, terms.as_json)
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
    terms: Terms, target: Path, hang_ups: HangUps, *, trust: bool, dry_run: bool, drain_s: int,
    given: Collection[str] = (),
) -> int:  # fmt: skip
    """Bring a fleet up; the exit code. Where a kernel runs, it is told; else one runs here until it is stopped, and
    then drains for so many seconds; at each HUP it looks at the file again. `given` are the options that were typed."""
    manager = ServiceManager.take(os.environ)
    fleet = resolved(target, terms.tags, terms.budget)
    digest = trusted(fleet, (), terms.home, trust, terms.as_json)
    opened = asyncio.Event()

    async def tell_estimates(client: Client) -> None:
        rows = await client.ps()
        say_estimates(partial(of_rows, rows, "", fleet.name), fleet.name, fleet.agents, terms.as_json)

    async def there() -> int | None:
        try:
            client = await reach(terms.home)
        except Enoent:
            return None
        try:
            if not client.live:
                if dry_run:
                    await tell_estimates(client)
                return None
            only_at_begin(OF_KERNEL, given, terms.home, terms.as_json)
            if digest:
                remember(terms.home, digest)
            plan = await client.bring_fleet(bring_command(fleet, dry_run=dry_run))
            show_plan(plan, terms.as_json)
            await tell_may_spend(client, plan.started, terms.as_json)
            if not plan.empty:
                await tell_estimates(client)
            return 0
        finally:
            await client.close()

    def again() -> tuple[ResolvedFleet, str]:
        fleet = resolved(target, terms.tags, terms.budget)
        return fleet, trusted(fleet, (), terms.home, trust, ask=False)

    async def here() -> int:
        if dry_run:
            show_plan(control.Plan.of(fleet.name, 0, compare(None, fleet, {}), dry_run=True), terms.as_json)
            return 0
        asked_by_nobody(terms.model, fleet, terms.as_json)
        async with kernel_here(terms, any(not agent.model for agent in fleet.agents.values()), manager) as up:
            opened.set()
            if os.geteuid() == 0:
                note(ROOT, terms.as_json)

            async def bring() -> None:
                plan = await up.come_back(fleet, digest)
                show_plan(plan, terms.as_json, was_down=True)
                say_of_fleet(up.shard, fleet.name, list(fleet.agents), plan.started, terms.as_json)
                note(f"home {terms.home}  (look at it with: {command('ps', terms.home)})", terms.as_json)

            return await up.stay(bring, again, hang_ups, drain_s)

    return uvloop.run(_there_or_here(there, here, opened))


async def _there_or_here(
    there: Callable[[], Awaitable[int | None]], here: Callable[[], Awaitable[int]], opened: asyncio.Event
) -> int:
    """On the kernel that runs, or on one here; where another has taken the home and does not answer yet, on that one
    when it does. Raises KernelError."""
    clock = SystemClock()
    until_ns = clock.now_ns() + BEGINNING_MS * 1_000_000
    while (code := await there()) is None:
        try:
            return await here()
        except Ebusy:
            if opened.is_set() or clock.now_ns() >= until_ns:
                raise
        await clock.sleep_until(clock.now_ns() + AGAIN_MS * 1_000_000)
    return code


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
