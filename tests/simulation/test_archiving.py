"""A journal whose older entries have left it: at any moment, whatever runs, it goes on as one that has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Einval, Eio, Enoent
from prytany.journal.anchor import Head
from prytany.journal.base import kept_rows
from prytany.journal.verify import verify
from prytany.journal.writer import Journal
from prytany.kernel.archiving import finish, prepare
from prytany.kernel.content import said
from prytany.kernel.folding import fold_from_snapshot
from prytany.kernel.ledger import Ledger
from prytany.ports.store import StoreError
from prytany.userland.process import Process
from prytany.userland.server import Server
from tests.simulation.archived import Shelf, archive, check
from tests.simulation.conversations import talking
from tests.simulation.fleet import Fleet, Following, LogicalClock, StoppingStore
from tests.simulation.test_forgetting import PROGRAMS as TELLING
from tests.simulation.test_forgetting import SECRET, forgets
from tests.simulation.test_letting_go import home_of
from tests.simulation.test_servers import PROGRAMS as SERVING


class Remembers(Server):
    """Its record is cut at each message; its context, older than the cut, is all that it has of them."""

    state: int = 0

    async def on_say(self, what: str) -> list[str]:
        calls = self.proc.calls
        said = {"role": "user", "content": what}
        if not self.state:
            self.state = (await calls.context_open([said]))["context"]
        else:
            await calls.context_append(self.state, [said])
        return [str(m) for m in (await calls.context_read(self.state))["messages"]]


async def told(proc: Process) -> list[Any]:
    server = await proc.spawn(Remembers)
    heard = [await proc.call(server, "say", what=what * 20) for what in ("one", "two", "three", "four")]
    await proc.kill(server, 9)
    return heard


FLEETS: dict[str, Callable[[], Fleet]] = {
    "children": Fleet,
    "contexts": lambda: talking("talker"),
    "servers": lambda: Fleet("main", SERVING),
    "messages": lambda: Fleet("tells_much", TELLING),
    "a context beyond a cut": lambda: Fleet("told", {"told": told, "Remembers": Remembers}),
    "ended children": lambda: Fleet("waits_late", TELLING),
}


def lived(fleet: Fleet) -> Any:
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["status"] == 0, ended
    return ended["result"]


def length(fleet: Fleet) -> int:
    head = fleet.store.reader().head()
    assert head is not None
    return head.seq


@pytest.mark.parametrize("name", FLEETS)
def test_whatever_runs_comes_back_over_an_archive_made_at_any_entry(name: str) -> None:
    alone = FLEETS[name]()
    result, entries = lived(alone), length(alone)
    step = max(1, entries // 40)
    for stop_at in range(3, entries, step):
        fleet, shelf = FLEETS[name](), Shelf()
        assert asyncio.run(fleet.live(stop_at, after_commit=True)) is None
        archive(fleet, shelf)
        again = length(fleet) + 7
        if asyncio.run(fleet.live(again, after_commit=False)) is None:  # it may have ended before
            archive(fleet, shelf, keep=3)
            assert lived(fleet) == result, stop_at
        check(fleet, shelf)
        archive(fleet, shelf)


def test_what_nothing_needs_is_gone_and_what_lives_keeps_its_own() -> None:
    fleet, shelf = FLEETS["children"](), Shelf()
    lived(fleet)
    before = fleet.store.size_bytes()
    base = archive(fleet, shelf)
    left = list(fleet.store.reader().rows(1))
    assert len(left) < 10
    assert {row.seq for row in left if row.seq <= base.last} == set(kept_rows(base))
    assert fleet.store.size_bytes() < before
    assert shelf.removed[0].entries + len(kept_rows(base)) == base.last


class Cut(StoreError):
    """The machine stopped."""


class CuttingStore(StoppingStore):
    """Stops at its change of that number, before or after it."""

    changes = 0
    cut_at = 0
    after = False

    def _change(self, change: Callable[[], Any]) -> Any:
        self.changes += 1
        if self.changes == self.cut_at and not self.after:
            raise Cut
        done = change()
        if self.changes == self.cut_at:
            raise Cut
        if 0 < self.cut_at < self.changes:
            raise Cut
        return done

    def commit(self, *args: Any, **named: Any) -> None:
        self._change(lambda: super(CuttingStore, self).commit(*args, **named))

    def set_base(self, *args: Any) -> None:
        self._change(lambda: super(CuttingStore, self).set_base(*args))

    def forget(self, *args: Any) -> int:
        return int(self._change(lambda: super(CuttingStore, self).forget(*args)))

    def remove(self, *args: Any) -> None:
        self._change(lambda: super(CuttingStore, self).remove(*args))


async def cut_off(fleet: Fleet, last: Head, cut_at: int, *, after: bool) -> bool:
    """Archive, and stop at that change; False where it was through before."""
    store = CuttingStore(fleet.store, 0, after_commit=False)
    folded = fold_from_snapshot(store.reader())
    store.changes, store.cut_at, store.after = 0, cut_at, after
    fleet.store = store
    ledger = Ledger(folded.state, fleet.keyring, LogicalClock(folded.state.table.time_ns), lambda entry: None)
    journal = Journal(store, asyncio.get_running_loop(), folded.head, ledger.on_durable, lambda error: None)
    ledger.attach(journal)
    reader: Any = Following(store)
    try:
        await finish(ledger, reader, await prepare(ledger, reader, last, 0))
        return False
    except (StoreError, Eio):
        return True
    finally:
        await journal.close()


@pytest.mark.parametrize("after", [False, True])
def test_a_stop_at_any_step_of_archiving_loses_nothing_and_the_next_goes_on(
    after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prytany.kernel import archiving, forgetting

    monkeypatch.setattr(archiving, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(forgetting, "BODIES_AT_ONCE", 1)
    result = lived(FLEETS["messages"]())
    cut_at, cuts = 0, True
    steps = set[str]()
    while cuts:
        cut_at += 1
        fleet, shelf = FLEETS["messages"](), Shelf()
        asyncio.run(fleet.live(24, after_commit=True))
        head = shelf.add(fleet, length(fleet))
        cuts = asyncio.run(cut_off(fleet, head, cut_at, after=after))
        reader = fleet.store.reader()
        steps.add("base" if reader.base() else "none")
        assert verify(reader, fleet.keyring, said).findings == [], cut_at
        fleet.store = StoppingStore(fleet.store, 0, after_commit=False)
        if reader.base() is None:
            archive(fleet, Shelf(), last=head.seq)
        else:
            asyncio.run(goes_on(fleet))
            check(fleet, shelf)
        assert lived(fleet) == result, cut_at
        left = [row.seq for row in fleet.store.reader().rows(1, head.seq)]
        assert left == sorted(kept_rows(fleet.store.reader().base())), cut_at
    assert cut_at > 4
    assert steps == {"base", "none"}


async def goes_on(fleet: Fleet) -> None:
    """What the next command begins with."""
    folded = fold_from_snapshot(fleet.store.reader())
    ledger = Ledger(folded.state, fleet.keyring, LogicalClock(folded.state.table.time_ns), lambda entry: None)
    journal = Journal(fleet.store, asyncio.get_running_loop(), folded.head, ledger.on_durable, lambda error: None)
    ledger.attach(journal)
    reader: Any = Following(fleet.store)
    await finish(ledger, reader)
    await journal.close()


def test_what_was_forgotten_before_is_still_explained_and_what_is_left_can_be_forgotten_after() -> None:
    fleet, shelf = FLEETS["messages"](), Shelf()
    lived(fleet)
    asyncio.run(forgets(fleet, 2))
    archive(fleet, shelf)
    assert [e for entry in fleet.entries() for e in entry.events if isinstance(e, ev.ContentForgotten)]
    asyncio.run(forgets(fleet, 1))
    assert not any(SECRET.encode() in row.bodies for row in fleet.store.reader().rows(1))
    assert not list(fleet.store.reader().bodies())[1:], "the program of the root alone"
    archive(fleet, shelf)


@pytest.mark.parametrize(
    ("seq", "hash_", "error"),
    [
        (0, b"h" * 16, Enoent),
        (-1, b"h" * 16, Enoent),
        (1 << 62, b"h" * 16, Enoent),
        (3, b"h" * 16, Einval),
        (3, b"", Einval),
    ],
)
def test_an_entry_that_is_not_this_journals_is_not_archived(seq: int, hash_: bytes, error: type[Exception]) -> None:
    fleet = FLEETS["children"]()
    lived(fleet)
    before = list(fleet.store.reader().rows(1))
    with pytest.raises(error):
        asyncio.run(refused(fleet, Head(seq, hash_)))
    assert list(fleet.store.reader().rows(1)) == before
    shelf = Shelf()
    base = archive(fleet, shelf, last=10)
    with pytest.raises(Enoent):
        asyncio.run(refused(fleet, Head(base.last, base.last_hash)))


async def refused(fleet: Fleet, last: Head) -> None:
    folded = fold_from_snapshot(fleet.store.reader())
    ledger = Ledger(folded.state, fleet.keyring, LogicalClock(folded.state.table.time_ns), lambda entry: None)
    journal = Journal(fleet.store, asyncio.get_running_loop(), folded.head, ledger.on_durable, lambda error: None)
    ledger.attach(journal)
    reader: Any = Following(fleet.store)
    try:
        await prepare(ledger, reader, last, 0)
    finally:
        await journal.close()


def test_what_the_state_names_stays_though_no_entry_that_stays_does() -> None:
    """The text of a run's tools: the entry that granted them is archived."""
    home = home_of()

    async def run() -> None:
        async with home.life() as k:
            pid = k.spawn("stays")
            await k.until(lambda: bool(k.process(pid).open))
        before = {body.digest for body in home.store.reader().bodies()}
        async with home.life(idle=True) as k:
            ledger, reader = k.kernel.ledger, k.kernel.reader
            row = reader.head()
            assert row is not None
            await finish(ledger, reader, await prepare(ledger, reader, Head(row.seq, row.hash), 0))
            named = {
                digest for grant in ledger.state.grants.of(pid).values() for digest in (grant.manifest, grant.source)
            }
            assert named & before
            assert named & before <= {body.digest for body in home.store.reader().bodies()}

    asyncio.run(run())
