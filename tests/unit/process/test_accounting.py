"""What a process took: running and waiting time from its events, processor time from its workers, even when gone."""

from __future__ import annotations

import pytest

from prytany.abi import events as ev
from prytany.kernel.totals import tree_of
from prytany.process.fold import apply
from prytany.process.process import Usage
from prytany.process.table import Table

MS = 1_000_000


class Told:
    """A table that is told events, one an entry."""

    def __init__(self) -> None:
        self.table = Table()
        self.seq = 0

    def __call__(self, at_ms: int, *events: ev.Event) -> None:
        self.seq += 1
        for event in events:
            apply(self.table, self.seq, (1_000 + at_ms) * MS, event)

    def spawn(self, pid: int, parent: int = 0) -> None:
        spawned = ev.ProcessSpawned(pid, parent, 1, "p", "python", "p.py:main", b"", b"", [], {}, b"")
        self(0, spawned, ev.ProcessReady(pid, 1))
        self(0, ev.ProcessStarted(pid, 0))

    def tail(self, pid: int = 1) -> int:
        return self.table.require(pid).tail

    def usage(self, pid: int = 1) -> Usage:
        return self.table.require(pid).usage


@pytest.fixture
def told() -> Told:
    told = Told()
    told.spawn(1)
    return told


def times(told: Told) -> tuple[int, int]:
    return told.usage().run_us // 1000, told.usage().wait_us // 1000


def test_time_counts_as_waiting_only_while_all_that_is_open_waits(told: Told) -> None:
    told(10, ev.CallOpened(1, 1, "timer_wait", b"a", told.tail()))
    told(30, ev.CallOpened(1, 2, "model_chat", b"a", told.tail()))
    told(60, ev.CallClosed(1, 2, "", b"", told.tail()))
    told(100, ev.CallClosed(1, 1, "", b"", told.tail()))
    told(150, ev.ProcessExited(1, 0, 0, "returned", b""))
    assert times(told) == (10 + 30 + 50, 20 + 40)


def test_a_stopped_process_takes_no_time_and_neither_does_one_whose_kernel_is_down(told: Told) -> None:
    told(10, ev.CallOpened(1, 1, "timer_wait", b"a", told.tail()))
    told(30, ev.ProcessPaused(1, "SIGSTOP"))
    told(1_030, ev.ProcessContinued(1))
    told(1_040, ev.CallDone(1, 2, "nop", b"", "", b"", told.tail()))
    told(5_040, ev.KernelStarted("v", 1))
    told(5_050, ev.CallClosed(1, 1, "", b"", told.tail()))
    told(5_060, ev.ProcessExited(1, 0, 0, "returned", b""))
    assert times(told) == (10 + 10, 20 + 20)


def test_what_a_worker_took_is_counted_whenever_it_comes(told: Told) -> None:
    told.spawn(2, parent=1)
    told(1, ev.ProcessAccounted(2, 1, 7))
    told(2, ev.ProcessExited(2, 0, 0, "returned", b"", 1))
    told(3, ev.ProcessAccounted(2, 1, 10))
    assert told.usage(2).cpu_us == 18
    told(4, ev.ProcessReaped(2))
    assert told.table.require(1).below.cpu_us == 18
    told(5, ev.ProcessAccounted(2, 1, 100))
    assert told.table.require(1).below.cpu_us == 118
    assert told.table.get(2) is None
    told(6, ev.ProcessAccounted(9, 9, 1))  # a run that nobody knows any more


def test_what_reaped_descendants_took_goes_up_with_them(told: Told) -> None:
    told.spawn(2, parent=1)
    told.spawn(3, parent=2)
    told(1, ev.CallDone(3, 1, "nop", b"", "", b"", told.tail(3)))
    for pid in (3, 2):
        told(2, ev.ProcessExited(pid, 0, 0, "returned", b"", pid))
        told(3, ev.ProcessReaped(pid))
    below = told.table.require(1).below
    assert (below.cpu_us, below.calls) == (5, 1)
    assert told.table.require(1).reaped == 2
    assert tree_of(told.table, told.table.require(1)).processes == 3


def test_what_an_orphan_took_counts_for_its_run(told: Told) -> None:
    told.spawn(2, parent=1)
    told.spawn(3, parent=2)
    told(1, ev.ModelUsed(3, 1, "m", 10, 20, 30, 40))
    told(2, ev.ProcessExited(2, 0, 0, "returned", b""))
    told(3, ev.ProcessReaped(2))
    before = tree_of(told.table, told.table.require(1))
    told(4, ev.ProcessExited(3, 0, 0, "returned", b""))
    told(5, ev.ProcessReaped(3))
    after = tree_of(told.table, told.table.require(1))
    for took in (before, after):
        assert (took.processes, took.prompt_tokens, took.completion_tokens, took.cost_usd_micros) == (3, 10, 20, 30)


def test_a_tree_below_the_root_is_its_own_only(told: Told) -> None:
    for pid, parent in ((2, 1), (3, 2), (4, 1)):
        told.spawn(pid, parent=parent)
        told(1, ev.ModelUsed(pid, 1, "m", pid, 0, 0, 0))
    two = tree_of(told.table, told.table.require(2))
    assert (two.processes, two.prompt_tokens) == (2, 5)


def test_a_call_that_closes_while_its_process_is_stopped_lets_no_time_count(told: Told) -> None:
    told(10, ev.CallOpened(1, 1, "model_chat", b"a", told.tail()))
    told(20, ev.ProcessPaused(1, "SIGSTOP"))
    told(30, ev.CallClosed(1, 1, "", b"", told.tail()))
    told(1_000, ev.ProcessContinued(1))
    told(1_005, ev.ProcessExited(1, 0, 0, "returned", b""))
    assert times(told) == (20 + 5, 0)
