"""Forgetting: the content that the events of an ended process name is destroyed; the chain stays as it is.

That it is forgotten is recorded before anything is destroyed, so that a crash in between leaves content that is there,
never a loss that nobody explains; the command can be given again, and finishes. What was destroyed is counted after it
is, a batch at a time, so that no byte is given back twice.

What living processes name as well is kept, since they need it to come back, and so is what an ended one left that its
parent has not taken yet, what a shared segment holds, and the text of a program, which is the operator's, whoever says
the same. What the process
handed to others (its result, in the answer that its parent got) is theirs; a message goes with its sender and its
receiver, whichever is forgotten first, once its receiver has ended.

A kernel may be running, and everything else goes on between the steps. Then more is named than was when the journal was
read. Small content comes along with whatever names it, in a row of its own; a large body is there once for all, so
each batch of them leaves out what others have named since. Nothing comes between that look and the command to destroy,
and the writer carries out both in their order: whoever names a body after that brings it along once more.

It reads the whole journal twice: an ended process may have left the table, and only the journal knows what it named.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from typing import NamedTuple

from prytany.abi import events as ev
from prytany.abi.errors import Ebusy, Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.journal.bodies import pack, unpack
from prytany.kernel.content import names_of, own_names, owners_of
from prytany.kernel.ledger import TENANT, Ledger
from prytany.kernel.state import ShardState
from prytany.kernel.turn import others_first
from prytany.ports.store import Reader
from prytany.process.table import Table

ENTRIES_A_STEP = 256
"""Entries between two turns of others: some milliseconds."""
ROWS_AT_ONCE = 1_000
BODIES_AT_ONCE = 1_000
BODY_BYTES_AT_ONCE = 16 << 20
"""One body more may go. Whoever appends waits for a batch."""


class Forgotten(NamedTuple):
    """What was destroyed, and what was not since others name it."""

    contents: int
    freed_bytes: int
    kept: int


class _Found(NamedTuple):
    rows: dict[int, set[bytes]]
    """Rows in which the processes named content, and what of it is to be destroyed."""
    large: dict[bytes, int]
    """All that is to be destroyed, as far as it has a body of its own; to a process whose it is."""
    owners: dict[int, int]
    """Rows, to a process whose content lies there."""
    kept: int
    last: int
    """The entry up to which the journal was read."""


async def forget(ledger: Ledger, reader: Reader, pid: int, uid: int) -> Forgotten:
    """Forget the content of process `pid`, by the command of operator `uid`; done when it is destroyed.

    One at a time: two that take content out of one row would each put the other's back.

    Args:
        ledger: of the shard.
        reader: always at the newest.
        pid: the process.
        uid: the operator's.

    Raises:
        Esrch: the journal knows no such process.
        Ebusy: it has not ended, or somebody is still to be answered with its end.
        Enospc, Eio: the journal is broken.
        StoreError: it is recorded as forgotten, and not all of it could be destroyed; give the command again.
    """
    _refuse_needed(ledger.table, pid)
    return await forget_all(ledger, reader, {pid}, ev.OperatorCommanded(uid, "journal forget", pid))


async def forget_all(
    ledger: Ledger, reader: Reader, pids: Collection[int], commanded: ev.OperatorCommanded, gone: Collection[int] = ()
) -> Forgotten:
    """Forget the content of all of `pids`, which have ended and which nobody needs; as `forget`.

    `gone` are those whose content was destroyed before, but for what others named: what of that is named by `pids` goes
    from their rows as well.
    """
    found = await _find(reader, ledger.table, frozenset(pids), frozenset(gone), _awaited(ledger.state))
    begun: list[ev.Event] = [ev.ContentForgotten(pid, 0, 0) for pid in sorted(pids)]
    seq = ledger.commit((commanded, *begun), {}, payer=0, reserve=True)
    await ledger.journal.wait_durable(seq)
    small = await _destroy_small(ledger, reader, found)
    large, spared = await _destroy_large(ledger, reader, frozenset(pids), found)
    await ledger.journal.forget(TENANT, [])  # what an earlier one destroyed may still lie in the log
    return Forgotten(small[0] + large[0], small[1] + large[1], found.kept + spared)


def _refuse_needed(table: Table, pid: int) -> None:
    if pid < 1:
        raise Esrch(f"there is no process {pid}")
    process = table.get(pid)
    if process is None:
        return
    if process.alive:
        raise Ebusy(f"process {format_pid(Pid(pid))} has not ended; what it was told is needed to bring it back")
    if needed(table, pid):
        raise Ebusy(f"process {format_pid(Pid(pid))} has ended, and its parent has not taken its result yet")


def needed(table: Table, pid: int) -> bool:
    """Whether that process is alive, or its parent is, which is still to be answered with its end; it is so no more
    once it is not so. What is nobody's is the operator's, and needed."""
    process = table.get(pid)
    if process is None or process.alive:
        return process is not None or not pid
    parent = table.get(process.parent)
    return parent is not None and parent.alive


async def entries(reader: Reader, first: int, last: int) -> AsyncIterator[tuple[int, int, Sequence[ev.Event]]]:
    """The entries from `first` to `last`: number, time, events. Nothing of the store is held between steps."""
    for start in range(first, last + 1, ENTRIES_A_STEP):
        for row in reader.rows(start, min(last, start + ENTRIES_A_STEP - 1)):
            entry = ev.decode_entry(row.record)
            yield row.seq, entry.time_ns, entry.events
        await others_first()


def _awaited(state: ShardState) -> set[bytes]:
    """What was published and is still to reach somebody: it lies in a log or a mailbox, and goes when it has left; and
    what shared segments hold."""
    scopes = state.topics.scopes.values()
    logged = {one.body for scope in scopes for one in scope.log.values()}
    last = {topic.last.body for scope in scopes for topic in scope.topics.values()}
    boxes = state.post.boxes.values() if scopes or state.triggers.triggers else ()
    came = {one.body for trigger in state.triggers.triggers.values() for one in trigger.queue}
    logged |= came | set(state.segments.values())
    return logged | last | {m.body for box in boxes for m in (*box.waiting.values(), *box.in_hand.values())}


async def _find(
    reader: Reader, table: Table, pids: frozenset[int], gone: frozenset[int], awaited: set[bytes]
) -> _Found:  # fmt: skip
    head = reader.head()
    last = head.seq if head else 0
    own: dict[bytes, int] = {}
    known: set[int] = set()
    async for _, _, events in entries(reader, 1, last):
        for event in events:
            if not isinstance(event, ev.ContentForgotten | ev.OperatorCommanded):
                for pid in pids.intersection(owners_of(event)):
                    known.add(pid)
                    own.update(dict.fromkeys(own_names(event), pid))
    if unknown := pids - known:
        archived = reader.archived()
        where = f" any more, or never did: entries up to {archived} are in an archive" if archived else ""
        raise Esrch(f"the journal knows no process {format_pid(Pid(min(unknown)))}{where}")
    wanted: set[bytes] = set()
    naming: dict[int, set[bytes]] = {}
    owner_of: dict[int, int] = {}
    async for seq, _, events in entries(reader, 1, last):
        for event in events:
            names = {digest for _, digest in names_of(event)} & own.keys()
            if not names:
                continue
            if isinstance(event, ev.TopicPublished | ev.TriggerMessaged | ev.SegmentWritten):
                wanted |= names & awaited
                names -= awaited
            owners, mine = owners_of(event), names.intersection(own_names(event))
            wanted |= names - mine
            names = mine
            # A message's sender was answered with its number: it needs no more of it to come back.
            if names and needed(table, owners[0]):
                wanted |= names
            elif names and (ended := [pid for pid in owners if pid in pids or pid in gone]):
                naming.setdefault(seq, set()).update(names)
                owner_of[seq] = ended[0]
    rows = {seq: names - wanted for seq, names in naming.items() if names - wanted}
    large = {digest: own[digest] for digest in sorted(own.keys() - wanted)}
    return _Found(rows, large, owner_of, len(own.keys() & wanted), last)


async def _destroy_small(ledger: Ledger, reader: Reader, found: _Found) -> tuple[int, int]:
    """Take content out of the packs of rows; how many pieces, and bytes, that were."""
    contents = freed_bytes = 0
    rows = found.rows
    numbers = sorted(rows)
    for start in range(0, len(numbers), ROWS_AT_ONCE):
        packs: list[tuple[int, bytes]] = []
        sizes: list[tuple[int, int]] = []
        for number, seq in enumerate(numbers[start : start + ROWS_AT_ONCE], 1):
            row = reader.row(seq)
            pairs = list(unpack(row.bodies)) if row else []
            gone = [(found.owners[seq], len(content)) for digest, content in pairs if digest in rows[seq]]
            if gone:
                packs.append((seq, pack([pair for pair in pairs if pair[0] not in rows[seq]])))
                sizes += gone
            if not number % ENTRIES_A_STEP:
                await others_first()
        if packs:
            await ledger.journal.forget(TENANT, [], packs)
            _count(ledger, sizes)
            contents, freed_bytes = contents + len(sizes), freed_bytes + sum(size for _, size in sizes)
    return contents, freed_bytes


async def _destroy_large(
    ledger: Ledger, reader: Reader, pids: frozenset[int], found: _Found
) -> tuple[tuple[int, int], int]:
    """Destroy bodies of their own: how many pieces and bytes that were, and how many others have named since."""
    since = Since(ledger, reader, pids, found.large, found.last)
    contents = freed_bytes = spared = 0
    async for gone, left in destroy_bodies(ledger, reader, found.large, since):
        _count(ledger, [(found.large[digest], size) for digest, size in gone.items()])
        contents, freed_bytes, spared = contents + len(gone), freed_bytes + sum(gone.values()), spared + left
    return (contents, freed_bytes), spared


async def destroy_bodies(
    ledger: Ledger, reader: Reader, digests: Iterable[bytes], since: Since
) -> AsyncIterator[tuple[dict[bytes, int], int]]:
    """Destroy bodies in batches: those that are gone, with their sizes, and how many others have named since."""
    async for sizes in _batches(reader, digests):
        await since.catch_up()
        gone = {digest: size for digest, size in sizes.items() if digest not in since.named_now()}
        if gone:  # no turn of others between that look and this
            ledger.shared.forget(gone)
            await ledger.journal.forget(TENANT, list(gone))
        yield gone, len(sizes) - len(gone)


async def _batches(reader: Reader, digests: Iterable[bytes]) -> AsyncIterator[dict[bytes, int]]:
    """Those that are there, with their sizes, in batches."""
    sizes: dict[bytes, int] = {}
    size_bytes = 0
    for number, digest in enumerate(digests, 1):
        body = reader.body(TENANT, digest)
        if body is not None:
            sizes[digest] = len(body.content)
            size_bytes += len(body.content)
        if len(sizes) == BODIES_AT_ONCE or size_bytes >= BODY_BYTES_AT_ONCE:
            yield sizes
            sizes, size_bytes = {}, 0
        if not number % ENTRIES_A_STEP:
            await others_first()
    if sizes:
        yield sizes


def _count(ledger: Ledger, gone: Sequence[tuple[int, int]]) -> None:
    """Record what was destroyed: pieces of content, each with whose it was and its size."""
    contents: dict[int, int] = {}
    freed_bytes: dict[int, int] = {}
    for pid, size in gone:
        contents[pid] = contents.get(pid, 0) + 1
        freed_bytes[pid] = freed_bytes.get(pid, 0) + size
    events = [ev.ContentForgotten(pid, contents[pid], freed_bytes[pid]) for pid in contents]
    ledger.commit(events, {}, payer=0, reserve=True)


class Since:
    """What others than some processes have named after the journal was read."""

    def __init__(
        self, ledger: Ledger, reader: Reader, pids: frozenset[int], sought: Iterable[bytes], last: int
    ) -> None:
        """Of `sought`, after entry `last`."""
        self._ledger = ledger
        self._reader = reader
        self._pids = pids
        self._sought = set(sought)
        self._seen = last
        self._named: set[bytes] = set()

    async def catch_up(self) -> None:
        """Read what has become durable meanwhile, in steps."""
        last = self._ledger.journal.durable
        async for _, _, events in entries(self._reader, self._seen + 1, last):
            self._add(events)
        self._seen = max(self._seen, last)

    def named_now(self) -> set[bytes]:
        """All of it, to the last entry that was committed; `catch_up` first, so that little is left."""
        for row in self._reader.rows(self._seen + 1):
            self._add(ev.decode_entry(row.record).events)
            self._seen = row.seq
        self._add(self._ledger.events_undurable())
        return self._named

    def _add(self, events: Iterable[ev.Event]) -> None:
        for event in events:
            if not self._pids.issuperset(owners_of(event)):
                self._named.update(digest for _, digest in names_of(event) if digest in self._sought)
