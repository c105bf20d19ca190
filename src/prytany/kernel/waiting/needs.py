"""What calls need of other processes: the edges of the wait-for graph, a line for each kind of waiting.

A call that is not named here may end by itself, and whoever has it open can go on. Who adds a kind of waiting for
certain processes names it in `NEEDS`, and in `BEHIND` who waits so for a process; what people read of it is an edge of
`explain`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

from prytany.ipc.locks import Before
from prytany.ipc.wait_for import Need
from prytany.kernel.state import ShardState
from prytany.process.process import OpenCall, Process
from prytany.scheduling.turns import parse_key

OfCall = Callable[[ShardState, Process, int, OpenCall], Sequence[Need] | None]
"""What open call `n` of a process needs; None or nothing where it may end by itself."""
OfProcess = Callable[[ShardState, Process], Iterator[int]]
"""Who waits so for a process; too many do no harm."""


def _one(pid: int) -> Iterator[tuple[int, int]]:
    yield pid, 1


def _child(state: ShardState, p: Process, n: int, call: OpenCall) -> Sequence[Need]:
    return (Need(partial(_one, call.subject)),)


def _parents(state: ShardState, p: Process) -> Iterator[int]:
    return iter(p.waiters)


def _reply(state: ShardState, p: Process, n: int, call: OpenCall) -> Sequence[Need] | None:
    receiver = state.awaited.receiver(p.pid, n)
    return None if receiver is None else (Need(partial(_one, receiver)),)


def _callers(state: ShardState, p: Process) -> Iterator[int]:
    return state.awaited.callers(p.pid)


def _lock(state: ShardState, p: Process, n: int, call: OpenCall) -> Sequence[Need] | None:
    return [Need(partial(_claims, before), room) for _, room, before in state.locks.before(p.pid, n)]


def _claims(before: Before) -> Iterator[tuple[int, int]]:
    return ((claim.pid, takes) for claim, takes in before())


def _behind_locks(state: ShardState, p: Process) -> Iterator[int]:
    return state.locks.behind(p.pid)


def _resources(state: ShardState, p: Process, n: int, call: OpenCall) -> Sequence[Need] | None:
    tool = state.turns.get(p.pid, n)
    if tool is None or tool.started or tool.held or tool.paced:
        return None
    key = f"{p.pid}:{n}"
    return [Need(partial(_queued, state, resource, key)) for resource in tool.resources]


def _queued(state: ShardState, resource: bytes, key: str) -> Iterator[tuple[int, int]]:
    for other in state.turns.queues.get(resource, ()):
        if other == key:
            return
        yield parse_key(other)[0], 1


def _behind_tools(state: ShardState, p: Process) -> Iterator[int]:
    for call in state.turns.calls.get(p.pid, {}).values():
        for resource in call.resources:
            for other in state.turns.queues.get(resource, ()):
                yield parse_key(other)[0]


NEEDS: dict[str, OfCall] = {
    "process_wait": _child,
    "message_call": _reply,
    "lock_acquire": _lock,
    "tool_call": _resources,
}
"""By the call's name."""
BEHIND: tuple[OfProcess, ...] = (_parents, _callers, _behind_locks, _behind_tools)


def behind(state: ShardState, pid: int) -> Iterator[int]:
    """Who waits for a process, in any way."""
    process = state.table.get(pid)
    return iter(()) if process is None else chain.from_iterable(of(state, process) for of in BEHIND)
