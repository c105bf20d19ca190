"""One incarnation of an operating system process: its pid and its start time, and a signal that reaches no other.

A pid is used again; a pid with its start time is not, until the machine boots again. So whoever keeps these pairs
over a boot keeps `boot_id()` beside them, and drops the pairs of another boot: all of those processes are gone.

Must not signal by pid alone. Source: proc(5), pidfd_open(2).
"""

from __future__ import annotations

import os
import signal
import sys
from time import clock_gettime_ns

_CPUCLOCK_SCHED = 2  # of a process, as clock_getcpuclockid(3) makes its number


def start_time_of(os_pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None when there is none (a zombie still has one).

    Where there is no /proc (macOS) it is 0 for every process: there, workers are known by pid alone.
    """
    if not sys.platform.startswith("linux"):
        return 0
    try:
        with open(f"/proc/{os_pid}/stat", "rb") as file:
            line = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(line.rpartition(b")")[2].split()[19])  # the name, in brackets, may hold spaces and brackets


def cpu_us_of(os_pid: int) -> int:
    """Processor time of all its threads so far, microseconds; 0 when it is gone, and where there are no such clocks."""
    if not sys.platform.startswith("linux"):
        return 0
    try:
        return clock_gettime_ns(~os_pid << 3 | _CPUCLOCK_SCHED) // 1000
    except OSError:
        return 0


def boot_id() -> str:
    """What names this boot of the machine; "" where it has no such name."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def open_pidfd(os_pid: int, start_time: int) -> int | None:
    """A descriptor of exactly this process (readable once it has ended), or None when it is gone."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        pidfd = os.pidfd_open(os_pid)
    except ProcessLookupError:
        return None
    if start_time_of(os_pid) != start_time:  # looked up while the descriptor holds: no reuse can slip between
        os.close(pidfd)
        return None
    return pidfd


def send_signal(os_pid: int, start_time: int, number: int) -> bool:
    """Signal exactly this process; False when it is gone."""
    if not sys.platform.startswith("linux"):
        try:
            os.kill(os_pid, number)
        except ProcessLookupError:
            return False
        return True
    pidfd = open_pidfd(os_pid, start_time)
    if pidfd is None:
        return False
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True
