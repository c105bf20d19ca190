"""The guard of an operator's command: runs it, and takes down with it whatever it has started.

    python -I -S guard.py KERNEL_PID TIMEOUT_S COMMAND [ARGUMENT]...

It is executed by its path and imports nothing of ours. Its standard streams are the command's. It ends with the
command's status, or 128 and the number of the signal that ended it. When the command has ended, when the time has
passed, when it is told to (TERM), and when the kernel dies, it ends every process that came of the command, also those
that went into a group or session of their own: as their subreaper it is the parent of all that lose theirs.

Source: prctl(2), PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

NOT_STARTED = 126
"""The status where the command cannot be executed."""
TIMED_OUT = 124
_PDEATHSIG = 1
_CHILD_SUBREAPER = 36


class _Stop(BaseException):
    """The command is to be ended now."""


def main(words: list[str]) -> int:
    """Run the command; the status to end with."""
    kernel, timeout_s, command = int(words[0]), int(words[1]), words[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    libc.prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)
    if os.getppid() != kernel:
        return NOT_STARTED  # it died before it could be watched
    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    signal.alarm(timeout_s)
    status = TIMED_OUT
    with contextlib.suppress(_Stop):
        child = os.fork()
        if child == 0:
            _execute(command)
        status = _wait(child)
    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _end_all()
    return status


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise _Stop


def _execute(command: list[str]) -> NoReturn:
    try:
        for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.alarm(0)
        os.execvpe(command[0], command, os.environ)
    except (OSError, ValueError) as error:
        print(f"cannot be executed: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(NOT_STARTED)


def _wait(child: int) -> int:
    """Until it has ended; who else ends meanwhile is reaped."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _end_all() -> None:
    """Kill who is left, until nobody is: whoever loses its parent meanwhile becomes a child of ours."""
    while True:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    """Of this process, as the operating system lists them."""
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children", "rb") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return _looked_up(me)


def _looked_up(parent: int) -> list[int]:
    """The same, where the list is not offered."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
                if int(file.read().rpartition(b")")[2].split()[1]) == parent:
                    found.append(int(name))
    return found


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
