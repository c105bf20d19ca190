"""Journals of random fleets: every event follows from the state before it, as a kernel's would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from prytany.abi import events as ev
from prytany.journal.chain import next_hash
from prytany.journal.writer import START
from prytany.kernel.state import ShardState
from prytany.ports.store import Row
from prytany.process.process import Process, State

Draw = Callable[[Any], Any]


def _spawn(state: ShardState, draw: Draw) -> list[ev.Event]:
    table = state.table
    parents = [p.pid for p in table.processes.values() if p.state is State.RUNNING]
    pid, parent = table.next_number, draw(st.sampled_from([0, *parents]))
    spawned = ev.ProcessSpawned(
        pid, parent, parent or pid, draw(st.sampled_from(["a", "ä", "b" * 40])), "python", "/p.py:f", b"s" * 16,
        draw(st.binary(max_size=16)), draw(st.sampled_from([[], ["model"], ["ipc", "model"]])),
        draw(st.sampled_from([{}, {"/x": "r", "/a": "rw"}])), bytes(32), draw(st.integers(-1, 3)),
    )  # fmt: skip
    return [spawned, ev.ProcessReady(pid, 1)]


def _act(p: Process, draw: Draw) -> list[ev.Event]:
    n = p.usage.calls + p.usage.denials + 1
    closable = sorted(p.open)
    kinds = [
        "done",
        "open",
        "deny",
        "signal",
        "pause",
        "exit",
        "used",
        "incident",
        *(["close"] * 3 if closable else []),
    ]
    match draw(st.sampled_from(kinds)):
        case "done":
            return [ev.CallDone(p.pid, n, "nop", b"a" * 16, "", b"", p.tail)]
        case "open":
            call = draw(st.sampled_from(["timer_wait", "model_chat"]))
            return [
                ev.CallOpened(p.pid, n, call, b"a" * 16, p.tail, draw(st.integers(0, 1 << 62)), draw(st.booleans()))
            ]
        case "close":
            return [ev.CallClosed(p.pid, draw(st.sampled_from(closable)), "", b"r" * 16, p.tail)]
        case "deny":
            return [ev.CallsDenied(p.pid, "file_read", "EPERM", [n], p.tail, draw(st.booleans()))]
        case "signal":
            return [ev.ProcessSignalled(p.pid, 15, -1, p.tail)]
        case "pause":
            return [ev.ProcessPaused(p.pid, "SIGSTOP")]
        case "used":
            return [ev.ModelUsed(p.pid, n, "m", 3, 5, 7, 11)]
        case "incident":
            return [ev.IncidentOpened(p.pid, draw(st.sampled_from(["bad_key", "replay"])), n)]
        case _:
            return [ev.ProcessExited(p.pid, draw(st.integers(0, 255)), 0, "returned", b"l" * 16, 5)]


def _next(state: ShardState, draw: Draw) -> list[ev.Event]:
    table = state.table
    if not table.processes or draw(st.integers(0, 5)) == 0:
        return _spawn(state, draw)
    process = table.require(draw(st.sampled_from(list(table.processes))))
    match process.state:
        case State.READY:
            return [ev.ProcessStarted(process.pid, process.tail)]
        case State.STOPPED:
            return [ev.ProcessContinued(process.pid)]
        case State.TERMINATED:
            return [ev.ProcessReaped(process.pid)]
        case _:
            return _act(process, draw)


@st.composite
def random_journals(draw: Draw, entries_max: int = 60) -> list[Row]:
    """The rows of one."""
    state, rows, hash_ = ShardState(), list[Row](), START.hash
    for seq in range(1, draw(st.integers(1, entries_max)) + 1):
        entry = ev.Entry(seq * 1_000, _next(state, draw))
        for event in entry.events:
            state.apply(seq, entry.time_ns, event)
        record = ev.encode_entry(entry)
        hash_ = next_hash(hash_, record)
        rows.append(Row(seq, hash_, record, b""))
    return rows
