"""One shard, opened: home, store, journal, fold, kernel."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from pathlib import Path

from prytany import __version__
from prytany.abi import limits
from prytany.abi.errors import Ebusy, Eio
from prytany.drivers.clocks.system import SystemClock
from prytany.drivers.files.beneath import BeneathFiles
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.anchor import Anchor
from prytany.journal.digests import Keyring
from prytany.journal.home import Home
from prytany.journal.writer import Journal
from prytany.kernel.effects import Outside
from prytany.kernel.kernel import Kernel
from prytany.kernel.ledger import TENANT, Durable, Ledger
from prytany.kernel.reactions import Watcher
from prytany.kernel.state import fold_from_snapshot
from prytany.ports.model import Model
from prytany.ports.runner import Runner
from prytany.ports.store import StoreError, StoreLocked
from prytany.runtime.confined import ConfinedRunner
from prytany.runtime.environments import Environments
from prytany.runtime.roster import Roster
from prytany.system.collector import look_less_often
from prytany.system.control import ControlServer
from prytany.system.desk import Desk, Facts
from prytany.system.logs import Logs
from prytany.system.programs import find_program


def open_keyring(path: Path) -> Keyring:
    """The home's keys; made on the first opening."""
    if path.exists():
        return Keyring.load(path.read_bytes(), os.urandom)
    keyring = Keyring(os.urandom)
    keyring.admit(TENANT)
    part = path.with_suffix(".part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(keyring.save())
        file.flush()
        os.fsync(fd)
    part.rename(path)
    return keyring


@contextlib.contextmanager
def store_errors() -> Generator[None]:
    """Turn what a store cannot do into an errno: Ebusy where another holds it, else Eio."""
    try:
        yield
    except StoreLocked as error:
        raise Ebusy(str(error)) from error
    except StoreError as error:
        raise Eio(str(error)) from error


def _confined(logs: Logs, roster: Roster, unconfined: bool) -> dict[str, Runner]:
    """The runners of a kernel that was given no others."""
    return {"python": ConfinedRunner(sys.executable, logs.append, unconfined=unconfined, roster=roster)}


class Shard:
    """An opened home with its running kernel."""

    def __init__(
        self, home: Home, kernel: Kernel, logs: Logs, failed: asyncio.Future[StoreError], desk: Desk,
        opened: ExitStack,
    ) -> None:  # fmt: skip
        self.home = home
        self.desk = desk
        self._opened = opened
        self._control: ControlServer | None = None
        self.kernel = kernel
        self.logs = logs
        self.failed = failed

    @classmethod
    async def open(
        cls,
        path: Path,
        models: dict[str, Model],
        *,
        create: bool = True,
        running_max: int = limits.RUNNING_MAX,
        workers_max: int = limits.WORKERS_MAX,
        unconfined: bool = False,
        runners: Callable[[Logs], dict[str, Runner]] | None = None,
        watch: Watcher | None = None,
        idle: bool = False,
    ) -> Shard:
        """Open the home, and let everything in it go on, under the operators' control.

        Args:
            path: the home; made when it is not there and `create` says so.
            models: by name; "" is the default one.
            create: whether a new home may be made.
            running_max: how many processes run at once.
            workers_max: how many have a worker at once, but for those that run; the others that wait are put away.
            unconfined: accept that workers are not confined.
            runners: other runners than the confined one.
            watch: told of every durable entry.
            idle: let nothing go on: what is commanded is recorded, for whoever resumes.

        Raises:
            Ebusy: another kernel runs in this home.
            Eacces: it belongs to somebody else, or others may look into it.
            Eio: its journal cannot be read.
        """
        look_less_often()
        with ExitStack() as stack, store_errors():
            home = stack.enter_context(closing(Home(path, create=create)))
            roster = Roster(path / "workers")
            roster.end_leftovers()
            keyring = open_keyring(home.keys)
            store = stack.enter_context(closing(SqliteStore(home.journal)))
            reader = stack.enter_context(closing(SqliteReader(home.journal, pinned=False)))
            folded = fold_from_snapshot(reader)
            opened = stack.pop_all()
        loop, logs = asyncio.get_running_loop(), Logs(path)
        failed: asyncio.Future[StoreError] = loop.create_future()
        reactions: list[Callable[[Durable], None]] = []
        ledger = Ledger(folded.state, keyring, SystemClock(), lambda entry: reactions[0](entry))
        kernel = Kernel(
            ledger, Outside(SystemClock(), models, BeneathFiles()),
            runners(logs) if runners else _confined(logs, roster, unconfined), reader, find_program, os.urandom,
            running_max=running_max, workers_max=workers_max, watch=watch, environment=Environments().identity,
        )  # fmt: skip
        kernel.idle = idle
        reactions.append((lambda entry: None) if idle else kernel.react)
        journal = Journal(store, loop, folded.head, ledger.on_durable, failed.set_result, anchor=Anchor(home.anchor))
        ledger.attach(journal)
        ledger.snapshots.begin(folded)
        facts = Facts(__version__, 0 if idle else os.getpid(), str(path), not unconfined, running_max)
        shard = cls(home, kernel, logs, failed, Desk(kernel, facts), opened)
        if not idle:
            await shard.begin()
        return shard

    async def begin(self) -> None:
        """Let everything go on, and take commands on the home's control socket; raises Eio."""
        try:
            self.kernel.begin(__version__, os.getpid())
            server = ControlServer(self.desk, self.home.folder_fd)
            await server.start()
        except BaseException:
            await self.close()
            raise
        self._control = server

    async def close(self) -> None:
        """Stop; what runs goes on from the journal when the home is opened again."""
        if self._control is not None:
            await self._control.close()
        await self.kernel.close()
        for model in set(self.kernel.outside.models.values()):
            await model.close()
        with contextlib.suppress(StoreError):  # what is durable is so without it
            self._opened.close()
