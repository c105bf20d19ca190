"""The runner of `python` programs: confined workers, a socket each.

Frames are cut and decoded here, before the kernel sees them; a worker that sends what is no frame is ended. Writes of
one loop turn are joined. What a worker prints goes to its process's log, escaped when it is shown, never to a
terminal.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from prytany.abi import limits, wire
from prytany.abi.errors import Eagain, Einval
from prytany.abi.program import is_whole
from prytany.ports.runner import UTILITY, Call, Host
from prytany.runtime import pids, priority
from prytany.runtime.confinement import Confinement
from prytany.runtime.launcher import ExitStatus, Launcher, Register, WorkerHandle, ZygoteDied
from prytany.runtime.messages import ENTRY, WorkerSpec

_READ_BYTES = 1 << 18
_PIPE_BYTES = 1 << 16  # what a pipe holds
_FLOOD_PAUSE_S = 0.02
LogSink = Callable[[int, bytes], None]
"""Takes what a process printed."""


def _read(body: bytes) -> wire.Frame:
    """A frame of a worker's; raises Einval when it is none."""
    try:
        frame = wire.decode_frame(body)
    except wire.UNREADABLE:
        raise Einval("no frame") from None
    if len(body) > limits.ARGUMENT_BYTES_MAX or len(frame.calls) > limits.FRAME_CALLS_MAX:
        _check_bounds(frame)
    return frame


def _check_bounds(frame: wire.Frame) -> None:
    """Hold a worker to the bounds that userland keeps by itself; raises Einval."""
    most = limits.ARGUMENT_BYTES_MAX
    if len(frame.calls) > limits.FRAME_CALLS_MAX or any(len(bytes(call.args)) > most for call in frame.calls):
        raise Einval("a frame beyond its bounds")


class ConfinedWorker:
    """The kernel's end of one worker.

    What goes to it and what it prints are both bounded: while more than `limits.BACKLOG_BYTES` wait for it, its calls
    are not read, and when it prints a pipe full at once, its prints wait a moment. Neither stops a worker that reads.
    """

    def __init__(self, handle: WorkerHandle, pid: int, host: Host, launcher: Launcher, sink: LogSink) -> None:
        self._handle = handle
        self._pid = pid
        self._host = host
        self._launcher = launcher
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._frames = wire.FrameReader()
        self._said = 0  # how many items it has said that it took
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._unsent = memoryview(b"")  # of what was joined, the part that the socket did not take
        self._paused = False
        self._muted = True
        self._killed = False
        self._broken = ""
        self._told_us = 0  # of its processor time
        self._hung_up = False  # it was broken by that alone, which its zygote's death does as well
        self._loop.add_reader(handle.sock, self._on_readable)
        os.set_blocking(handle.output_fd, False)
        self._loop.add_reader(handle.output_fd, self._on_output)
        handle.exited.add_done_callback(self._on_exited)

    @property
    def identity(self) -> tuple[int, int]:
        """The operating system's pid and start time."""
        return self._handle.os_pid, self._handle.start_time

    @property
    def backlog_bytes(self) -> int:
        """What waits for the worker to read it."""
        return self._out_bytes

    @property
    def held_back(self) -> bool:
        """Whether its calls are not read, since it does not read their answers."""
        return self._paused

    def send(self, n: int, time_ns: int, errno: str, value: bytes) -> None:
        """Queue one item for this turn's write."""
        if not self._out:
            self._loop.call_soon(self._flush)
        item = wire.encode_item(n, time_ns, errno, msgspec.Raw(value))
        self._out.append(item)
        self._out_bytes += len(item)
        if self._out_bytes > limits.BACKLOG_BYTES:
            self._hold_back()

    def _flush(self) -> None:
        sock = self._handle.sock
        while (self._unsent or self._out) and sock.fileno() >= 0:
            if not self._unsent:
                self._unsent = memoryview(b"".join(self._out))
                self._out.clear()
            try:
                sent = sock.send(self._unsent)
            except BlockingIOError:
                self._loop.add_writer(sock, self._on_writable)
                return
            except OSError:
                return  # it is ending; its exit is reported
            self._unsent = self._unsent[sent:]
            self._out_bytes -= sent
        if self._paused and not self._broken and not self._killed:
            self._paused = False
            self._loop.add_reader(sock, self._on_readable)

    def _hold_back(self) -> None:
        """It is behind with reading: until it has caught up, it is not listened to."""
        if self._out_bytes > limits.BACKLOG_BYTES_MAX:
            self._break(f"its worker did not read {self._out_bytes} bytes of answers")
        elif not self._paused:
            self._paused = True
            self._loop.remove_reader(self._handle.sock)

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
            self._hung_up = not self._broken
            self._break("its worker closed its connection")
            return
        self._take(data)

    def _take(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                frame = _read(body)
                if frame.delivered == self._said and not frame.calls:
                    self._break("its worker said nothing, twice")  # it could for ever, and is bounded by nothing else
                    return
                self._said = frame.delivered
                calls: list[Call] = [(call.n, call.name, call.args) for call in frame.calls]
                self._host.on_frame(self._pid, frame.delivered, calls)
                if self._killed:
                    return
        except Einval:
            self._break("its worker sent what is no frame")

    def _take_rest(self) -> None:
        """It is gone, and that was heard before its last words, which still lie in the socket: they count."""
        with suppress(OSError):
            while not (self._killed or self._broken) and (data := self._handle.sock.recv(_READ_BYTES)):
                self._take(data)

    def _on_output(self) -> None:
        with suppress(BlockingIOError):
            data = os.read(self._handle.output_fd, _PIPE_BYTES)
            if data and not self._muted:
                self._sink(self._pid, data)
            if not data:
                self._loop.remove_reader(self._handle.output_fd)
            elif len(data) >= _PIPE_BYTES >> 1 and not self._muted:
                # It prints as fast as it can: its turn comes again, and until then its prints wait in the pipe.
                self._loop.remove_reader(self._handle.output_fd)
                self._loop.call_later(_FLOOD_PAUSE_S, self._listen)

    def _listen(self) -> None:
        if not self._handle.exited.done():
            self._loop.add_reader(self._handle.output_fd, self._on_output)

    def at_frontier(self) -> None:
        """It says when it is idle, always."""

    def hear(self) -> None:
        """Drop what was printed on the way; the worker printed it before it sent the frame that brought it here."""
        if self._muted:
            with suppress(BlockingIOError):
                os.read(self._handle.output_fd, _PIPE_BYTES)
            self._muted = False

    def log(self, text: str) -> None:
        """A line of the kernel's."""
        self._sink(self._pid, text.encode())

    def weigh(self, qos: int) -> bool:
        """Of that class, with all its threads."""
        return self._handle.exited.done() or priority.change(self._handle.os_pid, qos)

    def take_cpu_us(self) -> int:
        """Processor time since it was last asked."""
        if self._handle.exited.done():
            return 0  # the rest comes with its end
        more_us = self._rest_us(pids.cpu_us_of(self._handle.os_pid))
        self._told_us += more_us
        return more_us

    def _rest_us(self, cpu_us: int) -> int:
        return max(0, cpu_us - self._told_us)

    def kill(self) -> None:
        """End it. What it has printed is taken first, so that nothing of its successor's stands before it."""
        if self._killed:
            return
        self._killed = True
        if not self._handle.exited.done():
            self._loop.remove_reader(self._handle.sock)
            self._on_output()
        self._launcher.kill(self._handle)

    def _break(self, reason: str) -> None:
        """It is of no use any more: its end is its process's."""
        self._broken = self._broken or reason
        self._loop.remove_reader(self._handle.sock)
        self._launcher.kill(self._handle)

    def _on_exited(self, exited: asyncio.Future[ExitStatus]) -> None:
        self._on_output()
        self._take_rest()
        for fd in (self._handle.sock, self._handle.output_fd):
            self._loop.remove_reader(fd)
        self._loop.remove_writer(self._handle.sock)
        self._handle.sock.close()
        os.close(self._handle.output_fd)
        status = exited.result()
        cpu_us = self._rest_us(status.cpu_us)
        if self._killed:
            self._host.on_left(self._pid, cpu_us)
        elif status.lost and (self._hung_up or not self._broken):
            self._host.on_lost(self._pid, "the zygote that its worker was forked from died")
        elif status.signal:
            ours = self._broken if status.signal == signal.SIGKILL else ""  # it may have died before it could be ended
            reason = ours or f"its worker was ended by signal {status.signal}"
            self._host.on_exit(self._pid, 128 + status.signal, status.signal, reason, cpu_us)
        else:
            reason = f"its worker ended with status {status.code} without saying so"
            self._host.on_exit(self._pid, status.code or 1, 0, reason, cpu_us)


class _Start(msgspec.Struct):
    """What has to be known of a start item before it is sent."""

    program: str
    source: bytes = b""
    python: str = ""


_start_decoder = msgspec.msgpack.Decoder(_Start)


class ConfinedRunner:
    """Starts confined workers, from one zygote an interpreter."""

    def __init__(
        self, python: str, sink: LogSink, *, unconfined: bool = False, entry: str = ENTRY,
        roster: Register | None = None,
    ) -> None:  # fmt: skip
        self._python = python
        self._roster = roster
        self._unconfined = unconfined
        self._entry = entry
        self._sink = sink
        self._launchers: dict[str, Launcher] = {}  # the one used longest ago first

    async def start(self, pid: int, item: bytes, host: Host, qos: int = UTILITY) -> ConfinedWorker:
        """A new worker, granted the interpreter and the libraries, read-only; its program comes from the record.

        A program that was recorded without its modules is granted its folder, to find them there.
        """
        start = _start_decoder.decode(item)
        beside = Path(start.program.rpartition(":")[0]).parent
        folder = () if is_whole(start.source) or not beside.is_dir() else (str(beside),)
        confinement = Confinement(read_only=folder, unconfined=self._unconfined)
        spec = WorkerSpec(name=f"prytany:{pid}", confinement=confinement, qos=qos)
        for tries in range(1, limits.ZYGOTE_TRIES_MAX + 1):
            launcher = await self._launcher(start.python or self._python)
            try:
                return ConfinedWorker(await launcher.fork(spec), pid, host, launcher, self._sink)
            except ZygoteDied:
                if tries == limits.ZYGOTE_TRIES_MAX:
                    raise
        raise AssertionError("the last try returns or raises")

    async def _launcher(self, python: str) -> Launcher:
        """The launcher of that interpreter. Raises Eagain when as many others as there may be have workers."""
        launcher = self._launchers.pop(python, None)
        if launcher is None and len(self._launchers) >= limits.ZYGOTES_MAX:
            unused = next((name for name, other in self._launchers.items() if not other.used), None)
            if unused is None:
                raise Eagain(f"{limits.ZYGOTES_MAX} interpreters have workers, and that is the most")
            await self._launchers.pop(unused).close()
            launcher = self._launchers.pop(python, None)
        if launcher is None:
            launcher = Launcher(python, unconfined=self._unconfined, entry=self._entry, roster=self._roster)
        self._launchers[python] = launcher
        return launcher

    async def close(self) -> None:
        """End every worker and the zygotes."""
        launchers = list(self._launchers.values())
        self._launchers.clear()
        await asyncio.gather(*(launcher.close() for launcher in launchers))
