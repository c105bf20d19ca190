"""The kernel's end of a zygote: starts it, asks it for workers, tells how each of them ended.

A worker's life is one future: `handle.exited` always resolves, whether the worker ended, was killed, or its zygote
died under it. A uid is given back only when the process that had it is known to be gone.

Must not fork: the kernel's memory never becomes a worker's. Must not read a worker's socket or output: those belong
to whoever asked for it. Nothing here blocks the loop but the start of the zygote, once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from dataclasses import dataclass
from typing import Protocol

import msgspec

from prytany import __version__
from prytany.abi import limits
from prytany.abi.errors import Eagain, Eio, Etimedout, KernelError
from prytany.runtime import pids
from prytany.runtime.messages import (
    ENTRY,
    Exited,
    Failed,
    Fork,
    Ready,
    Report,
    Started,
    WorkerSpec,
    frame,
)  # fmt: skip
from prytany.runtime.scratch import scratch_file
from prytany.runtime.uids import worker_uids
from prytany.runtime.zygote_link import ZygoteLink

_MESSAGE_CHARS_MAX = 500
_VERSION_CHARS_MAX = 60
BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap.py")


class Register(Protocol):
    """Who keeps account of the processes that a kernel has."""

    def add(self, os_pid: int, start_time: int) -> None:
        """A process started."""
        ...

    def remove(self, os_pid: int, start_time: int) -> None:
        """It has ended."""
        ...


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a worker ended: one of `code` and `signal` is set. `maxrss_kb` counts the pages shared with the zygote too.

    When its zygote died first, nobody could reap it: it was killed, and its usage is not known (0).
    """

    code: int | None
    signal: int | None
    cpu_us: int = 0
    maxrss_kb: int = 0
    lost: bool = False
    """It was killed with its zygote, or because of it: that says nothing about what it ran."""


class ZygoteDied(Eio):
    """A zygote died that was asked for a worker, or was to be. Another one can be asked."""


@dataclass(slots=True, eq=False)
class WorkerHandle:
    """One live worker. `sock` (non-blocking) and `output_fd` (what it prints) are the holder's to close."""

    os_pid: int
    start_time: int
    sock: socket.socket
    output_fd: int
    exited: asyncio.Future[ExitStatus]
    uid: int | None


@dataclass(slots=True)
class _Pending:
    started: asyncio.Future[WorkerHandle]
    sock: socket.socket
    output_fd: int
    uid: int | None


class Launcher:
    """One zygote at a time for one Python; `fork` starts it when there is none, so a dead one is replaced."""

    def __init__(
        self, python: str, *, unconfined: bool = False, entry: str = ENTRY, hash_seed: int = 0,
        roster: Register | None = None,
    ) -> None:  # fmt: skip
        """Nothing is started yet. `roster` is told of every process that is, and of its end."""
        self._python = python
        self._roster = roster
        self._unconfined = unconfined
        self._entry = entry
        self._hash_seed = hash_seed
        self._starting = asyncio.Lock()
        self._link: ZygoteLink | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._zygote = (0, 0)
        self._ready: asyncio.Future[Ready] | None = None
        self._ended: asyncio.Future[None] | None = None
        self._next_id = 1
        self._reaping: set[asyncio.Task[int]] = set()  # lost zygotes that are not waited for yet
        self._pending: dict[int, _Pending] = {}
        self._alive: dict[int, WorkerHandle] = {}
        self._orphans: set[WorkerHandle] = set()  # whose zygote died first, and which are not known to have ended

    @property
    def zygote_pid(self) -> int | None:
        """The live zygote's os pid."""
        return self._process.pid if self._link is not None and self._process is not None else None

    @property
    def used(self) -> bool:
        """Whether it has workers, or is making one."""
        return bool(self._alive or self._pending or self._starting.locked())

    @property
    def pending(self) -> int:
        """How many forks were asked for and not answered yet."""
        return len(self._pending)

    async def start(self) -> None:
        """Start the zygote, unless there is one.

        Raises:
            Eio: it ended before it was ready; the message ends with what it said. Or it is of another version.
            ZygoteDied: it was killed before it was ready.
            Etimedout: it was not ready within `limits.WORKER_START_MS`.
        """
        async with self._starting:
            if self._link is not None:
                return
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            loop = asyncio.get_running_loop()
            with theirs, scratch_file() as stderr:
                ours.setblocking(False)
                mode = "unconfined" if self._unconfined else "confined"
                try:
                    self._process = await asyncio.create_subprocess_exec(
                        self._python, "-s", "-P", "-u", "-X", "utf8", BOOTSTRAP,
                        str(theirs.fileno()), str(os.getpid()), mode, self._entry,
                        env={"PYTHONHASHSEED": str(self._hash_seed)}, pass_fds=(theirs.fileno(),), cwd="/",
                        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=stderr,
                    )  # fmt: skip
                except OSError as error:
                    ours.close()
                    raise Eio(f"cannot execute {self._python}: {error.strerror}") from error
                except BaseException:  # cancelled while it was being executed: what was started ends with its socket
                    ours.close()
                    raise
                theirs.close()
                self._zygote = self._process.pid, pids.start_time_of(self._process.pid) or 0
                self._enlist(*self._zygote)
                self._link = ZygoteLink(ours, self._on_report, self._lose_zygote)
                ready = self._ready = loop.create_future()
                self._ended = loop.create_future()
                try:
                    async with asyncio.timeout(limits.WORKER_START_MS / 1000):
                        await ready
                except TimeoutError as error:
                    self._lose_zygote()
                    raise Etimedout(f"no zygote of {self._python} within {limits.WORKER_START_MS} ms") from error
                except asyncio.CancelledError:
                    self._lose_zygote()
                    raise
                except Eio as error:
                    await self._process.wait()
                    stderr.seek(0)
                    said = stderr.read().decode(errors="replace").strip()[-2_000:]
                    if (self._process.returncode or 0) < 0 and not said:  # it did not end by itself
                        raise ZygoteDied(f"the zygote of {self._python} was killed before it was ready") from error
                    raise Eio(f"the zygote of {self._python} did not start: {said}") from error
                if ready.result().version != __version__:
                    self._lose_zygote()
                    raise Eio(
                        f"prytany was upgraded under this kernel, from {__version__} to"
                        f" {ready.result().version[:_VERSION_CHARS_MAX]}: workers that start now would be of another"
                        " version; stop the kernel, and bring it up again"
                    )

    async def fork(self, spec: WorkerSpec) -> WorkerHandle:
        """A new worker, confined (unless this launcher is not), running the entry.

        Cancelling it leaves nothing behind: a worker that is made nevertheless is killed.

        Raises:
            Eio: it could not be forked or confined for, e.g. a granted path does not exist.
            ZygoteDied: its zygote died meanwhile.
            Eagain: no uid is free, or the kernel has as many descriptors open as it may.
        """
        await self.start()
        uid = worker_uids.take() if os.geteuid() == 0 and not self._unconfined else None
        confinement = msgspec.structs.replace(spec.confinement, uid=uid, gid=uid, unconfined=self._unconfined)
        request = Fork(self._next_id, msgspec.structs.replace(spec, confinement=confinement))
        self._next_id += 1
        try:
            data = frame(request)
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                output_read, output_write = os.pipe()
            except OSError:
                ours.close()
                theirs.close()
                raise
        except (OSError, ValueError) as error:
            if uid is not None:
                worker_uids.give_back(uid)
            raise Eagain(f"no worker could be asked for: {error}") from error
        ours.setblocking(False)
        os.set_blocking(output_read, False)
        pending = _Pending(asyncio.get_running_loop().create_future(), ours, output_read, uid)
        self._pending[request.id] = pending
        descriptors = [theirs.detach(), output_write]
        if self._link is not None:
            self._link.send(data, descriptors)
        else:  # it was ready, and died in the same turn
            for descriptor in descriptors:
                os.close(descriptor)
            self._abandon(self._pending.pop(request.id), ZygoteDied("the zygote died"))
        try:
            return await pending.started
        except asyncio.CancelledError:
            if pending.started.done() and not pending.started.cancelled() and pending.started.exception() is None:
                self._discard(pending.started.result())  # it came in the same turn as the cancellation
            raise

    def kill(self, handle: WorkerHandle, number: int = signal.SIGKILL) -> bool:
        """Signal exactly this worker; False when it is gone already."""
        return not handle.exited.done() and pids.send_signal(handle.os_pid, handle.start_time, number)

    async def close(self) -> None:
        """End every worker and the zygote; returns when all are gone and every `exited` has its status."""
        async with self._starting:
            handles = [*self._alive.values(), *self._orphans]
            if self._link is not None and self._ended is not None:
                self._link.end()  # it kills, reaps and reports, and then closes its own half
                await self._ended
            if self._reaping:
                await asyncio.wait(self._reaping)
            if ending := {handle.exited for handle in (*handles, *self._orphans)}:
                await asyncio.wait(ending)

    def _on_report(self, report: Report) -> bool:
        """Whether that is what a zygote of ours would say."""
        match report:
            case Ready():
                if self._ready is not None and not self._ready.done():
                    self._ready.set_result(report)
                return True
            case Started() | Failed():
                pending = self._pending.pop(report.id, None)
                if pending is None:
                    return False
                if isinstance(report, Started):
                    self._on_started(report, pending)
                else:
                    self._abandon(pending, Eio(f"no worker: {report.message[:_MESSAGE_CHARS_MAX]}"))
                return True
            case Exited():
                handle = self._alive.pop(report.id, None)
                if handle is None:
                    return False
                self._resolve(handle, ExitStatus(report.code, report.signal, report.cpu_us, report.maxrss_kb))
                return True

    def _on_started(self, report: Started, pending: _Pending) -> None:
        handle = WorkerHandle(
            report.os_pid,
            report.start_time,
            pending.sock,
            pending.output_fd,
            asyncio.get_running_loop().create_future(),
            pending.uid,
        )
        self._enlist(handle.os_pid, handle.start_time)
        self._alive[report.id] = handle
        if pending.started.cancelled():
            self._discard(handle)
        else:
            pending.started.set_result(handle)

    def _discard(self, handle: WorkerHandle) -> None:
        """Nobody holds this worker: end it, and close what its holder would have closed."""
        handle.sock.close()
        os.close(handle.output_fd)
        self.kill(handle)

    def _abandon(self, pending: _Pending, error: KernelError) -> None:
        pending.sock.close()
        os.close(pending.output_fd)
        if pending.uid is not None:
            worker_uids.give_back(pending.uid)
        if not pending.started.done():
            pending.started.set_exception(error)

    def _enlist(self, os_pid: int, start_time: int) -> None:
        if self._roster is not None:
            self._roster.add(os_pid, start_time)

    def _strike(self, os_pid: int, start_time: int) -> None:
        if self._roster is not None:
            self._roster.remove(os_pid, start_time)

    def _resolve(self, handle: WorkerHandle, status: ExitStatus) -> None:
        self._strike(handle.os_pid, handle.start_time)
        if handle.uid is not None:
            worker_uids.give_back(handle.uid)
        if not handle.exited.done():  # a holder may have cancelled what it waited with
            handle.exited.set_result(status)

    def _lose_zygote(self) -> None:
        """The zygote is gone or of no use: end it and all it had. The next `fork` starts another."""
        if self._link is None:
            return
        self._link.close()
        self._link = None
        if self._process is not None:
            # Not by asyncio's own: that would take its status from asyncio's watcher.
            pids.send_signal(*self._zygote, signal.SIGKILL)
            self._strike(*self._zygote)
            task = asyncio.get_running_loop().create_task(self._process.wait())
            self._reaping.add(task)
            task.add_done_callback(self._reaping.discard)
        error = ZygoteDied("the zygote died")
        for pending in self._pending.values():
            self._abandon(pending, error)
        self._pending.clear()
        for handle in self._alive.values():
            self._end_orphan(handle)
        self._alive.clear()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _end_orphan(self, handle: WorkerHandle) -> None:
        """Kill a worker that nobody reports on any more, and resolve it once it has really ended."""
        status = ExitStatus(None, int(signal.SIGKILL), lost=True)
        pids.send_signal(handle.os_pid, handle.start_time, signal.SIGKILL)
        pidfd = pids.open_pidfd(handle.os_pid, handle.start_time)
        if pidfd is None:
            self._resolve(handle, status)
            return
        loop = asyncio.get_running_loop()
        self._orphans.add(handle)

        def ended() -> None:
            loop.remove_reader(pidfd)
            os.close(pidfd)
            self._orphans.discard(handle)
            self._resolve(handle, status)

        loop.add_reader(pidfd, ended)
