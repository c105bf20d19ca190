"""Contexts read back: whole, checked, held within a bound, and no more of them than is new."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Eio
from prytany.drivers.stores.memory import MemoryStore
from prytany.kernel.effects import chains as module
from prytany.kernel.effects.chains import Chains, Strand
from prytany.kernel.folding import fold
from prytany.kernel.ledger import TENANT
from prytany.memory.context import Head, assistant_message
from prytany.memory.tiers import Tiers
from prytany.ports.store import Body, Row
from tests.simulation.conversations import talking
from tests.simulation.fleet import Fleet


@cache
def talked() -> Fleet:
    fleet = talking("talker")
    assert asyncio.run(fleet.live()) is not None
    return fleet


def head(number: int) -> Head:
    return fold(talked().store.reader())[0].contexts.owned[1].heads[number]


class Reader:
    """Counts rows, and shows what a damaged or forgetful store would."""

    def __init__(self, store: MemoryStore) -> None:
        self._inner = store.reader()
        self.rows_read: list[int] = []
        self.lost: set[int] = set()
        self.forgetful = False
        self.said = b""

    def archived(self) -> int:
        return 0

    def row(self, seq: int) -> Row | None:
        self.rows_read.append(seq)
        row = self._inner.row(seq)
        if row is None or seq in self.lost:
            return None
        return row._replace(bodies=row.bodies.replace(self.said, b"X" * len(self.said)) if self.said else row.bodies)

    def body(self, tenant: int, digest: bytes) -> Body | None:
        return None if self.forgetful else self._inner.body(tenant, digest)


def chains(bytes_max: int = 1 << 20) -> tuple[Chains, Any]:
    reader: Any = Reader(talked().store)
    return Chains(lambda: reader, lambda content: talked().keyring.digest(TENANT, content), Tiers(bytes_max)), reader


def read(held: Chains, number: int) -> list[dict[str, Any]]:
    at = head(number)
    strand, length = asyncio.run(held.read(at.seq, at.at))
    assert (length, strand.links[length - 1].node) == (at.length, at.node)
    return strand.messages[:length]


def test_a_chain_is_read_to_its_root_in_the_order_in_which_it_was_said() -> None:
    held, reader = chains()
    roles = "system user assistant user user assistant user assistant"
    assert [m["role"] for m in read(held, 1)] == roles.split()
    assert reader.rows_read == sorted(reader.rows_read, reverse=True)


def test_what_is_held_is_not_read_again_and_a_fork_reads_its_own_part_alone() -> None:
    held, reader = chains()
    whole = read(held, 1)
    reader.rows_read.clear()
    assert read(held, 1) == whole
    assert reader.rows_read == []
    forked = read(held, 3)
    assert len(reader.rows_read) == 2
    assert forked[:3] == whole[:3]
    assert forked[0] is whole[0]
    assert read(held, 1) == whole


def test_a_root_of_which_nothing_was_said_is_not_held() -> None:
    held, _ = chains()
    entries = enumerate(talked().entries(), 1)
    (opened, *_) = [seq for seq, entry in entries if any(isinstance(e, ev.ContextOpened) for e in entry.events)]
    for _ in range(10):
        strand, length = asyncio.run(held.read(opened, 0))
        assert (strand.links, length) == ([], 0)
    assert (held._held, held._places, held.tiers.size) == ({}, {}, 0)


def test_walks_that_go_on_at_the_same_time_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS_AT_ONCE", 1)
    held, _ = chains()
    heads = [head(number) for number in (1, 2, 3, 1, 3, 2)]

    async def all_at_once() -> list[tuple[Strand, int]]:
        return await asyncio.gather(*(held.read(h.seq, h.at) for h in heads))

    alone, _ = chains()
    found = [strand.messages[:length] for strand, length in asyncio.run(all_at_once())]
    assert found == [read(alone, number) for number in (1, 2, 3, 1, 3, 2)]
    assert held.tiers.size == sum(strand.size for strand in held._held.values())
    assert len(held.tiers) == len(held._held) == 3
    assert all(strand.links[length - 1].place == place for place, (strand, length) in held._places.items())


@pytest.mark.parametrize("said", [b"be brief", b"from the web", b"5 messages to two"])
def test_content_that_is_not_what_was_said_is_found(said: bytes) -> None:
    held, reader = chains()
    reader.said = said
    with pytest.raises(Eio):
        read(held, 1)


def test_an_entry_or_a_body_that_is_missing_is_an_error_and_nothing_else() -> None:
    held, reader = chains()
    reader.forgetful = True
    with pytest.raises(Eio):
        read(held, 1)
    assert [m["content"] for m in read(held, 3)][-2] == "other"
    reader.forgetful = False
    assert len(read(held, 1)) == 8
    other, reader = chains()
    reader.lost = {head(1).seq}
    with pytest.raises(Eio):
        read(other, 1)


def test_a_place_that_is_none_of_a_contexts_is_an_error() -> None:
    held, _ = chains()
    with pytest.raises(Eio):
        asyncio.run(held.read(1, 1))
    with pytest.raises(Eio):
        asyncio.run(held.read(head(1).seq, 9))


def test_large_messages_lie_once_in_rows_of_their_own() -> None:
    large = [body for body in talked().store.reader().bodies() if b"x" * 5_000 in body.content]
    asked = [
        e.argument
        for entry in talked().entries()
        for e in entry.events
        if isinstance(e, ev.CallOpened) and e.argument in {body.digest for body in large}
    ]
    assert len(asked) == 1


def test_an_answer_with_tool_calls_is_kept_in_the_form_in_which_models_are_told_of_them() -> None:
    answer = {"text": "", "tool_calls": [{"id": "1", "name": "add", "arguments": "{}"}]}
    assert assistant_message(answer)["tool_calls"] == [
        {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    ]
