"""The roster: which processes of the machine this home's kernel started, so that the next one can end what is left.

Every child of a kernel dies with it: by the parent-death signal, and by the end of its socket. This is for the one that
did not. A line is written when a child starts, before it is handed anything; it is taken out when the file has
become twice as long as needed. It is not synced: what it names does not outlive the machine either.

    prytany roster 1 BOOT_ID
    OS_PID START_TIME
    ...

Must not make anybody guilty by a number alone: a pid counts with its start time, in the same boot, as the leader of a
session of its own.
"""

from __future__ import annotations

import logging
import os
import re
import select
import signal
import sys
from pathlib import Path
from time import perf_counter_ns

from prytany.runtime import pids

_log = logging.getLogger("prytany.roster")
_TITLE = "prytany roster 1 "
_LINE = re.compile(r"[1-9][0-9]{0,9} [1-9][0-9]{0,18}", re.ASCII)
_BYTES_MAX = 16 << 20
_SPARE_LINES = 256
END_MS = 5_000
"""How long the end of what was killed is waited for. A process that cannot end sooner runs no instruction any more."""


class Roster:
    """The children of one kernel, in a file of its home."""

    def __init__(self, path: Path) -> None:
        """Nothing is read or written yet; the home has to be locked by now."""
        self._path = path
        self._alive: dict[tuple[int, int], None] = {}
        self._lines = 0

    def end_leftovers(self) -> int:
        """End what an earlier kernel of this home has left, and begin an empty roster; how many were there."""
        left = self._read()
        descriptors = [fd for pair in left if (fd := pids.open_pidfd(*pair)) is not None]
        try:
            killed = kill_leftovers(left)
            if killed:
                _log.info("%d processes had survived their kernel and were ended", killed)
                _wait_ended(descriptors, killed)
        finally:
            for fd in descriptors:
                os.close(fd)
        self._rewrite()
        return killed

    def add(self, os_pid: int, start_time: int) -> None:
        """A child started."""
        if not start_time:
            return
        self._alive[os_pid, start_time] = None
        if self._lines > 2 * len(self._alive) + _SPARE_LINES:
            self._rewrite()
        else:
            self._append(f"{os_pid} {start_time}\n")

    def remove(self, os_pid: int, start_time: int) -> None:
        """It has ended."""
        self._alive.pop((os_pid, start_time), None)

    def _read(self) -> list[tuple[int, int]]:
        """The pairs of this boot. What is damaged is left out, and said."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(fd, "rb") as file:
                text = file.read(_BYTES_MAX).decode("ascii", "replace")
        except FileNotFoundError:
            return []
        except OSError as error:
            _log.warning("%s cannot be read, and is begun anew: %s", self._path, error.strerror)
            return []
        title, *lines = text.split("\n")
        if not title.startswith(_TITLE):
            _log.warning("%s is damaged, and is begun anew", self._path)
            return []
        if title != _TITLE + pids.boot_id():
            return []
        sound = [line for line in lines if _LINE.fullmatch(line)]
        if len(sound) < len([line for line in lines if line]):
            _log.warning("%s is damaged in part: %d lines were left out", self._path, len(lines) - len(sound))
        pairs = [line.split(" ") for line in sound]
        return [(int(os_pid), int(start_time)) for os_pid, start_time in pairs if int(os_pid) < 1 << 31]

    def _rewrite(self) -> None:
        """One line for each that is alive, in a new file that takes the place of the old one."""
        part = self._path.with_name(self._path.name + ".part")
        lines = "".join(f"{os_pid} {start_time}\n" for os_pid, start_time in self._alive)
        try:
            part.unlink(missing_ok=True)
            _write(part, f"{_TITLE}{pids.boot_id()}\n{lines}", os.O_CREAT | os.O_EXCL)
            part.replace(self._path)
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error.strerror)
        self._lines = len(self._alive)

    def _append(self, line: str) -> None:
        try:
            _write(self._path, line, os.O_APPEND)
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error.strerror)
        self._lines += 1


def _write(path: Path, text: str, flags: int) -> None:
    """In one piece; where the disk is full it may be cut, and then reads as damaged."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _wait_ended(descriptors: list[int], count: int) -> None:
    """Until `count` of these processes have ended, or for `END_MS`."""
    poll = select.poll()
    for fd in descriptors:
        poll.register(fd, select.POLLIN)
    until_ns = perf_counter_ns() + END_MS * 1_000_000
    ended = 0
    while ended < count and (left_ns := until_ns - perf_counter_ns()) > 0:
        for fd, _ in poll.poll(left_ns / 1e6):
            poll.unregister(fd)
            ended += 1


def kill_leftovers(records: list[tuple[int, int]]) -> int:
    """Kill the workers of a kernel that died, known by (os pid, start time); returns how many were still there.

    For recovery, before it replays. The pairs must be of this boot (`pids.boot_id`). A worker leads a process
    group, in a session that is not this process's; what does not is somebody else's, whatever the pair says.
    """
    killed = 0
    for os_pid, start_time in records:
        try:
            is_worker = os_pid > 1 and os.getsid(os_pid) != os.getsid(0) and os.getpgid(os_pid) == os_pid
            if is_worker and (start_time or not sys.platform.startswith("linux")):
                killed += pids.send_signal(os_pid, start_time, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue  # gone, or another user's: none of ours in either case
    return killed
