"""One shard, opened: home, store, journal, fold, kernel."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from prytany import __version__
from prytany.abi import limits
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
from prytany.ports.store import StoreError
from prytany.runtime.confined import ConfinedRunner
from prytany.runtime.roster import Roster
from prytany.system.collector import look_less_often
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


class Shard:
    """An opened home with its running kernel."""

    def __init__(
        self, home: Home, kernel: Kernel, logs: Logs, store: SqliteStore, failed: asyncio.Future[StoreError]
    ) -> None:
        self.home = home
        self._store = store
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
        unconfined: bool = False,
        runners: Callable[[Logs], dict[str, Runner]] | None = None,
        watch: Watcher | None = None,
    ) -> Shard:
        """Open the home, and let everything in it go on.

        Args:
            path: the home; made when it is not there and `create` says so.
            models: by name; "" is the default one.
            create: whether a new home may be made.
            running_max: how many processes run at once.
            unconfined: accept that workers are not confined.
            runners: other runners than the confined one.
            watch: told of every durable entry.

        Raises:
            Ebusy: another kernel runs in this home.
            Eacces: it belongs to somebody else, or others may look into it.
            Eio: its journal cannot be read.
        """
        look_less_often()
        home = Home(path, create=create)
        try:
            roster = Roster(path / "workers")
            roster.end_leftovers()
            keyring = open_keyring(home.keys)
            store = SqliteStore(home.journal)
            reader = SqliteReader(home.journal, pinned=False)
            folded = fold_from_snapshot(reader)
        except BaseException:
            home.close()
            raise
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[StoreError] = loop.create_future()
        logs = Logs(path)
        made: dict[str, Runner]
        if runners is not None:
            made = runners(logs)
        else:
            confined = ConfinedRunner(sys.executable, logs.append, unconfined=unconfined, roster=roster)
            made = {"python": confined}
        reactions: list[Callable[[Durable], None]] = []
        ledger = Ledger(folded.state, keyring, SystemClock(), lambda entry: reactions[0](entry))
        kernel = Kernel(
            ledger, Outside(SystemClock(), models, BeneathFiles()), made, reader, find_program, os.urandom,
            running_max=running_max, watch=watch,
        )  # fmt: skip
        reactions.append(kernel.react)
        journal = Journal(store, loop, folded.head, ledger.on_durable, failed.set_result, anchor=Anchor(home.anchor))
        ledger.attach(journal)
        ledger.snapshots.begin(folded)
        kernel.begin(__version__, os.getpid())
        return cls(home, kernel, logs, store, failed)

    async def close(self) -> None:
        """Stop; what runs goes on from the journal when the home is opened again."""
        await self.kernel.close()
        for model in set(self.kernel.outside.models.values()):
            await model.close()
        self.kernel.reader.close()
        self._store.close()
        self.home.close()
