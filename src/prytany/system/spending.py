"""What models and workers took, by whatever it is to be told apart by: sums of what the journal says of it.

The journal is read once, from the moment that is asked for on, and the rest of it only where a name is asked for that
it alone knows; most entries are passed over undecoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import Eio
from prytany.abi.wire import UNREADABLE
from prytany.ports.store import Reader, Row

KEYS = ("agent", "model", "day", "run", "tag")
"""What it can be told apart by. A day is one of UTC. Who has several tags counts under each of them."""
_USED, _SPAWNED = b"model.used/", b"process.spawned/"
_QUEUED, _RESERVED = b"model.queued/", b"model.reserved/"
_TOOK = (b"process.accounted/", b"process.exited/", b"process.failed/", b"process.reverted/")
_Took = ev.ProcessAccounted | ev.ProcessExited | ev.ProcessFailed | ev.ProcessReverted
_SAY_EVERY = 5_000


class Spent(msgspec.Struct):
    """What the calls of one group took. Attempts without an answer are counted, and charged as they were recorded."""

    calls: int = 0
    """Attempts that were answered."""
    failed: int = 0
    """Attempts that were not."""
    estimated: int = 0
    """Attempts whose tokens the endpoint did not tell."""
    unpriced: int = 0
    """Attempts with tokens and no cost: the model's price is not known, or that was not recorded then."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd_micros: int = 0
    model_us: int = 0
    free: int = 0
    """Attempts with tokens, of a model that is known to cost nothing."""
    queued_us: int = 0
    """Time that attempts waited for their turns, of those that had them."""
    unanswered_tokens: int = 0
    """Of the tokens: those of attempts that were not answered, charged at the most that they may have taken."""
    unanswered_usd_micros: int = 0
    """The same, of the cost. The rest is what was answered."""
    processor_us: int = 0
    """What workers took of the processor; 0 where it is told apart by model, since it is of none."""

    def take(self, e: ev.ModelUsed) -> None:
        """Count in one attempt."""
        self.calls += not e.cause
        self.failed += bool(e.cause)
        self.estimated += e.estimated
        nothing = bool(e.prompt_tokens + e.completion_tokens) and not e.cost_usd_micros
        self.unpriced += nothing and not e.priced
        self.free += nothing and bool(e.priced)
        self.prompt_tokens += e.prompt_tokens
        self.completion_tokens += e.completion_tokens
        self.cost_usd_micros += e.cost_usd_micros
        self.model_us += e.took_us
        if e.cause:
            self.unanswered_tokens += e.prompt_tokens + e.completion_tokens
            self.unanswered_usd_micros += e.cost_usd_micros


class Who(NamedTuple):
    """A process, as far as its spawn said."""

    agent: str
    run: int
    tags: Sequence[str]


NOBODY = Who("?", 0, ())


class _Born:
    """Who processes are, as their spawns said."""

    def __init__(self) -> None:
        self._fleets: dict[int, str] = {}
        self._found: dict[int, Who] = {}

    def take(self, event: Any) -> None:
        if isinstance(event, ev.FleetDeclared):
            self._fleets[event.fleet] = event.name
        elif isinstance(event, ev.ProcessSpawned):
            fleet = self._fleets.get(event.fleet, str(event.fleet))
            name = f"{fleet}.{event.agent}" if event.fleet else event.name
            self._found[event.pid] = Who(name, event.run, event.tags)
        elif isinstance(event, ev.ProcessHandedOff):
            self._found[event.pid] = self.then(event.pid, event.agent)._replace(tags=event.tags)

    def of(self, pid: int) -> Who:
        return self._found.get(pid, NOBODY)

    def then(self, pid: int, agent: str) -> Who:
        """Who it was when it was that agent of its fleet; "" for who it is."""
        who = self.of(pid)
        fleet = who.agent.rpartition(".")[0]
        return who._replace(agent=f"{fleet}.{agent}" if fleet else agent) if agent else who


class _Queued:
    """Since when calls wait for their turns at models."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[int, int], int] = {}

    def take(self, event: ev.ModelQueued | ev.ModelReserved, time_ns: int) -> int:
        """How long the call waited whose turn has come; 0 where it begins to wait, or never did."""
        key = event.pid, event.n
        if isinstance(event, ev.ModelQueued):
            self.waiting[key] = time_ns
            return 0
        since_ns = self.waiting.pop(key, 0)
        return (time_ns - since_ns) // 1000 if since_ns else 0


def spending(
    reader: Reader, by: Sequence[str], since_ns: int = 0, on_seq: Callable[[int], object] = lambda seq: None,
    tag: str = "", total: Spent | None = None,
) -> dict[tuple[str | int, ...], Spent]:  # fmt: skip
    """The sums by what `by` names, of `KEYS`.

    Args:
        reader: of the journal.
        by: the parts of a group's key, in their order.
        since_ns: records before it do not count.
        on_seq: told now and then which entry is read.
        tag: only of processes that have it; "" for all.
        total: takes the sum of all, in which nothing counts twice.

    Raises:
        Eio: an entry cannot be read by this version.
    """
    names = bool({"agent", "run", "tag"}.intersection(by)) or bool(tag)
    first = max(_first_since(reader, since_ns), reader.archived() + 1)  # some older ones stay, and not all
    born, groups = _Born(), dict[tuple[str | int, ...], Spent]()
    queued = _Queued()
    marks = [_USED, _QUEUED, *_TOOK] + [_SPAWNED, b"fleet.declared/", b"process.handed_off/"] * names
    for row in reader.rows(1 if names else first):
        if not row.seq % _SAY_EVERY:
            on_seq(row.seq)
        if not any(mark in row.record for mark in marks) and not (queued.waiting and _RESERVED in row.record):
            continue
        entry = _decoded(row)
        for event in entry.events:
            if isinstance(event, ev.ModelQueued | ev.ModelReserved):
                waited_us, who = queued.take(event, entry.time_ns), born.of(event.pid)
                if waited_us and row.seq >= first and (not tag or tag in who.tags):
                    for key in _keys(by, event.model, entry.time_ns, who):
                        groups.setdefault(key, Spent()).queued_us += waited_us
                    if total is not None:
                        total.queued_us += waited_us
            elif isinstance(event, _Took):
                who = born.then(event.pid, event.agent if isinstance(event, ev.ProcessAccounted) else "")
                if event.cpu_us and row.seq >= first and (not tag or tag in who.tags):
                    for key in _keys(by, "", entry.time_ns, who) if "model" not in by else ():
                        groups.setdefault(key, Spent()).processor_us += event.cpu_us
                    if total is not None:
                        total.processor_us += event.cpu_us
            elif not isinstance(event, ev.ModelUsed):
                born.take(event)
            elif event.cause == ev.HELD:
                continue
            elif row.seq >= first and (not tag or tag in born.of(event.pid).tags):
                for key in _keys(by, event.model, entry.time_ns, born.of(event.pid)):
                    groups.setdefault(key, Spent()).take(event)
                if total is not None:
                    total.take(event)
    return groups


def _keys(by: Sequence[str], model: str, time_ns: int, who: Who) -> Iterator[tuple[str | int, ...]]:
    """What is taken counts under: once, or under each tag of its process."""
    for tag in (who.tags or ("",)) if "tag" in by else ("",):
        yield tuple(_part(part, model, time_ns, who, tag) for part in by)


def _part(part: str, model: str, time_ns: int, who: Who, tag: str) -> str | int:
    match part:
        case "agent":
            return who.agent
        case "run":
            return who.run
        case "tag":
            return tag
        case "day":
            return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).date().isoformat()
        case _:
            return model


def _first_since(reader: Reader, since_ns: int) -> int:
    """The first entry of that time or later: the kernel's time never goes back, so it takes a few looks."""
    head = reader.head()
    low, high = 1, head.seq + 1 if head else 1
    while since_ns and low < high:
        middle = (low + high) // 2
        row = reader.row(middle)
        if row is None or _decoded(row).time_ns < since_ns:  # None: put away before what is there
            low = middle + 1
        else:
            high = middle
    return low


def _decoded(row: Row) -> ev.Entry:
    try:
        return ev.decode_entry(row.record)
    except UNREADABLE as error:
        raise Eio(f"entry {row.seq} of the journal cannot be read by this version: {error}") from None
