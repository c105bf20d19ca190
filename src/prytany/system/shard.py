"""One shard, opened: home, store, journal, fold, kernel."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from prytany import __version__
from prytany.abi import limits
from prytany.abi.errors import KernelError
from prytany.drivers.clocks.steady import SteadyClock
from prytany.drivers.clocks.system import SystemClock
from prytany.drivers.files.beneath import BeneathFiles
from prytany.drivers.memory.linux import LinuxMemory
from prytany.drivers.watches.polling import PollingWatch
from prytany.journal.anchor import Anchor, Head
from prytany.journal.home import Home
from prytany.journal.place import mark_place
from prytany.journal.writer import Journal
from prytany.kernel.draining import Draining
from prytany.kernel.effects import Outside
from prytany.kernel.kernel import Kernel
from prytany.kernel.ledger import Durable, Ledger
from prytany.kernel.letting_go import keep_letting_go
from prytany.kernel.quotas import DEFAULT_QUOTAS, Quotas
from prytany.kernel.reactions import Watcher
from prytany.kernel.state import ShardState
from prytany.ports.memory import Memory
from prytany.ports.model import Model
from prytany.ports.runner import Runner
from prytany.ports.store import Store, StoreError
from prytany.runtime import priority
from prytany.runtime.confined import ConfinedRunner
from prytany.runtime.environments import Environments
from prytany.runtime.inline import InlineRunner
from prytany.runtime.roster import Roster
from prytany.system.collector import look_less_often
from prytany.system.control import ControlServer
from prytany.system.desk import Desk, Facts
from prytany.system.disk import watch_disk
from prytany.system.fleet.bringing import bring_back, environment_of, tools_of, withhold_variables
from prytany.system.fleet.desk import FleetDesk
from prytany.system.fleet.drivers import Drivers
from prytany.system.fleet.lacking import GIVE, may_lack
from prytany.system.fleet.models import is_of_fleet
from prytany.system.logs import Logs
from prytany.system.lookups import Programs
from prytany.system.memory import watch_memory
from prytany.system.model_prices import look_up_prices
from prytany.system.opening import Opened, open_journal, store_errors
from prytany.system.removal import watch_home
from prytany.system.tools import open_tools

LATER = (
    "kernel.forgetting", "kernel.collecting", "kernel.archiving", "system.archive_desk", "drivers.models.openai",
    "drivers.models.scripted", "system.fleet.secrets", "runtime.chat",
)  # fmt: skip
_WATCH = PollingWatch()


def load_all() -> None:
    """Load what a kernel would load only when it is wanted. An upgrade of the package changes files under it, and a
    kernel of two versions is none."""
    for name in LATER:
        importlib.import_module(f"prytany.{name}")


def _journal(
    store: Store, head: Head, ledger: Ledger, kernel: Kernel, failed: asyncio.Future[StoreError], home: Home
) -> Journal:
    """The journal's writer; when it fails, the kernel takes no input any more."""

    stop = partial(_stop, kernel, failed)
    loop = asyncio.get_running_loop()
    return Journal(store, loop, head, ledger.on_durable, stop, anchor=Anchor(home.anchor))


def _stop(kernel: Kernel, failed: asyncio.Future[StoreError], error: StoreError) -> None:
    """What is found out first counts."""
    kernel.fail()
    if not failed.done():
        failed.set_result(error)


def _confined(logs: Logs, roster: Roster, unconfined: bool) -> dict[str, Runner]:
    """The runners of a kernel that was given no others."""
    return {
        "python": ConfinedRunner(sys.executable, logs.append, unconfined=unconfined, roster=roster),
        "inline": InlineRunner({}, logs.append),
    }


def _open(path: Path, notes: list[str], *, create: bool) -> tuple[Home, Roster, Opened, ExitStack]:
    """The home's lock, first of all; what an earlier kernel left, ended; then the journal; and what closes them."""
    look_less_often()
    with ExitStack() as stack, store_errors():
        home = stack.enter_context(closing(Home(path, create=create)))
        roster = Roster(path / "workers")
        if left := roster.end_leftovers():
            notes.append(f"workers of a kernel that died were still there, and are ended: {left}")
        journal = open_journal(home)
        stack.callback(journal.store.close)
        stack.callback(journal.reader.close)
        return home, roster, journal, stack.pop_all()


def _live_models(state: ShardState) -> set[str]:
    """The recorded models of the runs that go on, by their roots: children have the same."""
    return {p.model for p in state.table.processes.values() if p.alive and p.pid == p.run and not is_of_fleet(p.model)}


def _facts(home: str, confined: bool, running_max: int, models: list[str], *, runs: bool) -> Facts:
    os_pid, since_ns = (os.getpid(), SystemClock().now_ns()) if runs else (0, 0)
    return Facts(__version__, os_pid, home, confined, running_max, since_ns, models)


class Shard:
    """An opened home with its running kernel."""

    def __init__(
        self, home: Home, kernel: Kernel, logs: Logs, failed: asyncio.Future[StoreError], desk: Desk,
        drivers: Drivers, opened: ExitStack, notes: list[str],
    ) -> None:  # fmt: skip
        self.home = home
        self.desk = desk
        self.drivers = drivers
        self._opened = opened
        self.notes = notes
        """What the operator ought to know of how it was opened."""
        self._control: ControlServer | None = None
        self._disk: asyncio.Task[None] | None = None
        self._memory: asyncio.Task[None] | None = None
        self._there: asyncio.Task[None] | None = None
        self._ageing: asyncio.Future[None] | None = None
        self._processor: asyncio.Future[None] | None = None
        self.kernel = kernel
        self.logs = logs
        self.failed = failed

    @classmethod
    async def open(
        cls,
        path: Path,
        models: dict[str, Model] | Callable[[Collection[str]], dict[str, Model]],
        *,
        create: bool = True,
        running_max: int = limits.RUNNING_MAX,
        running_of: Mapping[int, int] | None = None,
        workers_max: int = limits.WORKERS_MAX,
        unconfined: bool = False,
        runners: Callable[[Logs], dict[str, Runner]] | None = None,
        watch: Watcher | None = None,
        tools: Sequence[Path] = (),
        idle: bool = False,
        quotas: Quotas = DEFAULT_QUOTAS,
        memory: Memory | None = None,
    ) -> Shard:
        """Open the home, and let everything in it go on, under the operators' control.

        Args:
            path: the home; made when it is not there and `create` says so.
            models: by name, "" is the default one; or what gives them for the names that are recorded of what goes on.
            create: whether a new home may be made.
            running_max: how many processes run at once; `running_of`: of a class alone, where that is bounded.
            workers_max: how many have a worker at once, but for those that run; the others that wait are put away.
            unconfined: accept that workers are not confined.
            runners, watch: other runners than the confined one; who is told of every durable entry.
            tools: files of tools for a new run; those of the runs that go on are loaded anyway.
            idle: let nothing go on: what is commanded is recorded, for whoever resumes.
            quotas, memory: what may be put into the journal; what says how much memory is left, else the machine.

        Raises:
            Ebusy: another kernel runs in this home.
            Eacces: it belongs to somebody else, or others may look into it.
            Eio: its journal cannot be read, or is damaged. Others: its tools cannot be used; see `system.tools`.
        """
        notes: list[str] = []
        home, roster, (store, reader, keyring, folded), opened = _open(path, notes, create=create)
        with opened:  # until the shard has it
            failed: asyncio.Future[StoreError] = asyncio.get_running_loop().create_future()
            drivers = Drivers(models(_live_models(folded.state)) if callable(models) else models)
            logs = Logs(path)
            made = runners(logs) if runners else _confined(logs, roster, unconfined)
            reactions, clock = list[Callable[[Durable], None]](), SteadyClock(folded.state.table.time_ns)
            ledger = Ledger(folded.state, keyring, clock, lambda entry: reactions[0](entry))
            programs = Programs(SystemClock().now_ns)
            outside = Outside(clock, drivers.models, BeneathFiles(), drivers.tools, drivers.couriers, str(path), _WATCH)
            kernel = Kernel(
                ledger, outside, made, reader, programs.find, os.urandom, running_max=running_max,
                workers_max=workers_max, watch=watch, quotas=quotas, environment=Environments().identity,
                programs=programs,
            )  # fmt: skip
            kernel.idle, kernel.places.bounds = idle, dict(running_of or {})
            reactions.append((lambda entry: None) if idle else kernel.react)
            ledger.attach(_journal(store, folded.head, ledger, kernel, failed, home))
            ledger.snapshots.begin(folded)
            desk = Desk(kernel, _facts(str(path), not unconfined, running_max, sorted(drivers.models), runs=not idle))
            shard = cls(home, kernel, logs, failed, desk, drivers, opened.pop_all(), notes)
        return shard if idle else await shard.begin(tools, memory or LinuxMemory())

    async def begin(self, tools: Sequence[Path], memory: Memory) -> Shard:
        """Load the tools, let everything go on, and take commands on the home's control socket; raises KernelError."""
        try:
            load_all()
            ledger = self.kernel.ledger
            withhold_variables(self.kernel, self.drivers)
            files = [*tools, *map(Path, tools_of(self.kernel))]
            loaded = await open_tools(
                files, ledger.state, ledger.digest, self.logs, self.kernel.content, self.notes.append,
                partial(environment_of, self.kernel, self.drivers), partial(may_lack, self.kernel),
            )  # fmt: skip
            self.drivers.tools.update(loaded)
            bring_back(self.kernel, self.drivers)
            await look_up_prices(self.drivers.models.values())
            self.kernel.begin(__version__, os.getpid())
            priority.come_first()
            self._disk = asyncio.ensure_future(watch_disk(self.kernel, self.home.path))
            self._disk.add_done_callback(self.kernel.lost)
            self._memory = asyncio.ensure_future(watch_memory(self.kernel, memory))
            self._memory.add_done_callback(self.kernel.lost)
            gone = partial(_stop, self.kernel, self.failed)
            self._there = asyncio.ensure_future(watch_home(self.home, self.kernel.outside.clock, gone))
            self._there.add_done_callback(self.kernel.lost)
            self.desk.fleets = FleetDesk(self.kernel, self.drivers, self.logs, self.home.path)
            if found := self.desk.fleets.lacking():
                self.notes += [*found, GIVE]
            server = ControlServer(self.desk, self.home.folder_fd)
            await server.start()
        except BaseException:
            await self.close()
            raise
        self._control = server
        mark_place(self.home.folder_fd)
        self._ageing = asyncio.ensure_future(keep_letting_go(self.kernel, self.kernel.outside.clock))
        self._ageing.add_done_callback(self.kernel.lost)
        self._processor = asyncio.ensure_future(self.kernel.processor.watch(self.kernel.outside.clock))
        self._processor.add_done_callback(self.kernel.lost)
        return self

    def drain(self) -> Draining:
        """Begin nothing from now on; what of it is under way."""
        return Draining(self.kernel)

    async def close(self) -> None:
        """Stop; what runs goes on from the journal when the home is opened again."""
        if self._control is not None:
            journal = self.kernel.ledger.journal
            with contextlib.suppress(KernelError):  # it is broken, and says so elsewhere
                await journal.wait_durable(journal.head.seq)  # whoever follows is to see the last of it
            await self._control.close()
        for watch in (self._disk, self._there, self._memory):
            if watch is not None:
                watch.cancel()
        for task in (self._ageing, self._processor):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self.kernel.close()
        await self.drivers.close()
        with contextlib.suppress(StoreError):  # what is durable is so without it
            self._opened.close()
