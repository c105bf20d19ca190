"""Pages of the process table: all of it, in order, and each costs its rows however much came before it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random  # noqa: TID251 seeded
from typing import Any

from prytany.abi import control
from prytany.kernel.pages import Pages
from prytany.kernel.state import ShardState
from prytany.kernel.views import process_rows
from prytany.process.process import Process
from prytany.process.table import Table


class Counted(dict[int, Process]):
    """Counts what is looked at of it."""

    looks = 0

    def get(self, pid: int, otherwise: Any = None) -> Any:
        self.looks += 1
        return super().get(pid, otherwise)

    def __contains__(self, pid: object) -> bool:
        self.looks += 1
        return super().__contains__(pid)

    def __iter__(self) -> Iterator[int]:
        for pid in super().__iter__():
            self.looks += 1
            yield pid

    def values(self) -> Any:
        for pid in self:
            yield self[pid]


def table_of(count: int) -> Table:
    table = Table()
    table.processes = Counted()
    for _ in range(count):
        add(table)
    return table


def add(table: Table) -> int:
    pid = table.next_number
    table.processes[pid] = Process(pid, 0, pid, "p", "python", "p", b"", b"", [], {}, b"", 0, 0, 1)
    table.next_number += 1
    return pid


def rows(pages: Pages, after: int) -> list[control.ProcessRow]:
    return process_rows(ShardState(), pages, after, 0)  # of the other rooms, these processes are in none


def all_of(pages: Pages) -> list[int]:
    found: list[int] = []
    while page := rows(pages, found[-1] if found else 0):
        found += [row.pid for row in page]
    return found


def looks(table: Table) -> int:
    assert isinstance(table.processes, Counted)
    return table.processes.looks


def test_a_page_costs_its_rows_wherever_it_begins() -> None:
    table = table_of(10_000)
    pages = Pages(table)
    assert all_of(pages) == list(range(1, 10_001))
    assert looks(table) <= 2 * 10_000 + control.ROWS_MAX  # the order once, each row once
    before = looks(table)
    assert [row.pid for row in rows(pages, 9_500)] == list(range(9_501, 10_001))
    assert looks(table) - before <= control.ROWS_MAX


def test_who_has_gone_is_passed_over_once_and_who_is_new_is_looked_at_once() -> None:
    table = table_of(10_000)
    pages = Pages(table)
    all_of(pages)
    for pid in range(1, 5_001):
        del table.processes[pid]
    rows(pages, 0)
    before = looks(table)
    assert [row.pid for row in rows(pages, 0)] == list(range(5_001, 5_501))
    assert looks(table) - before <= control.ROWS_MAX
    new = add(table)
    before = looks(table)
    assert [row.pid for row in rows(pages, 9_990)] == [*range(9_991, 10_001), new]
    assert looks(table) - before <= 20


def test_what_is_wanted_is_found_in_one_pass_over_all_pages() -> None:
    table = table_of(10_000)
    pages = Pages(table)
    found: list[int] = []
    while page := pages.after(found[-1] if found else 0, 100, lambda p: p.pid % 10 == 0):
        found += [p.pid for p in page]
    assert found == list(range(10, 10_001, 10))
    assert looks(table) <= 2 * 10_000 + control.ROWS_MAX


def test_it_lists_what_is_there_whatever_came_and_went() -> None:
    rng = Random(7)
    table = table_of(50)
    pages = Pages(table)
    for _ in range(300):
        for _ in range(rng.randrange(20)):
            add(table)
        for pid in rng.sample(list(table.processes), rng.randrange(len(table.processes))):
            del table.processes[pid]
        if rng.random() < 0.5:
            after = rng.randrange(table.next_number)
            expected = [pid for pid in table.processes if pid > after][:7]
            assert [p.pid for p in pages.after(after, 7)] == expected
        if rng.random() < 0.1:
            assert all_of(pages) == list(table.processes)
