"""What models took is added up from the journal, by whatever it is to be told apart by."""

from __future__ import annotations

import msgspec
import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Eio
from prytany.drivers.stores.memory import MemoryStore
from prytany.ports.store import Row
from prytany.system.spending import Spent, spending

DAY_NS = 86_400_000_000_000


def spawned(pid: int, run: int, name: str, fleet: int = 0, agent: str = "") -> ev.ProcessSpawned:
    return ev.ProcessSpawned(
        pid, 0, run, name, "python", "p.py:main", bytes(32), bytes(32), [], {}, b"", fleet=fleet, agent=agent
    )


def used(pid: int, model: str, cost: int = 0, cause: str = "", tokens: int = 10) -> ev.ModelUsed:
    return ev.ModelUsed(pid, 1, model, tokens, 1 if tokens else 0, cost, 500, cause, estimated=bool(cause))


ENTRIES: list[tuple[int, list[ev.Event]]] = [
    (0, [ev.FleetDeclared(1, "shop", bytes(32), {}, [], False, 0)]),
    (1, [spawned(1, 1, "clerk", 1, "clerk"), spawned(2, 1, "part", 1, "clerk"), spawned(3, 3, "alone")]),
    (2, [used(1, "dear", 700), used(2, "dear", 0, "timeout")]),
    (DAY_NS, [used(3, "free")]),
    (DAY_NS + 1, [used(9, "free", tokens=0)]),
]


def store(entries: list[tuple[int, list[ev.Event]]]) -> MemoryStore:
    found = MemoryStore()
    rows = [
        Row(seq, bytes(32), ev.encode_entry(ev.Entry(time_ns, events)), b"")
        for seq, (time_ns, events) in enumerate(entries, 1)
    ]
    if rows:
        found.commit(rows, [])
    return found


def test_it_is_told_apart_by_agent_model_day_and_run() -> None:
    reader = store(ENTRIES).reader()
    by_model = spending(reader, ["model"])
    assert by_model[("dear",)] == Spent(1, 1, 1, 1, 20, 2, 700, 1_000, unanswered_tokens=11)
    assert by_model[("free",)] == Spent(2, 0, 0, 1, 10, 1, 0, 1_000)
    assert set(spending(reader, ["agent", "run"])) == {("shop.clerk", 1), ("alone", 3), ("?", 0)}
    assert {key: spent.calls for key, spent in spending(reader, ["day"]).items()} == {
        ("1970-01-01",): 1, ("1970-01-02",): 2,
    }  # fmt: skip


def test_what_costs_nothing_is_told_from_what_has_no_known_price_and_from_what_was_not_recorded() -> None:
    entries: list[tuple[int, list[ev.Event]]] = [
        (1, [ev.ModelUsed(1, n, "m", 10, 1, cost, 500, "", priced=priced)])
        for n, (cost, priced) in enumerate([(0, True), (0, False), (0, None), (5, True), (5, None)])
    ]
    (spent,) = spending(store(entries).reader(), ["model"]).values()
    assert (spent.free, spent.unpriced, spent.cost_usd_micros) == (1, 2, 10)


def test_who_has_several_tags_counts_under_each_and_once_in_the_sum() -> None:
    tagged = [
        msgspec.structs.replace(spawned(pid, pid, f"p{pid}"), tags=tags)
        for pid, tags in enumerate((["a", "b"], ["b"], []), 1)
    ]
    reader = store([(1, [*tagged]), (2, [used(pid, "m", 10**pid) for pid in (1, 2, 3, 9)])]).reader()
    total = Spent()
    found = spending(reader, ["tag"], total=total)
    assert {key: spent.cost_usd_micros for key, spent in found.items()} == {
        ("a",): 10, ("b",): 110, ("",): 1_000 + 10**9,
    }  # fmt: skip
    assert (total.calls, total.cost_usd_micros) == (4, 1_110 + 10**9)
    both = spending(reader, ["agent", "model", "day", "tag"], tag="b")
    assert set(both) == {("p1", "m", "1970-01-01", tag) for tag in "ab"} | {("p2", "m", "1970-01-01", "b")}


@pytest.mark.parametrize(("since_ns", "calls"), [(0, 3), (1, 3), (3, 2), (DAY_NS, 2), (DAY_NS + 1, 1), (DAY_NS * 9, 0)])
def test_what_was_before_is_left_out_and_names_are_known_all_the_same(since_ns: int, calls: int) -> None:
    reader = store(ENTRIES).reader()
    for by in (["model"], ["agent"]):
        found = spending(reader, by, since_ns)
        assert sum(spent.calls for spent in found.values()) == calls
        assert ("alone",) in found or by == ["model"] or calls < 2


def test_an_empty_journal_took_nothing_and_one_that_cannot_be_read_is_an_error() -> None:
    assert spending(store([]).reader(), ["model"]) == {}
    broken = MemoryStore()
    broken.commit([Row(1, bytes(32), b"model.used/1 \xc1", b"")], [])
    with pytest.raises(Eio):
        spending(broken.reader(), ["model"])
