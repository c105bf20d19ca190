"""The kernel's end of one tool process.

It is executed afresh, never forked from the kernel, and gets one inherited socket. Once it is dead it stays dead;
whoever needs another one starts another one. A call that was handed over and has no answer when it dies was begun.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from prytany.abi import limits
from prytany.abi.wire import LENGTH_BYTES, UNREADABLE
from prytany.drivers.tools.python.messages import (
    Answer,
    Call,
    Cancel,
    Order,
    Refused,
    Start,
    decode_answer,
    decode_described,
    frame,
)
from prytany.drivers.tools.python.strike import Strike
from prytany.ports.tool import ToolFailure, ToolManifest

# No folder of the user's: what lies in one (a .netrc, a cloud's credentials) was not named as a secret.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}
_READ_BYTES = 1 << 16
DRAIN_MS = 500


class ToolProcess:
    """One process. Make it with `start`."""

    def __init__(self, process: asyncio.subprocess.Process, sock: socket.socket, strike: Strike) -> None:
        self._process = process
        self._sock = sock
        self._strike = strike
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._next_id = 1
        self._slots = asyncio.Semaphore(limits.TOOL_CALLS_MAX)
        self._why = "the tool's process died"
        self.dead = False
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def start(
        cls, start: Start, folder: str, strike: Strike, log: Callable[[bytes], None]
    ) -> tuple[ToolProcess, list[ToolManifest]]:
        """A process with the file imported, and what its tools say of themselves. Raises ToolFailure."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-I", "-B", "-X", "utf8", "-m", "prytany.drivers.tools.python.worker",
                    str(theirs.fileno()), str(os.getpid()), env=ENVIRONMENT, cwd=folder, pass_fds=(theirs.fileno(),),
                    start_new_session=True, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                )  # fmt: skip
            except OSError as error:
                ours.close()
                raise ToolFailure("unavailable", f"no tool process could be started: {error.strerror}") from None
        made = cls(process, ours, strike)
        made._tasks.append(asyncio.ensure_future(made._keep_output(log)))
        try:
            made._reader, made._writer = await asyncio.open_unix_connection(sock=ours)
            manifests = await asyncio.wait_for(made._described(start), limits.WORKER_START_MS / 1_000)
        except TimeoutError:
            await made.close()
            raise ToolFailure("unavailable", "the tool process did not start in time") from None
        except (OSError, EOFError, *UNREADABLE):
            await made.close()
            raise ToolFailure("unavailable", "the tool process died as it imported its file") from None
        except BaseException:
            await made.close()
            raise
        made._tasks.append(asyncio.ensure_future(made._take_answers()))
        return made, manifests

    @property
    def pid(self) -> int:
        """The operating system's."""
        return self._process.pid

    async def call(self, name: str, arguments: dict[str, Any], key: str, timeout_ms: int) -> Any:
        """One result. Raises ToolFailure, `unavailable` where nothing was begun."""
        async with self._slots:
            if self.dead:
                raise ToolFailure("unavailable", self._why)
            call_id = self._next_id
            self._next_id += 1
            answered = self._asked[call_id] = asyncio.get_running_loop().create_future()
            try:
                self._writer.write(frame(Call(call_id, name, msgspec.Raw(msgspec.msgpack.encode(arguments)), key)))
                answer = await asyncio.wait_for(answered, timeout_ms / 1_000)
            except TimeoutError:
                self.kill(f"{name} took more than {timeout_ms} ms, and its process was ended")
                raise ToolFailure("timeout", self._why, begun=True) from None
            except asyncio.CancelledError:
                self._send(Cancel(call_id))
                raise
            finally:
                self._asked.pop(call_id, None)
        if answer.kind:
            raise ToolFailure(answer.kind, self._strike.text(answer.message))
        return self._strike.packed(answer.value)

    def kill(self, why: str) -> None:
        """End it and all that it started; what it was asked fails as begun."""
        if self.dead:
            return
        self.dead, self._why = True, why
        if self._process.returncode is None:  # once it is reaped, its number may be another's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for answered in self._asked.values():
            if not answered.done():
                answered.set_exception(ToolFailure("died", why, begun=True))

    async def close(self) -> None:
        """End it and wait until it is gone."""
        self.kill("the tool's process was ended")
        await self._process.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._tasks[0]), DRAIN_MS / 1_000)  # what it printed last
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if hasattr(self, "_writer"):
            self._writer.close()
        else:
            self._sock.close()

    def _send(self, order: Order) -> None:
        if not self.dead:
            self._writer.write(frame(order))

    async def _frame(self) -> bytes:
        size = int.from_bytes(await self._reader.readexactly(LENGTH_BYTES), "little")
        if size > limits.FRAME_BYTES_MAX:
            raise EOFError
        return await self._reader.readexactly(size)

    async def _described(self, start: Start) -> list[ToolManifest]:
        self._writer.write(frame(start))
        described = decode_described(await self._frame())
        if isinstance(described, Refused):
            raise ToolFailure("unavailable", self._strike.text(described.message))
        return list(described.manifests)

    async def _take_answers(self) -> None:
        try:
            while True:
                answer = decode_answer(await self._frame())
                answered = self._asked.get(answer.id)
                if answered is not None and not answered.done():
                    answered.set_result(answer)
        except (OSError, EOFError):
            self.kill("the tool's process died")
        except UNREADABLE:
            self.kill("the tool's process sent what is no answer")

    async def _keep_output(self, log: Callable[[bytes], None]) -> None:
        output = self._process.stdout
        assert output is not None
        while data := await output.read(_READ_BYTES):
            if kept := self._strike.stream(data):
                log(kept)
        if kept := self._strike.stream(b"", last=True):
            log(kept)
