"""An operator's command as a courier: the notice is its standard input, and it took it when it ends with 0.

It is executed without a shell, in the fleet's folder, with an environment that holds nothing of the kernel's but what
is named. Its guard (see `guard`) ends all that came of it. What it prints is read up to a bound, and kept up to a
smaller one, with the secrets struck out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prytany.abi import limits
from prytany.drivers.couriers import guard
from prytany.drivers.tools.python.strike import Strike
from prytany.ports.courier import Letter, Missed

# No folder of the user's: what lies in one was not named.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}
GRACE_S = 5.0
"""For the guard to have ended everything; then it is ended itself."""
DRAIN_S = 1.0
_READ_BYTES = 1 << 14


class CommandCourier:
    """See the module."""

    def __init__(
        self, command: Sequence[str], *, folder: str, secrets: Callable[[], Mapping[str, str]] = dict,
        timeout_ms: int = limits.NOTICE_TIMEOUT_MS,
    ) -> None:  # fmt: skip
        """`secrets` gives what its environment has besides, at each attempt; it may raise Missed."""
        self._command = list(command)
        self._folder = folder
        self._secrets = secrets
        self._timeout_ms = timeout_ms

    async def deliver(self, letter: Letter) -> bytes:
        """Run it once; what it printed. Raises Missed."""
        secrets = self._secrets()
        environment = {**ENVIRONMENT, **secrets, "PRYTANY_NOTICE": letter.id}
        if shutil.which(self._command[0], path=environment["PATH"]) is None:
            raise Missed("not found", f"there is no program {self._command[0]}".encode(), again=False)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", str(Path(guard.__file__)), str(os.getpid()),
                str(-(-self._timeout_ms // 1_000) + 1), *self._command, env=environment, cwd=self._folder,
                start_new_session=True, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
        except OSError as error:
            raise Missed("not started", (error.strerror or "").encode()) from None
        said = _Said(Strike(secrets))
        try:
            async with asyncio.timeout(self._timeout_ms / 1_000):
                status = await self._converse(process, letter.body + b"\n", said)
        except TimeoutError:
            raise Missed("timeout", said.kept()) from None
        finally:
            await asyncio.shield(_end(process))
        if status == guard.NOT_STARTED:
            raise Missed("not executable", said.kept(), again=False)
        if status:
            raise Missed(f"signal {status - 128}" if status > 128 else f"exit {status}", said.kept())
        return said.kept()

    async def _converse(self, process: asyncio.subprocess.Process, body: bytes, said: _Said) -> int:
        """Hand the notice over, take what it prints, and wait until it has ended; its status. Raises Missed."""
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it need not read
            process.stdin.write(body)
            process.stdin.close()
        reading = asyncio.ensure_future(_read(process, said))
        ended = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait([reading, ended], return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():  # its last words; nobody of it is left to add any
                await asyncio.wait([reading], timeout=DRAIN_S)
            if reading.done() and reading.result():
                raise Missed("it prints too much", said.kept(), again=False)
            return await ended
        finally:
            reading.cancel()
            ended.cancel()
            await asyncio.gather(reading, ended, return_exceptions=True)

    async def close(self) -> None:
        """Nothing is kept."""


class _Said:
    """What it printed: the beginning, without the secrets."""

    def __init__(self, strike: Strike) -> None:
        self._strike = strike
        self._data = b""

    def add(self, data: bytes) -> None:
        """The next of it."""
        if len(self._data) < limits.NOTICE_SAID_BYTES_MAX:
            self._data += self._strike.stream(data)

    def kept(self) -> bytes:
        """All that is kept of it."""
        return (self._data + self._strike.stream(b"", last=True))[: limits.NOTICE_SAID_BYTES_MAX]


async def _read(process: asyncio.subprocess.Process, said: _Said) -> bool:
    """What it prints, up to a bound; whether there is more."""
    assert process.stdout is not None
    total = 0
    while data := await process.stdout.read(_READ_BYTES):
        total += len(data)
        said.add(data)
        if total > limits.NOTICE_OUTPUT_BYTES_MAX:
            return True
    return False


async def _end(process: asyncio.subprocess.Process) -> None:
    """Whatever is left of it is gone on return."""
    transport = getattr(process, "_transport")  # noqa: B009 its streams have no method for this
    output = transport.get_pipe_transport(1)
    if output is not None:
        output.close()  # else its end is waited for, and what it has printed is read by nobody
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), GRACE_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    transport.close()
