"""What events mean to pools: who waits for a message is told by mailboxes, who lives by the process table. They decide
nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from prytany.abi import events as ev
from prytany.ipc.mailbox import Post
from prytany.ipc.pools import Pools
from prytany.process.table import Table


class Rooms(Protocol):
    """The state of a shard, as these folds see it."""

    table: Table
    post: Post
    pools: Pools


def _look(state: Rooms, pid: int) -> None:
    """Whether something is to be done for a pool."""
    pool = state.pools.pools.get(pid)
    if pool is None:
        return
    waiting = len(state.post.box(pid).waiting)
    if waiting and (pool.free or pool.grows(waiting)):
        state.pools.due[pid] = None
    else:
        state.pools.due.pop(pid, None)


def _declared(state: Rooms, seq: int, e: ev.PoolDeclared) -> None:
    state.pools.declared(e)
    _look(state, e.pid)


def _supervised(state: Rooms, seq: int, e: ev.ChildSupervised) -> None:
    if e.supervisor in state.pools.pools:
        state.pools.joined(e.pid, e.supervisor)
        _look(state, e.supervisor)


def _came(state: Rooms, seq: int, e: ev.MessageSent | ev.MessageAdmitted) -> None:
    if e.receiver in state.pools.pools:
        _look(state, e.receiver)


def _awaited(state: Rooms, seq: int, e: ev.MessageAwaited) -> None:
    pool = state.pools.of(e.receiver)
    if pool is not None and not (e.kinds or e.sender or e.fields):
        pool.free[e.receiver] = None
        _look(state, pool.pid)


def _taken(state: Rooms, seq: int, e: ev.MessageTaken) -> None:
    _busy(state, e.receiver)


def _stopped(state: Rooms, seq: int, e: ev.MemberBusy | ev.ProcessFailed | ev.ProcessCycled) -> None:
    _busy(state, e.pid)


def _busy(state: Rooms, pid: int) -> None:
    pool = state.pools.of(pid)
    if pool is not None:
        pool.free.pop(pid, None)
        _look(state, pool.pid)


def _continued(state: Rooms, seq: int, e: ev.ProcessContinued) -> None:
    pool, box = state.pools.of(e.pid), state.post.box(e.pid)
    if pool is not None and box.awaiting in state.table.require(e.pid).open:
        pool.free[e.pid] = None
        _look(state, pool.pid)


def _passed(state: Rooms, seq: int, e: ev.MessagePassed) -> None:
    state.post.passed(e.number, e.holder, e.receiver, front=e.front)
    for pid in (e.holder, e.receiver):
        pool = state.pools.pools.get(pid)
        if pool is not None:
            pool.busy_ns = state.table.time_ns
            _look(state, pid)


def _scaled(state: Rooms, seq: int, e: ev.PoolScaled) -> None:
    pool = state.pools.pools[e.pid]
    pool.busy_ns, pool.full = state.table.time_ns, e.full
    _look(state, e.pid)


def _exited(state: Rooms, seq: int, e: ev.ProcessExited) -> None:
    of = state.pools.members.get(e.pid, 0)
    state.pools.left(e.pid)
    state.pools.gone(e.pid)
    if of:
        _look(state, of)


FOLDS: list[tuple[type, Callable[[Any, int, Any], None]]] = [
    (ev.PoolDeclared, _declared),
    (ev.PoolScaled, _scaled),
    (ev.ChildSupervised, _supervised),
    (ev.MessageSent, _came),
    (ev.MessageAdmitted, _came),
    (ev.MessageAwaited, _awaited),
    (ev.MessageTaken, _taken),
    (ev.MessagePassed, _passed),
    (ev.MemberBusy, _stopped),
    (ev.ProcessFailed, _stopped),
    (ev.ProcessCycled, _stopped),
    (ev.ProcessContinued, _continued),
    (ev.ProcessExited, _exited),
]
