"""What the confined workers of these tests run: each probe tries one thing, and the answer is its errno (0: it worked).

Loaded by path as a worker's entry, so it must import nothing of the tests.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable

import msgspec
import pyseccomp

_libc = ctypes.CDLL(None, use_errno=True)


def main(sock: socket.socket) -> int:
    """Read one request, [name, argument], answer it, until the other side hangs up; `exit` ends with a status."""
    while data := sock.recv(65_536):
        name, argument = msgspec.msgpack.decode(data, type=tuple[str, str])
        if name == "exit":
            return int(argument)
        if name in ENDS:
            ENDS[name]()
        elif name in FACTS:
            sock.sendall(msgspec.msgpack.encode(FACTS[name]()))
        else:
            sock.sendall(msgspec.msgpack.encode(_errno_of(name, argument)))
    return 0


def _errno_of(name: str, argument: str) -> int:
    try:
        PROBES[name](argument)
    except MemoryError:
        return errno.ENOMEM
    except OSError as error:
        return error.errno or -1
    return 0


def raw(name: str, *arguments: int | None) -> None:
    """The system call itself, past every library."""
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    if _libc.syscall(number, *(None if a is None else ctypes.c_long(a) for a in arguments)) < 0:
        raise OSError(ctypes.get_errno(), name)


def _read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def _write(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))


def _datagram(kind: int) -> None:
    left, right = socket.socketpair(socket.AF_UNIX, kind)
    left.close()
    right.close()


def _stream_to_path(path: str) -> None:
    left, _ = socket.socketpair()
    left.connect(path)


def _thread(_: str) -> None:
    import threading

    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(1))
    thread.start()
    thread.join()
    if not seen:
        raise OSError(errno.EAGAIN, "no thread")


def _loop(_: str) -> None:
    import asyncio

    async def nothing() -> None:
        await asyncio.sleep(0)  # noqa: TID251 - what is tried is the loop itself

    asyncio.run(nothing())


def _import_late(_: str) -> None:
    import decimal
    import sqlite3

    decimal.Decimal(sqlite3.sqlite_version.partition(".")[0])


def _allocate(megabytes: str) -> None:
    bytearray(int(megabytes) << 20)


PROBES: dict[str, Callable[[str], object]] = {
    "read": _read,
    "list": os.listdir,
    "write": _write,
    "truncate": lambda path: os.open(path, os.O_RDONLY | os.O_TRUNC),
    "mkdir": os.mkdir,
    "unlink": os.unlink,
    "chmod": lambda path: os.chmod(path, 0o777),
    "tcp": lambda _: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "tcp6": lambda _: socket.socket(socket.AF_INET6, socket.SOCK_STREAM),
    "udp": lambda _: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "raw": lambda _: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "netlink": lambda _: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "unix": lambda _: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "unix_datagram": lambda _: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    "pair": lambda _: _datagram(socket.SOCK_STREAM),
    "pair_datagram": lambda _: _datagram(socket.SOCK_DGRAM),
    "pair_connect": _stream_to_path,
    "fork": lambda _: os.fork(),
    "vfork": lambda _: raw("vfork"),
    "clone": lambda _: raw("clone", signal.SIGCHLD, 0, 0, 0, 0),
    "clone3": lambda _: raw("clone3", None, 0),
    "exec": lambda path: os.execv(path, [path]),
    "execveat": lambda _: raw("execveat", -1, None, None, None, 0),
    "ptrace": lambda _: raw("ptrace", 16, os.getppid(), 0, 0),
    "process_vm_readv": lambda _: raw("process_vm_readv", os.getppid(), None, 0, None, 0, 0),
    "pidfd_open": lambda _: os.pidfd_open(os.getppid()),
    "kill_parent": lambda _: os.kill(os.getppid(), 0),
    "kill_init": lambda _: os.kill(1, 0),
    "kill_all": lambda _: os.kill(-1, 0),
    "tgkill_parent": lambda _: raw("tgkill", os.getppid(), os.getppid(), signal.SIGCONT),
    "prlimit_parent": lambda _: raw("prlimit64", os.getppid(), 7, None, None),
    "fcntl_owner": lambda _: raw("fcntl", 3, 8, os.getppid()),
    "forget_parent_death": lambda _: raw("prctl", 1, 0, 0, 0, 0),
    "unshare": lambda _: raw("unshare", 0x10000000),
    "setns": lambda _: raw("setns", 0, 0),
    "mount": lambda _: raw("mount", None, None, None, 0, None),
    "chroot": lambda _: os.chroot("/"),
    "bpf": lambda _: raw("bpf", 0, None, 0),
    "io_uring": lambda _: raw("io_uring_setup", 1, None),
    "keyctl": lambda _: raw("keyctl", 0, -3, 0),
    "perf": lambda _: raw("perf_event_open", None, 0, -1, -1, 0),
    "userfaultfd": lambda _: raw("userfaultfd", 0),
    "setuid": lambda _: os.setuid(0),
    "tiocsti": lambda _: raw("ioctl", 0, 0x5412, None),
    "unknown": lambda _: raw("quotactl", 0, None, 0, None),
    "allocate": _allocate,
    "thread": _thread,
    "loop": _loop,
    "import": _import_late,
}


def _descriptors() -> list[int]:
    found: list[int] = []
    for descriptor in range(64):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        found.append(descriptor)
    return found


def _threads() -> list[int]:
    """Start threads with small stacks, past the interpreter: how many there were, and the errno that ended it."""
    attributes, thread = ctypes.create_string_buffer(64), ctypes.c_ulong()
    _libc.pthread_attr_init(attributes)
    _libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(16_384))
    pause = ctypes.cast(_libc.pause, ctypes.c_void_p)
    for started in range(1_000):
        if code := _libc.pthread_create(ctypes.byref(thread), attributes, pause, None):
            return [started, code]
    return [1_000, 0]


FACTS: dict[str, Callable[[], object]] = {
    "descriptors": _descriptors,
    "environment": lambda: dict(os.environ),
    "c_environment": lambda: ctypes.POINTER(ctypes.c_char_p).in_dll(_libc, "environ")[0] is None,
    "hash": lambda: hash("prytany"),
    "uids": lambda: [*os.getresuid(), *os.getresgid(), *os.getgroups()],
    "terminal": lambda: [os.isatty(descriptor) for descriptor in (0, 1, 2)],
    "group": lambda: os.getpgrp() == os.getpid() != os.getsid(0),
    "arguments": lambda: sys.argv[1:],
    "threads": _threads,
}


def _eat_memory() -> None:
    hoard: list[bytearray] = []
    while True:
        hoard.append(bytearray(64 << 20))


def _raise() -> None:
    raise ValueError("a program's own failure")


ENDS: dict[str, Callable[[], object]] = {
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit_now": lambda: os._exit(7),
    "eat_memory": _eat_memory,
    "raise": _raise,
    "system_exit": lambda: sys.exit(5),
}
