"""What calls need of other processes: the edges of the wait-for graph, a line for each kind of waiting.

A call that is not named here may end by itself, and whoever has it open can go on. Who adds a kind of waiting for
certain processes names it in `NEEDS`, and in `BEHIND` who waits so for a process; what people read of it is an edge of
`explain`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

from prytany.ipc.locks import Waited
from prytany.ipc.wait_for import Behind, Need
from prytany.kernel.state import ShardState
from prytany.process.process import OpenCall, Process
from prytany.scheduling.turns import parse_key

OfCall = Callable[[ShardState, Process, int, OpenCall], Sequence[Need] | None]
"""What open call `n` of a process needs; None or nothing where it may end by itself."""
OfProcess = Callable[[ShardState, Process], Iterator[Behind]]
"""Who waits so for a process; too many do no harm."""


def _one(pid: int) -> Iterator[tuple[int, int]]:
    yield pid, 1


def _child(state: ShardState, p: Process, n: int, call: OpenCall) -> Sequence[Need]:
    return (Need(partial(_one, call.subject)),)


def _parents(state: ShardState, p: Process) -> Iterator[Behind]:
    yield Behind(iter(p.waiters))


def _receiver(state: ShardState, p: Process, n: int, call: OpenCall) -> Sequence[Need] | None:
    receiver = state.awaited.receiver(p.pid, n)
    return None if receiver is None else (Need(partial(_one, receiver)),)


def _callers(state: ShardState, p: Process) -> Iterator[Behind]:
    yield Behind(state.awaited.callers(p.pid))


def _lock(state: ShardState, p: Process, n: int, call: OpenCall) -> Sequence[Need] | None:
    return [Need(partial(_claims, line), line.room, line.key, line.ticket) for line in state.locks.before(p.pid, n)]


def _claims(line: Waited) -> Iterator[tuple[int, int]]:
    return ((claim.pid, takes) for claim, takes in line.before())


def _behind_locks(state: ShardState, p: Process) -> Iterator[Behind]:
    return (Behind(of, key, ticket) for key, ticket, of in state.locks.behind(p.pid))


def _resources(state: ShardState, p: Process, n: int, call: OpenCall) -> Sequence[Need] | None:
    tool = state.turns.get(p.pid, n)
    if tool is None or tool.started or tool.held or tool.paced:
        return None
    key = f"{p.pid}:{n}"
    return [Need(partial(_queued, state, resource, key), 0, resource, tool.place) for resource in tool.resources]


def _queued(state: ShardState, resource: bytes, key: str) -> Iterator[tuple[int, int]]:
    for other in state.turns.queues.get(resource, ()):
        if other == key:
            return
        yield parse_key(other)[0], 1


def _behind_tools(state: ShardState, p: Process) -> Iterator[Behind]:
    turns = state.turns
    entered = [(n, call.place, call.resources) for n, call in turns.calls.get(p.pid, {}).items()]
    entered += [(n, hold.place, list(hold.queues.values())) for n, hold in turns.holds.get(p.pid, {}).items()]
    for n, place, resources in entered:
        for resource in resources:
            yield Behind(_after(state, resource, f"{p.pid}:{n}"), resource, place)


def _after(state: ShardState, resource: bytes, key: str) -> Iterator[int]:
    for other in reversed(state.turns.queues.get(resource, {})):
        if other == key:
            return
        yield parse_key(other)[0]


def _pipe(state: ShardState, p: Process, n: int, call: OpenCall) -> Sequence[Need] | None:
    """Any of those at the other end will do, so it is kept by all of them alone."""
    pipe = state.pipes.pipes.get(call.subject)
    if pipe is None:
        return None
    others = pipe.writers if call.call == "pipe_read" else pipe.readers
    return (Need(lambda: ((pid, 1) for pid in others), len(others) - 1),) if others else None


def _at_pipes(state: ShardState, p: Process) -> Iterator[Behind]:
    for number in state.pipes.held.get(p.pid, ()):
        pipe = state.pipes.pipes[number]
        yield Behind(waiting.pid for waiting in (*pipe.reading.values(), *pipe.writing.values()))


NEEDS: dict[str, OfCall] = {
    "process_wait": _child,
    "message_call": _receiver,
    "message_send": _receiver,
    "lock_acquire": _lock,
    "tool_call": _resources,
    "tool_hold": _resources,
    "pipe_read": _pipe,
    "pipe_write": _pipe,
}
"""By the call's name."""
BEHIND: tuple[OfProcess, ...] = (_parents, _callers, _behind_locks, _behind_tools, _at_pipes)


def behind(state: ShardState, pid: int) -> Iterator[Behind]:
    """Who waits for a process, in any way."""
    process = state.table.get(pid)
    return iter(()) if process is None else chain.from_iterable(of(state, process) for of in BEHIND)
