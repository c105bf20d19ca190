"""What a worker weighs on the processor, by the class of its process; the kernel weighs most.

Three things say it to Linux, each of which anybody may set for himself:

    nice         by class, added to the kernel's own: an ordinary user cannot raise what is his, so workers are lowered
    a slice      of an interactive worker and of the kernel: who asks for a short one has its turn at once, where
                 another would wait for the tick in which what runs now has had its own (EEVDF, Linux 6.12)
    batch        of the background: what wakes up in it takes nobody's turn away

Where sessions are groups (autogroup), the processor is shared out by session first, and nice counts within each. So
workers stay in the session of their zygote, where nice orders them, and the zygote lowers that session as a whole. Only
who is interactive has a session of its own: others that spin use up what is theirs together, and it would wait for its
group though it is the first in it.

An ordinary user cannot take back what he gave, and nobody moves a process into a session: where that would be needed
`change` says False, and such a worker is begun anew. Must not be asked for a process that is not known to live; a pid
alone may be another's by then.

Source: sched(7), sched_setattr(2), setpriority(2); Zijlstra, "sched/eevdf: Allow shorter slices to wakeup-preempt".
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import select
import struct
import sys

NICE = (1, 5, 10, 19)
"""Above the kernel's own; by class, the most urgent first."""
SLICE_NS = (100_000, 0, 0, 0)
"""0 is the machine's own."""
SESSION_NICE = 3
"""Of all workers together, where sessions are groups: half the weight of the session that the kernel is in."""

_NORMAL, _BATCH = 0, 3
_POLICY = (_NORMAL, _NORMAL, _NORMAL, _BATCH)
_RESET_ON_FORK = 1
_SHORT_NS = 100_000  # the shortest that Linux takes
_NICE_MAX = 19
_ALONE = 0  # the class whose workers have sessions of their own
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274, "riscv64": 274}.get(os.uname().machine, -1)
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")  # struct sched_attr, its first version
_TRIES = 5
_TRY_S = 0.11
_AUTOGROUP = "/proc/sys/kernel/sched_autogroup_enabled"

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = getattr(_libc, "syscall", None)


def nice_of(qos: int) -> int:
    """Of a worker of that class, of a kernel that is as nice as this process."""
    return min(_NICE_MAX, os.getpriority(os.PRIO_PROCESS, 0) + NICE[qos])


def become(qos: int) -> None:
    """Lead a process group, and weigh what that class does, from here on; in a worker to be, which has one thread and
    leads nothing. What cannot be set stays."""
    if qos == _ALONE:
        os.setsid()
    else:
        os.setpgid(0, 0)
    nice = nice_of(qos)
    if _set_attributes(0, _POLICY[qos], 0, nice, SLICE_NS[qos]):
        os.setpriority(os.PRIO_PROCESS, 0, nice)


def change(os_pid: int, qos: int) -> bool:
    """Weigh anew the worker `os_pid`, which leads a process group: all its threads, and what it started.

    Returns:
        False where that was refused, or is not enough: it would be, of a worker that is begun in that class.
    """
    nice = nice_of(qos)
    try:
        os.setpriority(os.PRIO_PGRP, os_pid, nice)
        threads = [int(name) for name in os.listdir(f"/proc/{os_pid}/task")]
    except (ProcessLookupError, FileNotFoundError):
        return True  # it is gone
    except PermissionError:
        return False
    refused = [
        thread for thread in threads
        if _set_attributes(thread, _POLICY[qos], 0, nice, SLICE_NS[qos]) in (errno.EPERM, errno.EACCES)
    ]  # fmt: skip
    return not refused and _in_its_session(os_pid, qos, nice)


def _in_its_session(os_pid: int, qos: int, nice: int) -> bool:
    """Whether its session, where sessions are groups, lets it weigh what it should."""
    if not sessions_are_groups():
        return True
    try:
        if os.getsid(os_pid) != os_pid:
            return qos != _ALONE
        return _lower_group(str(os_pid), 0 if qos == _ALONE else nice)
    except ProcessLookupError:
        return True
    except BlockingIOError:
        return False


def come_first() -> None:
    """Let every thread that this process has now be woken at once, whoever runs. What it starts does not inherit it."""
    if sys.platform.startswith("linux"):
        for thread in os.listdir("/proc/self/task"):
            _set_attributes(int(thread), _NORMAL, _RESET_ON_FORK, _own_nice(), _SHORT_NS)


def lower_session() -> bool:
    """Lower the session that this process leads, where sessions are groups; whether they are, and it is lowered."""
    if not sessions_are_groups():
        return False
    for _ in range(_TRIES):
        try:
            return _lower_group("self", SESSION_NICE)
        except BlockingIOError:  # of all the machine's ordinary users one may do so in a tenth of a second
            select.select((), (), (), _TRY_S)
    return False


def _lower_group(os_pid: str, nice: int) -> bool:
    try:
        with open(f"/proc/{os_pid}/autogroup", "wb", buffering=0) as file:
            file.write(b"%d" % nice)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def way() -> str:
    """How this machine lets workers weigh by class; "" where it does not."""
    if not sys.platform.startswith("linux"):
        return ""
    groups = ", workers in sessions of their own (autogroup)" if sessions_are_groups() else ""
    soft = resource.getrlimit(resource.RLIMIT_NICE)[0]
    raises = os.geteuid() == 0 or soft == resource.RLIM_INFINITY or soft >= _NICE_MAX + 1 - min(NICE)
    again = "" if raises else ", a more urgent one by beginning the worker anew"
    return f"nice{groups}{again}"


def sessions_are_groups() -> bool:
    """Whether Linux shares the processor out by session first (autogroup), and by nice only within each."""
    try:
        with open(_AUTOGROUP, "rb") as file:
            return file.read().strip() == b"1"
    except OSError:
        return False


def _own_nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def _set_attributes(thread: int, policy: int, flags: int, nice: int, slice_ns: int) -> int:
    """0, or the errno."""
    if _SCHED_SETATTR < 0 or _syscall is None or not sys.platform.startswith("linux"):
        return errno.ENOSYS
    attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, policy, flags, nice, 0, slice_ns, 0, 0)
    return ctypes.get_errno() if _syscall(_SCHED_SETATTR, thread, attributes, 0) else 0
