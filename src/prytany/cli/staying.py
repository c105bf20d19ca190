"""A kernel that stays: it brings its fleet, says that it is ready, goes on until it is told to stop, and drains."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from prytany.abi import control
from prytany.abi.errors import Eio, KernelError
from prytany.cli.attached import command
from prytany.cli.bringing import bring_command
from prytany.cli.failure import INTERRUPTED, tell
from prytany.cli.held import HangUps
from prytany.cli.last import last_notices
from prytany.cli.others import Others
from prytany.cli.plan import show_plan
from prytany.cli.progress import Progress
from prytany.cli.run import Terms, broken
from prytany.cli.stopping import Stops
from prytany.cli.text import close_output, note, processes
from prytany.client import attach
from prytany.kernel.draining import UnderWay
from prytany.system.announcing import Announcer
from prytany.system.fleet.lacking import GIVE
from prytany.system.fleet.resolved import ResolvedFleet
from prytany.system.fleet.trust import remember
from prytany.system.service_manager import ServiceManager
from prytany.system.shard import Shard

Again = Callable[[], tuple[ResolvedFleet, str]]
WORD_S = 5.0
"""Between two words on how the draining goes."""
NOTHING = UnderWay()


class Up:
    """A kernel in this process that stays until it is told to stop."""

    def __init__(self, shard: Shard, terms: Terms, manager: ServiceManager, progress: Progress, others: Others) -> None:
        """The kernel runs; nobody listens for signals yet."""
        self.shard = shard
        self._terms = terms
        self._manager = manager
        self._progress = progress
        self._others = others

    async def bring(self, fleet: ResolvedFleet, digest: str = "") -> control.Plan:
        """Bring a fleet up; `digest` is what of it the operator has trusted now. Raises KernelError."""
        return await self._bring(fleet, digest, os.environ)

    async def _bring(self, fleet: ResolvedFleet, digest: str, variables: Mapping[str, str]) -> control.Plan:
        if digest:
            remember(self._terms.home, digest)
        self._others.own = True
        try:
            packed = await self.shard.desk.answer(bring_command(fleet, environment=variables), os.getuid())
        finally:
            self._others.own = False
        return msgspec.msgpack.decode(packed, type=control.Plan)

    async def come_back(self, fleet: ResolvedFleet, digest: str) -> control.Plan:
        """Bring a fleet up, the first one of this kernel: one that was up in the home goes without secrets that cannot
        be had, which is said. Raises KernelError."""
        if digest:
            remember(self._terms.home, digest)
        fleets = self.shard.desk.fleets
        assert fleets is not None
        self._others.own = True
        try:
            plan = await fleets.come_back(bring_command(fleet), os.getuid())
        finally:
            self._others.own = False
        if new := [said for said in fleets.lacking() if said not in self.shard.notes]:
            for said in [*new, GIVE]:
                note(said, self._terms.as_json)
        return plan

    async def stay(self, bring: Callable[[], Awaitable[None]], again: Again, hang_ups: HangUps, drain_s: int) -> int:
        """Bring what is to stay, and go on until TERM or Ctrl-C, or until the journal fails; the exit code.

        At each HUP, those that came before included, what `again` gives is brought: the fleet, and what of it is
        trusted anew.

        Raises:
            KernelError: it could not be brought.
        """
        shard, stops = self.shard, Stops()
        announcer = Announcer(self._manager, shard.kernel.ledger.journal, self._status)
        announcer.begin()
        first: list[asyncio.Future[Any]] = [stops.first, shard.failed]
        hung_up = self._hear(hang_ups, stops)
        try:
            if await self._brought(bring, first):
                announcer.ready()
                self._tell_fault()
                await self._go_on(first, hung_up, again, announcer)
            if shard.failed.done():
                return broken(self._terms, shard.failed.result(), "up")
            announcer.stopping(drain_s)
            cut = await self._drain(stops, drain_s)
            if shard.failed.done():
                return broken(self._terms, shard.failed.result(), "up")
        finally:
            await last_notices(shard, self._terms.home, self._terms.as_json, stops.second)
            announcer.close()
            hang_ups.hear(None)
        self._say_end(cut)
        return INTERRUPTED if cut else 0

    def _hear(self, hang_ups: HangUps, stops: Stops) -> asyncio.Event:
        """Set at each HUP; where its terminal is gone, HUP stops the kernel."""
        hung_up, loop = asyncio.Event(), asyncio.get_running_loop()

        def hang_up() -> None:
            if hang_ups.terminal_gone:
                stops.told()
            else:
                hung_up.set()

        # Not a handler of the loop's: one that is taken away leaves a signal to end the process.
        hang_ups.hear(lambda: loop.call_soon_threadsafe(hang_up))
        return hung_up

    async def _go_on(
        self, first: list[asyncio.Future[Any]], hung_up: asyncio.Event, again: Again, announcer: Announcer
    ) -> None:
        """Until something of `first` is done; at each HUP the fleet is brought again."""
        reloading = asyncio.ensure_future(self._reload_at(hung_up, again, announcer))
        self._progress.begin()
        try:
            await asyncio.wait([*first, reloading], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._progress.end()
            if reloading.done():
                reloading.result()  # a bug of ours
            reloading.cancel()
            await asyncio.gather(reloading, return_exceptions=True)

    async def _reload_at(self, hung_up: asyncio.Event, again: Again, announcer: Announcer) -> None:
        """Bring what is there now, once however often that was asked for meanwhile; a fault changes nothing."""
        while True:
            await hung_up.wait()
            hung_up.clear()
            announcer.reloading()
            plan: control.Plan | KernelError | OSError
            try:
                found = await asyncio.get_running_loop().run_in_executor(None, again)
                plan = await self._bring(*found, variables={})  # it keeps those of the last `up`
            except (KernelError, OSError) as error:
                plan = error
            self._progress.end()  # nobody else writes to the terminal while it is drawn
            if isinstance(plan, control.Plan):
                try:
                    show_plan(plan, self._terms.as_json)
                except OSError:  # who read it is gone; that is no end of a kernel that stays
                    close_output()
            else:
                note("the fleet goes on as it was:", self._terms.as_json)
                tell(plan, self._terms.as_json)
            announcer.ready()
            self._progress.begin()

    async def _brought(self, bring: Callable[[], Awaitable[None]], first: list[asyncio.Future[Any]]) -> bool:
        """Whether it is up, and the kernel answers on its socket; False where it was told to stop
        meanwhile, or its journal failed."""

        async def all_of_it() -> None:
            await bring()
            if self._manager.there:
                client = await attach(self._terms.home)
                try:
                    if not client.live:
                        raise Eio("the kernel does not answer on its control socket")
                    await client.status()
                finally:
                    await client.close()

        bringing = asyncio.ensure_future(all_of_it())
        await asyncio.wait([bringing, *first], return_when=asyncio.FIRST_COMPLETED)
        if bringing.done():
            try:
                bringing.result()
            except KernelError:
                if not self.shard.failed.done():
                    raise
                return False  # the journal failed under it, and says more
            return True
        bringing.cancel()
        await asyncio.gather(bringing, return_exceptions=True)
        return False

    async def _drain(self, stops: Stops, drain_s: int) -> UnderWay:
        """Let end what is under way, for so long, or until told again; what is cut."""
        draining, loop = self.shard.drain(), asyncio.get_running_loop()
        left, until_s = draining.under_way(), loop.time() + drain_s
        if left and drain_s:
            self._say(f"draining for up to {drain_s} s: {left}; TERM or Ctrl-C again stops at once", drain_s, left)
        quiet = asyncio.ensure_future(draining.until_quiet())
        first: list[asyncio.Future[Any]] = [quiet, stops.second, self.shard.failed]
        try:
            while (remains_s := until_s - loop.time()) > 0:
                done, _ = await asyncio.wait(first, timeout=min(remains_s, WORD_S), return_when=asyncio.FIRST_COMPLETED)
                if done:
                    break
                left = draining.under_way()
                self._say(f"draining, {round(until_s - loop.time())} s left: {left}", round(remains_s), left)
        finally:
            quiet.cancel()
            await asyncio.gather(quiet, return_exceptions=True)
        return NOTHING if draining.quiet else draining.under_way()

    def _say(self, text: str, seconds: int, left: UnderWay) -> None:
        note(text, self._terms.as_json, draining_s=seconds, under_way=left._asdict())
        self._manager.tell(STATUS=text)

    def _say_end(self, cut: UnderWay) -> None:
        said = f"stopped in the middle of {cut}" if cut else "stopped"
        note(f"{said}; go on with: {command('up', self._terms.home)}", self._terms.as_json, cut=cut._asdict())

    def _status(self) -> str:
        """What it does, in a line: names of fleets are letters, and nothing here is an agent's text."""
        kernel = self.shard.kernel
        names = [fleet.name for fleet in kernel.fleets.fleets.values() if fleet.stays]
        table, waiting = kernel.table, len(kernel.table.incidents)
        alive = f"{processes(len(table.processes))}, {len(table.running)} running"
        person = f", {waiting} waiting for a person" if waiting else ""
        return f"{', '.join(names[:5]) or 'no fleet'} up; {alive}{person}"

    def _tell_fault(self) -> None:
        if self._manager.fault:
            note(self._manager.fault, self._terms.as_json)
