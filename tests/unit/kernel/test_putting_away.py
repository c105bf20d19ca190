"""Who may be put away: only who waits, has taken all that it was sent, and whose record is durable."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from prytany.kernel.live import Live
from prytany.kernel.record import Record
from prytany.kernel.replay import Cursor
from prytany.kernel.workers import Workers
from prytany.process.process import OpenCall, Process, State


class FakeWorker:
    identity = (7, 7)
    killed = False

    def kill(self) -> None:
        self.killed = True


def workers_of(pids: list[int], most: int) -> tuple[Any, dict[int, Process]]:
    processes: dict[int, Process] = {}
    table = SimpleNamespace(get=processes.get)
    ledger = SimpleNamespace(journal=SimpleNamespace(durable=10), denials=SimpleNamespace(waiting={}))
    places = SimpleNamespace(idle=dict.fromkeys(pids))
    kernel: Any = SimpleNamespace(table=table, ledger=ledger, places=places, closing=False)
    workers = Workers(kernel, {}, most)
    for pid in pids:
        process = Process(pid, 0, pid, "p", "python", "p", b"", b"", [], {}, b"", 0, 0, 1)
        process.state, process.tail, process.open = State.RUNNING, 10, {1: OpenCall("timer_wait", b"", 10)}
        processes[pid] = process
        live = Live(process, Cursor(Record(0, [], {})))
        live.cursor, live.worker, live.sent, live.delivered = None, FakeWorker(), 3, 3  # type: ignore[assignment]
        workers.live[pid] = live
    return workers, processes


def test_those_that_waited_longest_go_until_there_are_no_more_than_there_may_be() -> None:
    workers, _ = workers_of([4, 2, 3, 1], 2)
    workers.put_away()
    assert list(workers.live) == [3, 1]
    assert not workers.too_many


@pytest.mark.parametrize(
    "why", ["starting", "replaying", "at work", "not durable", "denied", "inline", "stopped", "ended", "reaped"]
)
def test_who_is_not_simply_waiting_keeps_its_worker(why: str) -> None:
    workers, processes = workers_of([1, 2], 0)
    live, process = workers.live[1], processes[1]
    worker = live.worker
    if why == "starting":
        live.worker = None
    elif why == "replaying":
        live.cursor = Cursor(Record(0, [], {}))
    elif why == "at work":
        live.sent = 4
    elif why == "not durable":
        process.tail = 11
    elif why == "denied":
        workers._kernel.ledger.denials.waiting[1] = []
    elif why == "inline":
        worker.identity = (0, 0)
    elif why == "stopped":
        process.state = State.STOPPED
    elif why == "ended":
        process.state = State.TERMINATED
    else:
        del processes[1]
    workers.put_away()
    assert list(workers.live) == [1]
    assert not worker.killed


def test_who_has_no_worker_is_looked_at_once() -> None:
    workers, _ = workers_of([1, 2], 1)
    del workers.live[1]
    workers.put_away()
    assert 1 not in workers._kernel.places.idle
