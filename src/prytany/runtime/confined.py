"""The runner of `python` programs: confined workers, a socket each.

Frames are cut and decoded here, before the kernel sees them; a worker that sends what is no frame is ended. Writes of
one loop turn are joined. What a worker prints goes to its process's log, escaped when it is shown, never to a
terminal.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from prytany.abi import wire
from prytany.abi.errors import Einval
from prytany.ports.runner import Call, Host
from prytany.runtime.confinement import Confinement
from prytany.runtime.launcher import ExitStatus, Launcher, Register, WorkerHandle
from prytany.runtime.messages import WorkerSpec

_READ_BYTES = 1 << 18
LogSink = Callable[[int, bytes], None]
"""Takes what a process printed."""


class ConfinedWorker:
    """The kernel's end of one worker."""

    def __init__(self, handle: WorkerHandle, pid: int, host: Host, launcher: Launcher, sink: LogSink) -> None:
        self._handle = handle
        self._pid = pid
        self._host = host
        self._launcher = launcher
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._frames = wire.FrameReader()
        self._out: list[bytes] = []
        self._muted = True
        self._broken = ""
        self._loop.add_reader(handle.sock, self._on_readable)
        os.set_blocking(handle.output_fd, False)
        self._loop.add_reader(handle.output_fd, self._on_output)
        handle.exited.add_done_callback(self._on_exited)

    @property
    def identity(self) -> tuple[int, int]:
        """The operating system's pid and start time."""
        return self._handle.os_pid, self._handle.start_time

    def send(self, n: int, time_ns: int, errno: str, value: bytes) -> None:
        """Queue one item for this turn's write."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(wire.encode_item(n, time_ns, errno, msgspec.Raw(value)))

    def _flush(self) -> None:
        data = b"".join(self._out)
        self._out.clear()
        if not data or self._handle.sock.fileno() < 0:
            return
        try:
            sent = self._handle.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # it is ending; its exit is reported
        if sent < len(data):
            self._out.append(data[sent:])
            self._loop.add_writer(self._handle.sock, self._on_writable)

    def _on_writable(self) -> None:
        self._loop.remove_writer(self._handle.sock)
        self._flush()

    def _on_readable(self) -> None:
        try:
            data = self._handle.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._handle.sock)
            self.kill()
            return
        try:
            for body in self._frames.feed(data):
                frame = wire.decode_frame(body)
                calls: list[Call] = [(call.n, call.name, call.args) for call in frame.calls]
                self._host.on_frame(self._pid, frame.delivered, calls)
        except (Einval, msgspec.MsgspecError):
            self._broken = "its worker sent what is no frame"
            self._loop.remove_reader(self._handle.sock)
            self.kill()

    def _on_output(self) -> None:
        with suppress(BlockingIOError):
            data = os.read(self._handle.output_fd, _READ_BYTES)
            if not data:
                self._loop.remove_reader(self._handle.output_fd)
            elif not self._muted:
                self._sink(self._pid, data)

    def at_frontier(self) -> None:
        """Drop what was printed on the way; the worker printed it before it sent the frame that brought it here."""
        if not self._muted:
            return
        with suppress(BlockingIOError):
            while os.read(self._handle.output_fd, _READ_BYTES):
                pass
        self._muted = False

    def log(self, text: str) -> None:
        """A line of the kernel's."""
        self._sink(self._pid, text.encode())

    def kill(self) -> None:
        """End it."""
        self._launcher.kill(self._handle)

    def _on_exited(self, exited: asyncio.Future[ExitStatus]) -> None:
        self._on_output()
        for fd in (self._handle.sock, self._handle.output_fd):
            self._loop.remove_reader(fd)
        self._loop.remove_writer(self._handle.sock)
        self._handle.sock.close()
        os.close(self._handle.output_fd)
        status = exited.result()
        if status.signal:
            reason = self._broken or f"its worker was ended by signal {status.signal}"
            self._host.on_exit(self._pid, 128 + status.signal, status.signal, reason, status.cpu_us)
        else:
            reason = f"its worker ended with status {status.code} without saying so"
            self._host.on_exit(self._pid, status.code or 1, 0, reason, status.cpu_us)


class ConfinedRunner:
    """Starts confined workers from one zygote."""

    def __init__(self, python: str, sink: LogSink, *, unconfined: bool = False, roster: Register | None = None) -> None:
        self._launcher = Launcher(python, unconfined=unconfined, roster=roster)
        self._unconfined = unconfined
        self._sink = sink
        self._starting: asyncio.Lock = asyncio.Lock()
        self._started = False

    async def start(self, pid: int, item: bytes, host: Host) -> ConfinedWorker:
        """A new worker, granted the interpreter, the libraries and its program's folder, read-only."""
        async with self._starting:
            if not self._started:
                await self._launcher.start()
                self._started = True
        program = msgspec.msgpack.decode(item)["program"].rpartition(":")[0]
        confinement = Confinement(read_only=(str(Path(program).parent),), unconfined=self._unconfined)
        handle = await self._launcher.fork(WorkerSpec(name=f"prytany:{pid}", confinement=confinement))
        return ConfinedWorker(handle, pid, host, self._launcher, self._sink)

    async def close(self) -> None:
        """End every worker and the zygote."""
        if self._started:
            await self._launcher.close()
