"""What a worker is granted, and the ordered steps that take everything else away from the child that becomes it.

The order matters, and each place in it was paid for: the uid goes first, while the right to change it is there; the
parent-death signal comes after it, because a change of credentials clears that; Landlock and the filter want
no_new_privs; RLIMIT_NOFILE comes last, since set earlier it fails descriptors that the steps themselves need.
RLIMIT_NPROC counts all threads of one uid, so it is used where the worker has a uid of its own: with small stacks a
thousand megabytes of addresses are enough for every thread that the machine can have. A uid that is the operator's too
cannot be bounded by it.

Must not run any code of a program, and must not go on after a step that failed: `confine` raises, and the caller ends
the child.

Source: "Confined zygote" in the notes on libraries, tried on Linux 6.18; credentials(7), prctl(2), landlock(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import stat
import struct
import sys
import sysconfig
from collections.abc import Iterable

import msgspec

from prytany.abi import limits
from prytany.runtime import landlock
from prytany.runtime.seccomp import Filter

SOCKET_FD = 3
"""The worker's end of its socket to the kernel; the only descriptor above stdio."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS = 1, 4, 15, 8, 38
_SIGKILL = 9
_SIGCHLD = int(signal.SIGCHLD)
_CLOSE_RANGE = 436  # the same on every architecture
_CAPSET = {"x86_64": 126, "aarch64": 91, "riscv64": 91}.get(os.uname().machine, -1)
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_READ_SEARCH = 1 << 2
_CAPABILITY_HEAD = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
_CAPABILITY_SETS = struct.pack("=6I", _CAP_DAC_READ_SEARCH, _CAP_DAC_READ_SEARCH, 0, 0, 0, 0)
_SYSTEM_PATHS = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/etc/ld.so.cache",
    "/dev/null", "/dev/urandom",
)  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)
for _name in ("prctl", "signal", "syscall"):
    getattr(_libc, _name, None)  # looked up once, here, and not by every child


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker is granted. Nothing that is not named here, but for the interpreter and its libraries.

    Attributes:
        read_only: absolute paths of files and folders (with all in them) that the worker can read, e.g. its program.
        uid, gid: who it runs as when the zygote is root; None keeps the zygote's. The launcher fills them in.
        memory_bytes: its address space; beyond it the interpreter raises MemoryError.
        files_max: its open descriptors.
        unconfined: none of uid, Landlock and filter; limits stay. Said by name, by the operator only.
    """

    read_only: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None
    memory_bytes: int = limits.WORKER_MEMORY_BYTES
    files_max: int = limits.WORKER_FILES_MAX
    unconfined: bool = False


class Prepared(msgspec.Struct, frozen=True):
    """What the zygote builds before it forks, with its own rights, so that the child only has to apply it."""

    filter: Filter
    ruleset: int
    keep_read: bool


def interpreter_paths() -> tuple[str, ...]:
    """The interpreter and its libraries: what every worker can read. Those that do not exist are left out."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # in another environment it is not on sys.path
    paths = {ours, *sys.path, *_SYSTEM_PATHS, *(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib"))}
    library_folder = sysconfig.get_config_var("LIBDIR")  # libpython, where the interpreter is a shared one
    if isinstance(library_folder, str):
        paths.add(library_folder)
    return tuple(sorted(path for path in paths if os.path.isabs(path) and os.path.exists(path)))


def needs_read_capability(paths: Iterable[str]) -> bool:
    """Whether a uid of its own could not even reach these paths, e.g. an interpreter below /root (0700).

    Then the worker keeps one capability, CAP_DAC_READ_SEARCH: reading without regard to modes, which Landlock still
    holds to the granted paths. The other ways out would be to keep the uid or to loosen the operator's folders.
    """
    for path in paths:
        real = os.path.realpath(path)
        mode = os.stat(real).st_mode
        if not mode & (stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH):
            return True
        folder = os.path.dirname(real)
        while folder != "/":
            if not os.stat(folder).st_mode & stat.S_IXOTH:
                return True
            folder = os.path.dirname(folder)
    return False


def confine(granted: Confinement, prepared: Prepared | None, zygote_pid: int) -> None:
    """Take away from this process all that is not granted. It cannot be undone, whatever runs here afterwards.

    Expects a session of its own, stdio on /dev/null and pipes, and the kernel's socket at SOCKET_FD.

    Raises:
        OSError: a step failed; the process is half confined and must end.
    """
    if not granted.unconfined:
        if prepared is None:
            raise OSError(errno.EINVAL, "a confined worker needs a ruleset and a filter")
        if granted.uid is not None:
            _become(granted.uid, granted.uid if granted.gid is None else granted.gid, prepared.keep_read)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _prctl(_PR_SET_DUMPABLE, 0)
    die_with_parent(zygote_pid)
    if prepared is not None and not granted.unconfined:
        landlock.restrict_self(prepared.ruleset)
    _close_from(SOCKET_FD + 1)
    if sys.platform.startswith("linux"):  # macOS refuses to bound the address space
        _limit(resource.RLIMIT_AS, granted.memory_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    if granted.uid is not None and not granted.unconfined:
        _limit(resource.RLIMIT_NPROC, limits.WORKER_THREADS_MAX)
    if prepared is not None and not granted.unconfined:
        prepared.filter.install()
    _limit(resource.RLIMIT_NOFILE, granted.files_max)


def die_with_parent(parent_pid: int) -> None:
    """Ask for SIGKILL when the parent dies; end here and now if it already has. Linux only, elsewhere nothing."""
    if not sys.platform.startswith("linux"):
        return
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(0)


def _limit(kind: int, most: int) -> None:
    """Bound oneself; where the operator's own bound is lower that stays, since nobody but root may raise it."""
    above = resource.getrlimit(kind)[1]
    most = most if above == resource.RLIM_INFINITY else min(most, above)
    resource.setrlimit(kind, (most, most))


def forget_children() -> None:
    """Let SIGCHLD be what it is to a fresh process. Not by `signal.signal`: it would look for an enum's member."""
    _libc.signal(_SIGCHLD, None)


def set_name(name: str) -> None:
    """What `ps` shows for this process, 15 bytes of it."""
    if sys.platform.startswith("linux"):
        _libc.prctl(_PR_SET_NAME, name.encode()[:15] + b"\0", 0, 0, 0)


def _become(uid: int, gid: int, keep_read: bool) -> None:
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    if keep_read:
        _prctl(_PR_SET_KEEPCAPS, 1)
    os.setresuid(uid, uid, uid)
    if keep_read:
        if _libc.syscall(_CAPSET, _CAPABILITY_HEAD, _CAPABILITY_SETS) != 0:
            _raise("capset")
        _prctl(_PR_SET_KEEPCAPS, 0)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        _raise(f"prctl {option}")


def _close_from(first: int) -> None:
    if sys.platform.startswith("linux") and _libc.syscall(_CLOSE_RANGE, first, 0xFFFFFFFF, 0) == 0:
        return
    os.closerange(first, max(256, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))


def _raise(step: str) -> None:
    code = ctypes.get_errno()
    raise OSError(code, f"{step}: {os.strerror(code)}")
