"""What confinement rests on, tried: each thing is really done, in a child that is thrown away. For `prytany doctor`.

Executed as `python -m prytany.runtime.trials MODE`, and prints a JSON object a trial: its name, and what went wrong.
MODE is `machine`, or `docker`, under what `docker.py` takes on, or `docker-user`, where root also becomes a user.

Must not change the machine. What is built with the rights of an operator (ruleset, filter) is built before these go.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import NamedTuple

from prytany.runtime import docker, landlock, pids, seccomp
from prytany.runtime.confinement import (
    SOCKET_FD,
    Confinement,
    Prepared,
    confine,
    die_with_parent,
    interpreter_paths,
    needs_read_capability,
)  # fmt: skip
from prytany.runtime.scratch import scratch_file
from prytany.runtime.uids import UID_BASE

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_CLOSE_RANGE, _OPENAT2, _BENEATH = 436, 437, 0x08
_NEWUSER = 0x10000000
_TRIED = b"tried"
_WHY_BYTES = 300
_TRIAL_UID = UID_BASE - 1
"""Of no worker."""
_libc = ctypes.CDLL(None, use_errno=True)


class Ready(NamedTuple):
    """What was built before rights went."""

    ruleset: int
    filter: seccomp.Filter | None
    why: str
    """What stood in the way of either."""
    reads: bool
    """Whether a worker needs to read past its uid's reach."""


def prepare() -> Ready:
    """Ruleset and filter, as a zygote builds them."""
    paths, why, ruleset, built = interpreter_paths(), "", -1, None
    try:
        ruleset = landlock.build(paths)
        built = seccomp.compile_filter(signals_scoped=landlock.abi_version() >= landlock.ABI_SCOPES_SIGNALS)
    except OSError as error:
        why = error.strerror or str(error)
    return Ready(ruleset, built, why, os.geteuid() == 0 and needs_read_capability(paths))


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _forever() -> None:
    while True:
        signal.pause()


def landlock_(ready: Ready) -> None:
    """Files that were not granted cannot be opened any more."""
    if ready.ruleset < 0:
        raise OSError(errno.ENOSYS, ready.why)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    landlock.restrict_self(ready.ruleset)
    try:
        os.close(os.open("/etc/passwd", os.O_RDONLY))
    except PermissionError:
        return
    raise OSError(errno.EINVAL, "it was applied, and held nothing back")


def seccomp_(ready: Ready) -> None:
    """Calls that were not granted are refused."""
    if ready.filter is None:
        raise OSError(errno.ENOSYS, ready.why)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    ready.filter.install()
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    except PermissionError:
        return
    raise OSError(errno.EINVAL, "it was applied, and held nothing back")


def memory_file(ready: Ready) -> None:
    """A file in memory (memfd_create)."""
    scratch_file().close()


def descriptors(ready: Ready) -> None:
    """All descriptors but some are closed (close_range)."""
    _call(_CLOSE_RANGE, 200, 0xFFFFFFFF, 0)


def beneath(ready: Ready) -> None:
    """Files below a folder and nowhere else (openat2)."""
    folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.close(_call(_OPENAT2, folder, b"etc", struct.pack("=QQQ", os.O_RDONLY | os.O_DIRECTORY, 0, _BENEATH), 24))
    os.close(folder)


def parent_death(ready: Ready) -> None:
    """A child dies with its parent (PR_SET_PDEATHSIG)."""
    die_with_parent(os.getppid())


def signals(ready: Ready) -> None:
    """A process is signalled and no other (fork, pidfd_open, pidfd_send_signal)."""
    child = os.fork()
    if child == 0:
        _forever()
    try:
        pidfd = os.pidfd_open(child)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except OSError:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.waitpid(child, 0)


def seen(ready: Ready) -> None:
    """A worker, which shows nothing of itself, is seen by its kernel in /proc."""
    said, says = os.pipe()
    child = os.fork()
    if child == 0:
        _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        os.write(says, _TRIED)
        _forever()
    try:
        os.read(said, len(_TRIED))
        if not pids.start_time_of(child):
            raise OSError(errno.ENOENT, "/proc does not show it (hidepid, or ProtectProc=)")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def uids(ready: Ready) -> None:
    """Root gives a worker a uid of its own."""
    os.setgroups([])
    os.setresgid(_TRIAL_UID, _TRIAL_UID, _TRIAL_UID)
    os.setresuid(_TRIAL_UID, _TRIAL_UID, _TRIAL_UID)


def worker(ready: Ready) -> None:
    """A worker as it is, all steps in their order; it may read more where its uid cannot reach its interpreter."""
    if ready.filter is None or ready.ruleset < 0:
        raise OSError(errno.ENOSYS, ready.why)
    uid = _TRIAL_UID if os.geteuid() == 0 else None
    confine(Confinement(uid=uid, gid=uid), Prepared(ready.filter, ready.ruleset, ready.reads), os.getppid())


def namespaces(ready: Ready) -> None:
    """User namespaces."""
    if _libc.unshare(_NEWUSER) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


TRIALS: dict[str, Callable[[Ready], None]] = {
    "landlock": landlock_, "seccomp": seccomp_, "memfd": memory_file, "close_range": descriptors, "openat2": beneath,
    "parent-death": parent_death, "pidfd": signals, "own processes": seen, "uid": uids, "worker": worker,
    "user namespaces": namespaces,
}  # fmt: skip


def attempt(trial: Callable[[Ready], None], ready: Ready) -> str:
    """What went wrong, in words; "" where nothing did. In a child: most of this cannot be undone."""
    said, says = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(says, SOCKET_FD)
        try:
            trial(ready)
            why = _TRIED
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "")
            why = f"{name}: {error.strerror or error}".encode()[:_WHY_BYTES]
        os.write(SOCKET_FD, why)
        os._exit(0)
    os.close(says)
    told = os.read(said, _WHY_BYTES)
    os.close(said)
    _, status = os.waitpid(child, 0)
    if told == _TRIED:
        return ""
    return told.decode("utf-8", "replace") or f"it ended the process that tried it (status {status})"


def main(mode: str) -> None:
    """Every trial of a mode, a line each."""
    if sys.platform != "linux":
        return
    while os.dup(0) <= SOCKET_FD:  # so that no descriptor that matters has the worker's number
        pass
    ready, profile = prepare(), None
    if mode != "machine":
        profile = docker.compile_profile()
        docker.enter(profile, as_user=mode == "docker-user")
    for name, trial in TRIALS.items():
        if name != "uid" or os.geteuid() == 0:
            print(json.dumps({"trial": name, "why": attempt(trial, ready)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "machine")
