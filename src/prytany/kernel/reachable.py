"""Which older entries are still needed: those that something in the state leads to.

Three ways lead from the state into the journal. A field that is called `seq`, or ends so, names the entry in which
content lies (an argument, a result, a message, the intent of an open call); that is a rule for every room. The record
of a living process is a linked list from its tail to where it was cut. A context is one from its head to its root.

What is not needed now will not be needed later: whatever comes after names entries that come after, or these.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import Eio
from prytany.kernel.state import ShardState
from prytany.kernel.turn import others_first
from prytany.ports.store import Reader

STEPS_AT_ONCE = 256
Linked = ev.ContextAppended | ev.ContextAsked


class Roots(NamedTuple):
    """Where the ways begin, at one moment."""

    entries: set[int]
    records: list[tuple[int, int, int]]
    """Process, the last entry of its record, and the one after which it begins."""
    contexts: set[int]


async def roots(state: ShardState) -> Roots:
    """Those of `state` at this moment: a copy of it is walked, in steps between which it goes on."""
    copy = msgspec.msgpack.decode(state.encode(), type=ShardState)
    entries = set(copy.table.abandoned)
    steps = 0
    ahead: list[Any] = [copy]
    while ahead:
        value = ahead.pop()
        if isinstance(value, msgspec.Struct):
            for name in value.__struct_fields__:
                field = getattr(value, name)
                if isinstance(field, dict | list | msgspec.Struct):
                    ahead.append(field)
                elif isinstance(field, int) and (name == "seq" or name.endswith("_seq")):
                    entries.add(field)
        else:
            held: Any = value
            parts: Iterable[Any] = held.values() if isinstance(value, dict) else held
            ahead += [part for part in parts if isinstance(part, dict | list | msgspec.Struct)]
        steps += 1
        if not steps % STEPS_AT_ONCE:
            await others_first()
    records = [(p.pid, p.tail, p.cut_seq) for p in copy.table.processes.values() if p.alive]
    heads = [head for owned in copy.contexts.owned.values() for head in owned.heads.values()]
    contexts = {head.seq for head in heads} | {head.asked.seq for head in heads if head.asked is not None}
    return Roots(entries - {0}, records, contexts - {0})


def content_named(value: object) -> Iterator[bytes]:
    """All byte strings in a state that was decoded to plain values: every digest that it names is one of them."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]
            yield from content_named(key)  # pyright: ignore[reportUnknownArgumentType]
            yield from content_named(item)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, list):
        for item in value:  # pyright: ignore[reportUnknownVariableType]
            yield from content_named(item)  # pyright: ignore[reportUnknownArgumentType]


async def needed_entries(found: Roots, reader: Reader) -> set[int]:
    """All entries that the roots lead to, whether or not they are there.

    Raises:
        Eio: one on the way is missing or damaged.
    """
    needed = set(found.entries)
    for pid, tail, cut_seq in found.records:
        async for seq in _record(reader, pid, tail, cut_seq):
            needed.add(seq)
    async for seq in _contexts(reader, found.contexts):
        needed.add(seq)
    return needed


async def _record(reader: Reader, pid: int, tail: int, cut_seq: int) -> AsyncIterator[int]:
    steps = 0
    while tail > cut_seq:
        yield tail
        before = [e.prev for e in _events(reader, tail) if getattr(e, "pid", 0) == pid and hasattr(e, "prev")]
        if not before or before[0] >= tail:
            raise Eio(f"entry {tail} is linked from the record of process {pid} and is none of it")
        tail, steps = before[0], steps + 1
        if not steps % STEPS_AT_ONCE:
            await others_first()


async def _contexts(reader: Reader, heads: set[int]) -> AsyncIterator[int]:
    seen: set[int] = set()
    ahead = sorted(heads)
    while ahead:
        seq = ahead.pop()
        if seq in seen:
            continue
        seen.add(seq)
        yield seq
        ahead += [e.parent for e in _events(reader, seq) if isinstance(e, Linked) and e.parent]
        if not len(seen) % STEPS_AT_ONCE:
            await others_first()


def _events(reader: Reader, seq: int) -> list[Any]:
    row = reader.row(seq)
    if row is None:
        raise Eio(f"entry {seq} is missing, and something that lives needs it")
    return list(ev.decode_entry(row.record).events)
