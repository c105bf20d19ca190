"""`up`, `down`, `chat` and `attach`: fleets that stay, on a kernel that runs in the home, or on one that lives here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import uvloop

from prytany.abi import control
from prytany.abi import events as ev
from prytany.abi.errors import Eagain, Enoent
from prytany.cli.attached import command, with_client
from prytany.cli.chat import SESSION, agent_of, talk_with
from prytany.cli.failure import advised
from prytany.cli.last import last_notices
from prytany.cli.leftovers import end_leftovers
from prytany.cli.progress import Progress
from prytany.cli.run import Terms, open_shard
from prytany.cli.staying import Up
from prytany.cli.text import json_line, note, safe, say
from prytany.cli.trusting import path_of, trusted
from prytany.client import Client, attach
from prytany.system.fleet.channels import label_of
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import ResolvedFleet, resolve
from prytany.system.fleet.trust import remember
from prytany.system.notify import Notify

ROOT = (
    "this kernel is root's: workers get a uid each, but files of tools and inline programs run as root."
    " An ordinary user is enough; the unit of `prytany service unit` has one"
)


@asynccontextmanager
async def kernel_here(terms: Terms, asks: bool, notify: Notify) -> AsyncGenerator[Up]:
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

    with notify.starting("opening the journal"):
        shard = await open_shard(terms, watch, create=True, fresh=asks)
    for said in shard.notes:
        note(said, terms.as_json)
    for process in shard.kernel.table.processes.values():
        progress.name(process.pid, process.name)
    tidying = asyncio.ensure_future(tidy())
    try:
        yield Up(shard, terms, notify)
    finally:
        tidying.cancel()
        await asyncio.gather(tidying, return_exceptions=True)
        await last_notices(shard, terms.home, terms.as_json)
        await shard.close()


def _resolved(target: Path) -> ResolvedFleet:
    path = path_of(target)
    return resolve(load_fleet(path).fleet, path.absolute().parent, {})


def bring_up(terms: Terms, target: Path, *, trust: bool, dry_run: bool, drain_s: int) -> int:
    """Bring a fleet up; the exit code. Where a kernel runs, it is told; else one runs here until it is stopped, and
    then drains for so many seconds."""
    notify = Notify.take(os.environ)
    fleet = _resolved(target)
    digest = trusted(fleet, (), terms.home, trust, terms.as_json)

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
        if os.geteuid() == 0 and not dry_run:
            note(ROOT, terms.as_json)
        if dry_run:
            _tell(
                control.Plan(
                    fleet=fleet.name,
                    number=0,
                    added=sorted(fleet.agents),
                    models=sorted(fleet.models),
                    channels=[label_of(notice) for notice in fleet.notify],
                ),
                terms.as_json,
                True,
            )
            return 0
        async with kernel_here(terms, any(not agent.model for agent in fleet.agents.values()), notify) as up:

            async def bring() -> None:
                if digest:
                    remember(terms.home, digest)
                packed = await up.shard.desk.answer(control.BringFleet(msgspec.msgpack.encode(fleet)), os.getuid())
                _tell(msgspec.msgpack.decode(packed, type=control.Plan), terms.as_json, False)
                note(f"home {terms.home}  (look at it with: {command('ps', terms.home)})", terms.as_json)

            return await up.stay(bring, drain_s)

    return uvloop.run(here())


def _tell(plan: control.Plan, as_json: bool, dry_run: bool) -> None:
    if as_json:
        print(json_line(plan))
        return
    if plan.empty and not plan.started:
        print(safe(f"the fleet {plan.fleet} is up as it is; nothing changes"))
        return
    would = "would be" if dry_run else "is"
    for verb, names in (("added", plan.added), ("changed", plan.changed), ("removed", plan.removed)):
        for name in names:
            print(safe(f"agent {name} {would} {verb}"))
    for name in plan.models:
        print(safe(f"model {name} {would} new, changed or gone"))
    for label in plan.channels:
        print(safe(f"notices by {label} {would} new, changed or gone"))
    if not dry_run:
        print(
            safe(f"the fleet {plan.fleet} is up")
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
        else safe(f"the fleet {fleet} is down; runs asked to end: {ended}")
    )


def _only(names: list[str]) -> str:
    if len(names) != 1:
        said = f"there are {', '.join(names)}" if names else "no fleet is up"
        raise advised(Enoent("which fleet is meant?" if names else said), said)
    return names[0]


def chat(terms: Terms, target: Path, agent: str, *, trust: bool, keep: bool) -> int:
    """A session with an agent; the exit code."""

    Notify.take(os.environ)  # nobody is told of a session, and nothing that it starts can be

    async def run() -> int:
        client = await _live(terms.home)
        if client is not None:
            try:
                fleet, name = agent_of(await client.fleets(), agent)
                return await talk_with(
                    client, partial(client.start_agent, fleet, name, {}, SESSION), terms.as_json, keep=keep
                )
            finally:
                await client.close()
        fleet_ = _resolved(target)
        name = agent or fleet_.entry
        found = fleet_.agents.get(name)
        if found is None or found.kind != "chat":
            chats = [a.name for a in fleet_.agents.values() if a.kind == "chat"]
            raise advised(
                Enoent(f"there is no chat agent {name!r} in {target}"), f"there are {', '.join(chats) or 'none'}"
            )
        digest = trusted(fleet_, (), terms.home, trust, terms.as_json)
        quiet = terms._replace(quiet=True)
        async with kernel_here(quiet, any(not a.model for a in fleet_.agents.values()), Notify()) as up:
            if digest:
                remember(terms.home, digest)
            await up.shard.desk.answer(control.BringFleet(msgspec.msgpack.encode(fleet_)), os.getuid())
            own = await attach(terms.home)
            try:
                begin = partial(own.start_agent, fleet_.name, name, {}, SESSION)
                return await talk_with(own, begin, terms.as_json, keep=keep)
            finally:
                await own.close()

    return uvloop.run(run())


def attach_to(home: Path, pid: int, as_json: bool) -> int:
    """Go on with a session; the exit code."""

    async def run() -> int:
        client = await _live(home)
        if client is None:
            raise advised(Eagain("nothing runs in this home"), f"bring its fleet up again with: {command('up', home)}")

        async def begun() -> int:
            await client.inspect(pid)
            return pid

        try:
            return await talk_with(client, begun, as_json, keep=True)
        finally:
            await client.close()

    return uvloop.run(run())


async def _live(home: Path) -> Client | None:
    try:
        client = await attach(home)
    except Enoent:
        return None
    if client.live:
        return client
    await client.close()
    return None
