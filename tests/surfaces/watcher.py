"""Watches what a process and all that it starts asks of sockets: in native code too, since Linux itself is asked.

A seccomp filter hands each `connect`, `sendto` with an address, `sendmsg`, `sendmmsg`, and each `socket` that is not of
this machine, to the watcher before it is done. What would leave the machine is refused there, so that a test that fails
sends nothing either. `io_uring`, by which a program could pass the filter, is not there for who is watched.

    watcher ── python -m tests.surfaces.watcher FD command…
                 loads the filter, hands its listener over, becomes the command

Source: seccomp_unotify(2).
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyseccomp

from tests.tidy.repository import ROOT

DEADLINE_S = 400
WATCHED = ("connect", "sendto", "sendmsg", "sendmmsg", "socket", "io_uring_setup")
RECEIVE, ANSWER = 0xC0502100, 0xC0182101
NOTICE, REPLY = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
CONTINUE = 1
LOCAL = {socket.AF_UNIX, socket.AF_NETLINK}
HEADER_BYTES = 56
"""Of a `struct msghdr`."""


class Asked(NamedTuple):
    """One call that named a place to send to, or opened a socket that can reach one."""

    call: str
    family: int
    place: str
    """`127.0.0.1:80`, the path of a Unix socket, or "" where the call names none."""
    program: str
    """Of the process that asked."""

    @property
    def leaves(self) -> bool:
        """Whether it goes beyond this machine."""
        loopback = self.place.startswith(("127.", "[::1]"))
        return self.family not in LOCAL and bool(self.place) and not loopback


class Watched(NamedTuple):
    """How it ended, and what was asked."""

    code: int
    said: str
    asked: list[Asked]


def watch(command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> Watched:
    """Run a command to its end, with everything that it starts."""
    ours, theirs = socket.socketpair()
    asked: list[Asked] = []
    with ours, theirs, (cwd / "said").open("w+") as said:
        starter = [sys.executable, "-m", "tests.surfaces.watcher", str(theirs.fileno()), str(cwd), *command]
        running = subprocess.Popen(
            starter, cwd=ROOT, env=dict(environment), pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            stdout=said, stderr=said,
        )  # fmt: skip
        theirs.close()
        _, (listener,), _, _ = socket.recv_fds(ours, 1, 1)
        try:
            _serve(listener, asked)
        finally:
            os.close(listener)
            running.kill()
            code = running.wait()
        said.seek(0)
        return Watched(code, said.read(), asked)


def _serve(listener: int, asked: list[Asked]) -> None:
    """Answer until nobody is left who is watched."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while True:
        events = poll.poll(DEADLINE_S * 1_000)
        assert events, f"it did not end within {DEADLINE_S} s"
        if not events[0][1] & select.POLLIN:
            return
        notice = bytearray(NOTICE.size)
        try:
            fcntl.ioctl(listener, RECEIVE, notice)
        except FileNotFoundError:  # who asked was killed meanwhile
            continue
        number, pid, _, call, _, _, *arguments = NOTICE.unpack(notice)
        found = _read(pid, NAMES[call], arguments)
        asked += found
        refused = NAMES[call] == "io_uring_setup" or any(one.leaves for one in found)
        answer = (errno.ENOSYS if NAMES[call] == "io_uring_setup" else errno.ENETUNREACH) if refused else 0
        try:
            fcntl.ioctl(listener, ANSWER, bytearray(REPLY.pack(number, 0, -answer, 0 if refused else CONTINUE)))
        except FileNotFoundError:
            continue


def _read(pid: int, call: str, arguments: list[int]) -> list[Asked]:
    """The places that a call names."""
    if call == "io_uring_setup":
        return []
    try:
        program = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        program = "?"
    if call == "socket":
        return [] if arguments[0] in LOCAL else [Asked(call, arguments[0], "", program)]
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:

        def at(place: int, size: int) -> bytes:
            return os.pread(memory.fileno(), size, place) if place and size else b""

        if call == "connect":
            names = [at(arguments[1], arguments[2])]
        elif call == "sendto":
            names = [at(arguments[4], arguments[5])]
        else:
            count, size = (1, HEADER_BYTES) if call == "sendmsg" else (arguments[2], HEADER_BYTES + 8)
            headers = (at(arguments[1] + size * number, 12) for number in range(count))
            names = [at(*struct.unpack("=QI", header)) for header in headers]
    return [Asked(call, *_address(name, pid), program) for name in names if name]


def _address(name: bytes, pid: int) -> tuple[int, str]:
    family = int.from_bytes(name[:2], sys.byteorder)
    if family == socket.AF_UNIX:
        abstract = name[2:3] == b"\0"
        place = os.fsdecode(name[2 + abstract :].split(b"\0")[0])
        if place.startswith("/proc/self/fd/"):  # how a name too long for a socket's is said
            place = os.path.realpath(place.replace("self", str(pid), 1))
        return family, "@" * abstract + place
    if family == socket.AF_INET:
        return family, f"{socket.inet_ntop(family, name[4:8])}:{int.from_bytes(name[2:4])}"
    if family == socket.AF_INET6:
        return family, f"[{socket.inet_ntop(family, name[8:24])}]:{int.from_bytes(name[2:4])}"
    return family, name.hex()


NAMES = {pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name): name for name in WATCHED}


def _become(fd: int, folder: str, command: Sequence[str]) -> None:
    """Load the filter, hand its listener over by a thread that is not under it, and become the command."""
    filter = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in WATCHED:
        arguments = [pyseccomp.Arg(4, pyseccomp.NE, 0)] if name == "sendto" else []
        filter.add_rule(pyseccomp.NOTIFY, name, *arguments)
    loaded = threading.Event()
    listener = [-1]

    def hand_over() -> None:
        loaded.wait()
        with socket.socket(fileno=fd) as channel:
            socket.send_fds(channel, [b"."], [listener[0]])

    thread = threading.Thread(target=hand_over)
    thread.start()
    filter.load()
    listener[0] = pyseccomp._libseccomp.seccomp_notify_fd(filter._filter)
    loaded.set()
    thread.join()
    os.chdir(folder)
    os.execvp(command[0], list(command))


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
