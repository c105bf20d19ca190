"""The program that workers are forked from. One for each virtual environment, executed afresh by the launcher.

It is never forked from the kernel, so it holds nothing of the kernel: an empty environment, a fixed hash seed, one
socket. It preloads what every worker needs, rehearses a worker's life, freezes the collector (so that a collection in a
child does not copy every page), and then serves: a `Fork` makes a confined child, an ended child makes an `Exited`.
When its control socket closes it kills every child, reaps them and ends. It runs no thread, or `fork` would not be
safe, and serves without asyncio, which would not survive one.

Must not run code of a program on this side of the fork, and must not be the interpreter's `-I`: that ignores
PYTHONHASHSEED. `-s -P` and the empty environment give the same isolation.
"""

from __future__ import annotations

import array
import contextlib
import errno
import gc
import importlib
import importlib.util
import os
import select
import signal
import socket
import sys
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable
from types import FrameType

from prytany import __version__
from prytany.runtime import confinement, landlock, priority, seccomp
from prytany.runtime.confinement import SOCKET_FD, Confinement, Prepared
from prytany.runtime.messages import (
    ENTRY,
    EXIT_CONFINEMENT,
    FORK_DESCRIPTORS,
    Exited,
    Failed,
    Fork,
    Frames,
    Ready,
    Report,
    Started,
    fork_decoder,
    frame,
)  # fmt: skip
from prytany.runtime.pids import start_time_of
from prytany.runtime.rehearsal import rehearse

Entry = Callable[[socket.socket], int]

PRELOAD = (
    "asyncio", "dataclasses", "inspect", "json", "logging", "msgspec", "msgspec.json", "msgspec.msgpack", "re",
    "socket", "traceback", "typing", "prytany.userland.process", "prytany.userland.server", "prytany.userland.tool",
    "prytany.userland.agent", "prytany.userland.conversation",
)  # fmt: skip
RULESETS_MAX = 128  # kept open; beyond it the one used longest ago is built again when it is asked for
_READ_BYTES = 1 << 16
_DESCRIPTORS_A_READ = 64


def load_entry(name: str) -> Entry:
    """The function behind `module:function`, or `/path/file.py:function`."""
    module_name, _, function = name.rpartition(":")
    if module_name.startswith("/"):
        spec = importlib.util.spec_from_file_location("prytany_worker_entry", module_name)
        if spec is None or spec.loader is None:
            raise ImportError(f"not a Python file: {module_name}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(module_name)
    entry: Entry = getattr(module, function)
    return entry


class Zygote:
    """Serves one control socket until it closes.

    Invariant: a child is in `_children` from before its `Started` is sent until its `Exited` is, so that closing
    kills every one of them, and each id is reported on exactly once more after `Started`.
    """

    def __init__(self, control: socket.socket, entry: Entry, *, unconfined: bool) -> None:
        self._control = control
        self._entry = entry
        self._pid = os.getpid()
        self._frames = Frames()
        self._descriptors: deque[int] = deque()
        self._children: dict[int, int] = {}  # os pid → id
        self._rulesets: OrderedDict[tuple[str, ...], Prepared] = OrderedDict()
        self._abi = 0 if unconfined else landlock.abi_version()
        self._base = () if unconfined else confinement.interpreter_paths()
        self._filter = (
            None if unconfined else seccomp.compile_filter(signals_scoped=self._abi >= landlock.ABI_SCOPES_SIGNALS)
        )
        if not unconfined:
            self._prepare(Confinement())  # what cannot be done here fails at the start, not at the first fork

    def serve(self) -> None:
        """Fork and reap until the launcher closes its end; then end every child and return."""
        wake_read, wake_write = os.pipe()
        for end in (wake_read, wake_write):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, _on_child)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(wake_read, select.POLLIN)
        self._send(Ready(self._abi, __version__))
        open_ = True
        while open_:
            for descriptor, _ in poll.poll():
                if descriptor == wake_read:
                    os.read(wake_read, _READ_BYTES)
                    self._reap(os.WNOHANG)
                else:
                    open_ = self._receive()
        for os_pid in self._children:
            os.kill(os_pid, signal.SIGKILL)  # ours and not reaped, so the number is still theirs
        while self._children:
            self._reap(0)

    def _receive(self) -> bool:
        room = socket.CMSG_SPACE(_DESCRIPTORS_A_READ * 4)
        data, ancillary, _, _ = self._control.recvmsg(_READ_BYTES, room)
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received = array.array("i")
                received.frombytes(payload[: len(payload) - len(payload) % received.itemsize])
                self._descriptors.extend(received)
        try:
            requests = [fork_decoder.decode(body) for body in self._frames.feed(data)]
        except ValueError:  # msgspec's DecodeError is one: whoever sends that is no launcher of ours
            return False
        for request in requests:
            if len(self._descriptors) < FORK_DESCRIPTORS:
                return False
            self._fork(request)
        return bool(data) and len(self._descriptors) <= _DESCRIPTORS_A_READ

    def _fork(self, request: Fork) -> None:
        sock, output = (self._descriptors.popleft() for _ in range(FORK_DESCRIPTORS))
        try:
            granted = request.spec.confinement
            prepared = None if granted.unconfined else self._prepare(granted)
            os_pid = os.fork()
            if os_pid == 0:
                self._become_worker(request, prepared, sock, output)
        except (OSError, ValueError) as error:  # a path that is none is a ValueError
            number = error.errno if isinstance(error, OSError) else None
            self._send(Failed(request.id, number or errno.EIO, str(error)))
            return
        finally:
            os.close(sock)
            os.close(output)
        self._children[os_pid] = request.id
        self._send(Started(request.id, os_pid, start_time_of(os_pid) or 0))

    def _become_worker(self, request: Fork, prepared: Prepared | None, sock: int, output: int) -> None:
        """The child's whole life. Never returns: nothing of the zygote may run in it."""
        status = EXIT_CONFINEMENT
        try:
            signal.set_wakeup_fd(-1)
            confinement.forget_children()
            priority.become(request.spec.qos)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.dup2(sock, SOCKET_FD)
            confinement.set_name(request.spec.name)
            confinement.confine(request.spec.confinement, prepared, self._pid)
            status = 1
            gc.enable()
            status = self._entry(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, SOCKET_FD)) & 0xFF
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:  # Killed and KeyboardInterrupt too: whatever it is, this process ends here
            _print_traceback()
        finally:
            os._exit(status & 0xFF)

    def _prepare(self, granted: Confinement) -> Prepared:
        """The ruleset of these paths, from the few that are kept."""
        key = tuple(sorted(set(granted.read_only)))
        found = self._rulesets.get(key)
        if found is None:
            if self._filter is None:
                raise OSError(errno.EINVAL, "this zygote was started unconfined and can confine nobody")
            paths = (*self._base, *key)
            ruleset = landlock.build(paths)
            keep_read = os.geteuid() == 0 and confinement.needs_read_capability(paths)
            found = self._rulesets[key] = Prepared(self._filter, ruleset, keep_read)
            if len(self._rulesets) > RULESETS_MAX:
                os.close(self._rulesets.popitem(last=False)[1].ruleset)
        self._rulesets.move_to_end(key)
        return found

    def _reap(self, options: int) -> None:
        while self._children:
            os_pid, status, usage = os.wait4(-1, options)
            if os_pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            cpu_us = int((usage.ru_utime + usage.ru_stime) * 1_000_000)
            maxrss_kb = usage.ru_maxrss if sys.platform.startswith("linux") else usage.ru_maxrss >> 10
            self._send(
                Exited(
                    id=self._children.pop(os_pid),
                    code=code if code >= 0 else None,
                    signal=-code if code < 0 else None,
                    cpu_us=cpu_us,
                    maxrss_kb=maxrss_kb,
                )
            )

    def _send(self, report: Report) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the next read says so, and ends the children
            self._control.sendall(frame(report))


def _on_child(_number: int, _frame: FrameType | None) -> None:
    """Nothing: a handler has to be there for the wakeup descriptor to be written."""


def _print_traceback() -> None:
    with contextlib.suppress(BaseException):  # out of memory while saying so: the status alone has to do
        traceback.print_exc()
        sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """`zygote CONTROL_FD PARENT_PID confined|unconfined ENTRY`; only the launcher starts it, so nobody else's entry."""
    control_fd, parent_pid, mode, entry_name = arguments
    os.setsid()  # no terminal: neither Ctrl-C nor TIOCSTI
    confinement.die_with_parent(int(parent_pid))
    confinement.set_name("prytany-zygote")
    priority.lower_session()
    os.environ.clear()
    os.chdir("/")
    os.umask(0o077)
    sys.dont_write_bytecode = True
    if int(control_fd) != SOCKET_FD:
        os.dup2(0, SOCKET_FD)  # taken, so that nothing a child still needs lands where its socket goes
    for name in PRELOAD:
        importlib.import_module(name)
    entry = load_entry(entry_name or ENTRY)
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, int(control_fd))
    zygote = Zygote(control, entry, unconfined=mode == "unconfined")
    rehearse()
    gc.collect()
    gc.disable()
    gc.freeze()
    zygote.serve()
    return 0
