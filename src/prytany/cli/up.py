"""`up`, `down`, `chat` and `attach`: fleets that stay, on a kernel that runs in the home, or on one that lives here."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from prytany.abi import control
from prytany.abi import events as ev
from prytany.abi.errors import Eagain, Enoent, KernelError
from prytany.cli.attached import command, with_client
from prytany.cli.bringing import bring_command, resolved
from prytany.cli.chat import SESSION, agent_of, talk_with
from prytany.cli.failure import advised, tell
from prytany.cli.fleet import trusted
from prytany.cli.leftovers import end_leftovers
from prytany.cli.plan import show_plan
from prytany.cli.progress import Progress
from prytany.cli.run import Terms, broken, open_shard, progress_of
from prytany.cli.text import json_line, note
from prytany.client import Client, attach
from prytany.system.fleet.comparing import compare
from prytany.system.fleet.resolved import ResolvedFleet
from prytany.system.fleet.trust import remember
from prytany.system.shard import Shard


class Up:
    """A kernel in this process that stays until it is told to stop."""

    def __init__(self, shard: Shard, terms: Terms, progress: Progress) -> None:
        self.shard = shard
        self._terms = terms
        self._progress = progress
        self._terminals = [fd for fd in (0, 1, 2) if os.isatty(fd)]
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reload = asyncio.Event()

    async def bring(self, fleet: ResolvedFleet, digest: str = "") -> control.Plan:
        """Bring a fleet up; `digest` is what of it the operator has trusted now. Raises KernelError."""
        if digest:
            remember(self._terms.home, digest)
        packed = await self.shard.desk.answer(bring_command(fleet), os.getuid())
        return msgspec.msgpack.decode(packed, type=control.Plan)

    async def stay(self, again: Callable[[], tuple[ResolvedFleet, str]]) -> int:
        """Until TERM or Ctrl-C, or until the journal fails; the exit code. At each HUP what `again` gives is brought:
        the fleet, and what of it is trusted anew."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        reloading = asyncio.ensure_future(self._reload_at(again))
        first: list[asyncio.Future[Any]] = [self._stopped, self.shard.failed, reloading]
        self._progress.begin()
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._progress.end()
            if reloading.done():
                reloading.result()  # a bug of ours
            reloading.cancel()
            await asyncio.gather(reloading, return_exceptions=True)
        if self.shard.failed.done():
            return broken(self._terms, self.shard.failed.result())
        note(f"stopped; go on with: {command('up', self._terms.home)}", self._terms.as_json)
        return 0

    def hear_hang_ups(self) -> None:
        """From here on HUP lets the fleet be brought again once this stays, or stops it where its terminal is gone."""

        def hang_up() -> None:
            if self._terminals and not any(map(os.isatty, self._terminals)):
                self._stop()
            else:
                self._reload.set()

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up)

    def _stop(self) -> None:
        if not self._stopped.done():
            self._stopped.set_result(None)

    async def _reload_at(self, again: Callable[[], tuple[ResolvedFleet, str]]) -> None:
        """Bring what is there now, once however often that was asked for meanwhile; a fault changes nothing."""
        while True:
            await self._reload.wait()
            self._reload.clear()
            plan: control.Plan | KernelError | OSError
            try:
                plan = await self.bring(*await asyncio.get_running_loop().run_in_executor(None, again))
            except (KernelError, OSError) as error:
                plan = error
            self._progress.end()  # nobody else writes to the terminal while it is drawn
            if isinstance(plan, control.Plan):
                show_plan(plan, self._terms.as_json)
            else:
                note("the fleet goes on as it was:", self._terms.as_json)
                tell(plan, self._terms.as_json)
            self._progress.begin()


@asynccontextmanager
async def kernel_here(terms: Terms, asks: bool) -> AsyncGenerator[Up]:
    """A kernel in this process; when a root ends, the rest of its run is ended too."""
    progress = progress_of(terms)
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
        progress.name(process.pid, process.name, " ".join(process.shown_state()) if process.alive else "")
    tidying = asyncio.ensure_future(tidy())
    try:
        yield Up(shard, terms, progress)
    finally:
        tidying.cancel()
        await asyncio.gather(tidying, return_exceptions=True)
        await shard.close()


def bring_up(terms: Terms, target: Path, *, trust: bool, dry_run: bool) -> int:
    """Bring a fleet up; the exit code. Where a kernel runs, it is told; else one runs here until it is stopped."""
    fleet = resolved(target, terms.tags)
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
            show_plan(await client.bring_fleet(bring_command(fleet, dry_run=dry_run)), terms.as_json)
            return 0
        finally:
            await client.close()

    def again() -> tuple[ResolvedFleet, str]:
        fleet = resolved(target, terms.tags)
        return fleet, trusted(fleet, (), terms.home, trust, ask=False)

    async def here() -> int:
        if (code := await there()) is not None:
            return code
        if dry_run:
            show_plan(control.Plan.of(fleet.name, 0, compare(None, fleet, {}), dry_run=True), terms.as_json)
            return 0
        async with kernel_here(terms, any(not agent.model for agent in fleet.agents.values())) as up:
            up.hear_hang_ups()
            show_plan(await up.bring(fleet, digest), terms.as_json)
            note(f"home {terms.home}  (look at it with: {command('ps', terms.home)})", terms.as_json)
            return await up.stay(again)

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
        else f"the fleet {fleet} is down; runs asked to end: {ended}"
    )


def _only(names: list[str]) -> str:
    if len(names) != 1:
        said = f"there are {', '.join(names)}" if names else "no fleet is up"
        raise advised(Enoent("which fleet is meant?" if names else said), said)
    return names[0]


def chat(terms: Terms, target: Path, agent: str, *, trust: bool, keep: bool) -> int:
    """A session with an agent; the exit code."""

    async def run() -> int:
        client = await _live(terms.home)
        if client is not None:
            try:
                fleet, name = agent_of(await client.fleets(), agent)
                return await talk_with(
                    client, partial(client.start_agent, fleet, name, {}, SESSION, terms.tags), terms.as_json, keep=keep
                )
            finally:
                await client.close()
        fleet_ = resolved(target)
        name = agent or fleet_.entry
        found = fleet_.agents.get(name)
        if found is None or found.kind != "chat":
            chats = [a.name for a in fleet_.agents.values() if a.kind == "chat"]
            raise advised(
                Enoent(f"there is no chat agent {name!r} in {target}"), f"there are {', '.join(chats) or 'none'}"
            )
        digest = trusted(fleet_, (), terms.home, trust)
        quiet = terms._replace(quiet=True)
        async with kernel_here(quiet, any(not a.model for a in fleet_.agents.values())) as up:
            await up.bring(fleet_, digest)
            own = await attach(terms.home)
            try:
                begin = partial(own.start_agent, fleet_.name, name, {}, SESSION, terms.tags)
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
