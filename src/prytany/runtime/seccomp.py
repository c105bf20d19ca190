"""Seccomp: which system calls a worker can make, as a list of what is allowed. Everything else answers EPERM.

The list carries an interpreter, its imports and an asyncio loop over one inherited socket. It is a list of names and
not of dangers, so that a call that Linux grows next year is refused from its first day. The filter is compiled once,
in the zygote, and installed by each child: compiling it in the child would cost more than the fork.

Must not allow: a new address to talk to (`socket`, `connect`, `bind`; datagram pairs, whose `sendto` takes any
path), a new program (`execve`), a new process (`fork`), a word to another process (`kill`), a change of what confines
it (`prctl` but for names), an open for writing. It needs libseccomp, through pyseccomp, in the zygote only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from typing import Final

from prytany.runtime.scratch import scratch_file

ALLOWED: Final = frozenset(
    """
    read write readv writev pread64 pwrite64 lseek close close_range dup dup2 dup3 pipe pipe2 fstat stat lstat
    newfstatat statx access faccessat faccessat2 readlink readlinkat getdents64 getcwd statfs fstatfs
    mmap munmap mremap mprotect madvise brk mincore
    sendto sendmsg recvfrom recvmsg shutdown getsockname getpeername getsockopt
    poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd eventfd2
    timerfd_create timerfd_settime timerfd_gettime
    futex set_robust_list get_robust_list set_tid_address rseq membarrier sched_yield sched_getaffinity getcpu
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack restart_syscall
    getitimer setitimer pause
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getrandom
    getpid getppid gettid getuid geteuid getgid getegid getresuid getresgid getgroups getpgrp getsid
    uname sysinfo getrusage exit exit_group
    """.split()  # noqa: SIM905 - a list of 100 quoted names is not read by anybody
)
"""Allowed whatever the arguments are. What is allowed for some arguments only stands in `_conditional`."""

_CLONE_THREAD = 0x10000
_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA = 15, 16, 0x53564D41
_FCNTL = (0, 1, 2, 3, 4, 1030)  # dup, the flags of descriptor and file; no owner: F_SETOWN sends signals
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # isatty, window size, FIONREAD, FIONBIO, cloexec
_LOW_32 = 0xFFFFFFFF  # the kernel reads these arguments as 32 bits; a filter that compared 64 could be walked round
_SOCK_TYPE = 0xF  # without SOCK_CLOEXEC and SOCK_NONBLOCK
_UNKNOWN = -1  # a call that this architecture lacks is another, lower number, and is left out by libseccomp
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Filter:
    """A compiled filter. Hold it for as long as children install it: they do so from this memory."""

    def __init__(self, code: bytes) -> None:
        self._code = ctypes.create_string_buffer(code, len(code))
        self._program = _Program(len(code) // 8, ctypes.addressof(self._code))
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._at = ctypes.byref(self._program)

    def install(self) -> None:
        """Put the calling thread under the filter, for ever. Wants PR_SET_NO_NEW_PRIVS first."""
        if self._prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, self._at, 0, 0) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"seccomp filter refused: {os.strerror(code)}")


def compile_filter(*, signals_scoped: bool) -> Filter:
    """The filter of every worker.

    Args:
        signals_scoped: Landlock keeps signals inside the worker (ABI 6). Where it does not, a worker of the same uid
            could signal its kernel by `tgkill`, so that call is refused and `abort` ends by a trap instead.

    Raises:
        OSError: ENOSYS, libseccomp is missing. A name that libseccomp does not know is fatal as well.
    """
    try:
        import pyseccomp as sec  # here, since it raises where there is no libseccomp, and only a zygote needs it
    except (ImportError, RuntimeError) as error:
        raise OSError(errno.ENOSYS, f"seccomp cannot be used: {error}; install libseccomp (libseccomp2)") from error
    rules = sec.SyscallFilter(sec.ERRNO(errno.EPERM))
    rules.set_attr(sec.Attr.ACT_BADARCH, sec.KILL_PROCESS)  # 32-bit calls have other numbers
    rules.set_attr(sec.Attr.CTL_OPTIMIZE, 2)  # a binary tree: a call costs log n comparisons
    for name in sorted({*ALLOWED, *(("tgkill",) if signals_scoped else ())}):
        if sec.resolve_syscall(sec.Arch.NATIVE, name) == _UNKNOWN:
            raise OSError(errno.EINVAL, f"libseccomp does not know the system call {name}")
        rules.add_rule(sec.ALLOW, name)
    for name, argument, mask, values in _conditional():
        for value in values:
            rules.add_rule(sec.ALLOW, name, sec.Arg(argument, sec.MASKED_EQ, mask, value))
    rules.add_rule(
        sec.ALLOW,
        "socketpair",
        sec.Arg(0, sec.MASKED_EQ, _LOW_32, socket.AF_UNIX),
        sec.Arg(1, sec.MASKED_EQ, _SOCK_TYPE, socket.SOCK_STREAM),
    )
    rules.add_rule(sec.ERRNO(errno.ENOSYS), "clone3")  # its flags are behind a pointer; glibc falls back to clone
    with scratch_file() as file:
        rules.export_bpf(file)
        file.seek(0)
        return Filter(file.read())


def _conditional() -> tuple[tuple[str, int, int, tuple[int, ...]], ...]:
    """Calls allowed for one argument's values only: name, argument, mask, values."""
    return (
        ("clone", 0, _CLONE_THREAD, (_CLONE_THREAD,)),
        ("openat", 2, os.O_ACCMODE | os.O_CREAT | os.O_TRUNC, (os.O_RDONLY,)),  # O_TRUNC cuts a file opened to read
        ("prctl", 0, _LOW_32, (_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA)),
        ("prlimit64", 0, _LOW_32, (0,)),  # oneself only; RLIMIT_NOFILE is set after the filter
        ("fcntl", 1, _LOW_32, _FCNTL),
        ("ioctl", 1, _LOW_32, _IOCTL),
    )
