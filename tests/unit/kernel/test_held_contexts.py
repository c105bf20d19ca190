"""Contexts in memory: ready, packed or gone, they read the same, and who ends leaves nothing behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.kernel.effects import packed as packing
from prytany.kernel.effects.chains import Strand
from prytany.kernel.effects.held import HeldContexts
from prytany.kernel.effects.packed import Link, Packed, pack, unpack
from prytany.kernel.ledger import TENANT
from tests.simulation.looped import looped
from tests.unit.kernel.test_chains import Reader, head, talked

Messages = list[dict[str, Any]]
WHOLE = (1, 2, 3)


@pytest.fixture(autouse=True)
def _recorded() -> None:
    """Outside of the tests' loops: it runs a kernel in one of its own."""
    talked()


def contexts(bytes_max: int = 1 << 20, running: tuple[int, ...] = ()) -> tuple[HeldContexts, Any]:
    """What holds the contexts of process 1, and its reader."""
    reader: Any = Reader(talked().store)

    def digest_of(tenant: int) -> Any:
        return lambda content: talked().keyring.digest(TENANT, content)

    return HeldContexts(lambda: reader, digest_of, bytes_max, lambda pid: pid in running, _ended), reader


def _ended(task: asyncio.Task[None]) -> None:
    assert task.cancelled() or task.exception() is None


async def read(held: HeldContexts, number: int, pid: int = 1, tenant: int = TENANT) -> Messages:
    at = head(number)
    strand, length = await held.read(tenant, pid, at.seq, at.at)
    return strand.messages[:length]


async def settled(held: HeldContexts) -> None:
    if held._sweeping is not None:
        await held._sweeping


def forms(held: HeldContexts, tenant: int = TENANT) -> list[type]:
    return [type(one) for one in held._chains[tenant]._held.values()]


@looped
async def test_a_packed_context_is_read_without_the_journal_and_is_the_same() -> None:
    held, reader = contexts()
    whole = [await read(held, number) for number in WHOLE]
    before = held.tiers.size
    held.squeeze()
    await settled(held)
    assert forms(held) == [Packed] * 3
    assert held.tiers.size < before
    reader.rows_read.clear()
    assert [await read(held, number) for number in WHOLE] == whole
    assert reader.rows_read == []
    assert forms(held) == [Strand] * 3
    counts = held.tiers.counts
    assert (counts.misses, counts.hits, counts.unpacked, counts.packed) == (1, 5, 3, 3)


@looped
async def test_what_was_added_to_a_packed_context_alone_is_read() -> None:
    held, reader = contexts()
    at = head(1)
    strand, length = await held.read(TENANT, 1, at.seq, at.at)
    whole = strand.messages[:length]
    (earlier,) = {link.place for link in strand.links if link.place[0] < at.seq and link.place == strand.links[4].place}
    held.let_go(1)
    await held.read(TENANT, 1, *earlier)
    held.squeeze()
    await settled(held)
    reader.rows_read.clear()
    assert await read(held, 1) == whole
    assert min(reader.rows_read) > earlier[0]


@looped
async def test_a_context_that_is_used_while_it_is_packed_stays_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    held, _ = contexts()
    whole = await read(held, 1)
    (key,) = held._chains[TENANT]._held
    packed = asyncio.ensure_future(held._chains[TENANT].pack(key))
    await asyncio.sleep(0)  # noqa: TID251 it has begun
    assert await read(held, 1) == whole
    assert not await packed
    assert forms(held) == [Strand]


@looped
async def test_two_who_want_one_packed_context_at_once_get_one() -> None:
    held, _ = contexts()
    whole = await read(held, 1)
    held.squeeze()
    await settled(held)
    assert await asyncio.gather(*(read(held, 1) for _ in range(3))) == [whole] * 3
    assert forms(held) == [Strand]
    assert len(held.tiers) == 1


@looped
async def test_what_is_held_stays_within_its_bound_and_what_left_is_read_again() -> None:
    held, _ = contexts(1)
    whole = [await read(held, number) for number in WHOLE]
    assert len(held.tiers) == 1
    assert len(held._chains[TENANT]._places) == len(whole[2])
    assert [await read(held, number) for number in WHOLE] == whole
    await held.close()


@looped
async def test_above_the_high_mark_the_context_that_was_used_longest_ago_is_packed() -> None:
    probe, _ = contexts()
    for number in WHOLE:
        await read(probe, number)
    held, _ = contexts(probe.tiers.size + 1)
    for number in WHOLE:
        await read(held, number)
    await settled(held)
    assert forms(held)[0] is Packed
    assert held.tiers.size <= held.tiers.low or Strand not in forms(held)


@looped
async def test_contexts_of_who_runs_stay_ready_above_the_high_mark() -> None:
    probe, _ = contexts()
    for number in WHOLE:
        await read(probe, number)
    held, _ = contexts(probe.tiers.size + 1, running=(1,))
    for number in WHOLE:
        await read(held, number)
    await settled(held)
    assert forms(held) == [Strand] * 3


@looped
async def test_nothing_is_left_of_a_process_in_any_form() -> None:
    held, reader = contexts()
    await read(held, 1)
    held.squeeze()
    await settled(held)
    await read(held, 3)
    assert Packed in forms(held) or Strand in forms(held)
    held.let_go(1)
    chains = held._chains[TENANT]
    assert (chains._held, chains._of, chains._places, chains._tips) == ({}, {}, {}, {})
    assert (held.tiers.size, len(held.tiers)) == (0, 0)
    reader.rows_read.clear()
    await read(held, 1)
    assert reader.rows_read != []


@looped
async def test_what_goes_while_it_is_packed_does_not_come_back() -> None:
    held, _ = contexts()
    await read(held, 1)
    held.squeeze()
    await asyncio.sleep(0)  # noqa: TID251 it has begun
    held.let_go(1)
    await settled(held)
    assert (len(held.tiers), held._chains[TENANT]._held, held._chains[TENANT]._tips) == (0, {}, {})


@looped
async def test_what_one_tenant_holds_is_not_found_by_another() -> None:
    held, reader = contexts()
    await read(held, 1)
    held.squeeze()
    await settled(held)
    reader.rows_read.clear()
    await read(held, 3, pid=2, tenant=TENANT + 1)
    assert reader.rows_read != []


@looped
async def test_large_and_small_messages_come_out_as_they_went_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "STEP_BYTES", 100)
    source = ev.Source("model", "m")
    links = [
        Link((seq, 1), bytes([seq]) * 32, source, ["l"], {"role": "user", "content": text}, len(text))
        for seq, text in enumerate(["", "x" * 10_000, "ü" * 50, "y", "z" * 99], 1)
    ]
    packed = await pack(7, (b"root", ["l"]), links)
    assert await unpack(packed) == links
    assert (packed.tip, packed.length, packed.pid) == ((5, 1), 5, 7)
    assert len(packed.parts) > 1
