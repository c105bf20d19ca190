"""Locks: what is free is granted in the entry of the call; what is not is waited for, in order, all or nothing."""

from __future__ import annotations

from typing import Any

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Einval
from prytany.ipc.locks import ALONE, Locks
from prytany.kernel.handlers.deadline import deadline_ns
from prytany.kernel.outcome import Context, Done, Opened
from prytany.kernel.scope import scope_of
from prytany.process.process import Process

ACQUIRE = "lock_acquire"


def sys_lock_acquire(k: Context, p: Process, n: int, a: Any) -> Done | Opened:
    """Granted at once where nobody has or waits for any of it."""
    locks, scope = k.state.locks, scope_of(k.fleets, p)
    _check_names(a)
    until_ns = deadline_ns(k, a.timeout_ms, ACQUIRE) if a.timeout_ms else 0
    free = True
    for names, takes in ((a.names, 1 if a.permits else ALONE), (a.shared, 1)):
        for name in names:
            _check_kind(locks, scope, name, a.permits)
            key = f"{scope}/{name}"
            if not locks.room(key, takes):
                free = False
                if len(locks.lines[key].waits) >= limits.LOCK_QUEUE_MAX:
                    raise Eagain(f"{limits.LOCK_QUEUE_MAX} wait for {name!r}", call=ACQUIRE)
    if locks.count(p.pid) >= limits.LOCKS_MAX:
        raise Eagain(f"{limits.LOCKS_MAX} locks are the most that a process has or waits for", call=ACQUIRE)
    if a.permits:
        _check_semaphores(locks, scope, a.names)
    if not free:
        return Opened(until_ns, (ev.LockClaimed(p.pid, n, scope, a.names, a.shared, a.permits),))
    fence = locks.fences + 1
    return Done(fence, after=(ev.LockClaimed(p.pid, n, scope, a.names, a.shared, a.permits, fence),), spare=True)


def sys_lock_release(k: Context, p: Process, n: int, a: Any) -> Done:
    """Whoever waits and can go on is let go on behind this entry."""
    if k.state.locks.holding(p.pid, a.fence) is None:
        return Done(False)
    return Done(True, after=(ev.LockReleased(p.pid, a.fence),))


def returned_locks(k: Context, p: Process, n: int) -> tuple[ev.Event, ...]:
    """A call was cancelled after it was granted, and before its caller saw it: nobody has it, so it is let go."""
    claim = k.state.locks.granted_by(p.pid, n)
    return () if claim is None else (ev.LockReleased(p.pid, claim.fence),)


def check_name(name: str, what: str, call: str) -> None:
    """Raise Einval for what is no name of something shared."""
    if not name or (len(name) > limits.NAME_BYTES_MAX // 4 and len(name.encode()) > limits.NAME_BYTES_MAX):
        raise Einval(f"the name of a {what} has 1 to {limits.NAME_BYTES_MAX} bytes", call=call)


def _check_names(a: Any) -> None:
    count = len(a.names) + len(a.shared)
    if not 0 < count <= limits.LOCKS_AT_ONCE_MAX:
        raise Einval(f"1 to {limits.LOCKS_AT_ONCE_MAX} locks are asked for at once", call=ACQUIRE)
    for name in (*a.names, *a.shared):
        check_name(name, "lock", ACQUIRE)
    if count > 1 and len({*a.names, *a.shared}) < count:
        raise Einval("a lock is named twice", call=ACQUIRE)
    if not 0 <= a.permits <= limits.LOCK_PERMITS_MAX:
        raise Einval(f"a semaphore has 1 to {limits.LOCK_PERMITS_MAX} permits", call=ACQUIRE)
    if a.permits and a.shared:
        raise Einval("a permit of a semaphore is not shared", call=ACQUIRE)


def _check_kind(locks: Locks, scope: str, name: str, permits: int) -> None:
    """Raise Einval where the name is used as something else."""
    declared = locks.permits.get(scope, {}).get(name, 0) if locks.permits else 0
    if declared and declared != permits:
        had = f"{name!r} is a semaphore of {declared} permits" + (", and no lock" if not permits else "")
        raise Einval(had, call=ACQUIRE, detail={"permits": declared})
    if permits and not declared and f"{scope}/{name}" in locks.lines:
        raise Einval(f"{name!r} is a lock now, and no semaphore", call=ACQUIRE, detail={"permits": 0})


def _check_semaphores(locks: Locks, scope: str, names: list[str]) -> None:
    """Raise Eagain where there would be too many."""
    known = locks.permits.get(scope, {})
    if len(known) + sum(name not in known for name in names) > limits.SEMAPHORES_MAX:
        raise Eagain(f"{limits.SEMAPHORES_MAX} semaphores are the most that one scope has", call=ACQUIRE)
