"""A home in which no kernel runs, opened to carry out one command on its journal: nothing in it goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from prytany.drivers.clocks.system import SystemClock
from prytany.journal.anchor import Anchor
from prytany.journal.home import Home
from prytany.journal.writer import Journal
from prytany.kernel.forgetting import Forgotten, forget
from prytany.kernel.ledger import Ledger
from prytany.ports.store import StoreError
from prytany.system.opening import open_journal


async def forget_in_home(path: Path, pid: int, uid: int) -> Forgotten:
    """Forget the content of a process of the home at `path`.

    Raises:
        Ebusy: a kernel runs in this home; or as `forgetting.forget` says.
        KernelError, StoreError: as `Shard.open` and `forgetting.forget` say.
    """
    home = Home(path, create=False)
    try:
        store, reader, keyring, folded = open_journal(home)
        try:
            ledger = Ledger(folded.state, keyring, SystemClock(), lambda entry: None)
            failed: asyncio.Future[StoreError] = asyncio.get_running_loop().create_future()
            journal = Journal(
                store, asyncio.get_running_loop(), folded.head, ledger.on_durable, failed.set_result,
                anchor=Anchor(home.anchor),
            )  # fmt: skip
            ledger.attach(journal)
            ledger.snapshots.begin(folded)
            try:
                return await forget(ledger, reader, pid, uid)
            finally:
                await journal.close()
        finally:
            reader.close()
            store.close()
    finally:
        home.close()
