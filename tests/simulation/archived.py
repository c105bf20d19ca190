"""Archiving in a simulation: as the command does it on a home in which no kernel runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from prytany.drivers.stores.memory import MemoryReader
from prytany.journal.anchor import Head
from prytany.journal.base import BEGINNING
from prytany.journal.joined import JoinedReader, Part
from prytany.journal.verify import verify
from prytany.journal.writer import Journal
from prytany.kernel.archiving import Removed, finish, prepare
from prytany.kernel.content import said
from prytany.kernel.folding import fold_from_snapshot, fold_from_start
from prytany.kernel.ledger import Ledger
from prytany.ports.store import Base, Body, Row, StoreError
from tests.simulation.fleet import Fleet, Following, LogicalClock, StoppingStore


@dataclass
class Shelf:
    """The archives of a fleet's journal."""

    parts: list[Part] = field(default_factory=lambda: list[Part]())
    removed: list[Removed] = field(default_factory=lambda: list[Removed]())

    def add(self, fleet: Fleet, last: int) -> Head:
        """Copy what is not archived yet, up to entry `last`."""
        reader = fleet.store.reader()
        begins = self.parts[-1].last if self.parts else BEGINNING
        rows: list[Row] = list(reader.rows(begins.seq + 1, last))
        bodies: list[Body] = list(reader.bodies())
        head = Head(rows[-1].seq, rows[-1].hash)
        self.parts.append(Part(begins, head, MemoryReader(rows, bodies, [])))
        return head

    def joined(self, fleet: Fleet) -> JoinedReader:
        return JoinedReader(self.parts, fleet.store.reader())


def archive(fleet: Fleet, shelf: Shelf, last: int = 0, *, keep: int = 0) -> Base:
    """Archive everything up to `last`, or up to `keep` entries before the head; what was begun with is checked."""
    head = fleet.store.reader().head()
    assert head is not None
    at = shelf.add(fleet, last or head.seq - keep)
    return asyncio.run(_archive(fleet, shelf, at))


async def _archive(fleet: Fleet, shelf: Shelf, last: Head) -> Base:
    store = fleet.store = StoppingStore(fleet.store, 0, after_commit=False)
    folded = fold_from_snapshot(store.reader())
    clock = LogicalClock(folded.state.table.time_ns)
    ledger = Ledger(folded.state, fleet.keyring, clock, lambda entry: None)
    failed: list[StoreError] = []
    journal = Journal(store, asyncio.get_running_loop(), folded.head, ledger.on_durable, failed.append)
    ledger.attach(journal)
    reader: Any = Following(store)
    try:
        base = await prepare(ledger, reader, last, 0)
        assert fold_from_start(store.reader(), base.seq).state.encode() == base.state
        shelf.removed.append(await finish(ledger, reader, base))
    finally:
        await journal.close()
    assert not failed
    check(fleet, shelf)
    return base


def check(fleet: Fleet, shelf: Shelf) -> None:
    """The home is sound alone, and with its archives; and the whole chain gives the state that it is at."""
    reader = fleet.store.reader()
    joined = shelf.joined(fleet)
    assert verify(reader, fleet.keyring, said).findings == []
    assert verify(joined, fleet.keyring, said).findings == []
    assert fold_from_start(reader).state.digest() == fold_from_start(joined).state.digest()
