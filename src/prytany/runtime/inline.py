"""The runner of `inline` programs: trusted code of the operator, and tests, in the kernel's own loop.

They use the same codec and share no object with the kernel. A call goes to the kernel when it is made; what order
concurrent calls of an inline program are made in is the kernel's loop's, so that only one call at a time is sure to
replay.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from prytany.abi.errors import Eio, Enoent, KernelError, ProcessExit, error_of
from prytany.abi.wire import PIECE
from prytany.ports.runner import UTILITY, Host
from prytany.runtime.calls import CallStream

_log = logging.getLogger("prytany.inline")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
STEP_MS_MAX = 50
Program = Callable[..., Coroutine[Any, Any, Any]]
LogSink = Callable[[int, bytes], None]


class InlineWorker:
    """One inline program."""

    __slots__ = (
        "_asked",
        "_asked_to_end",
        "_begun",
        "_delivered",
        "_host",
        "_killed",
        "_loop",
        "_muted",
        "_n",
        "_now_ns",
        "_pid",
        "_program",
        "_replaying",
        "_sink",
        "_task",
    )

    def __init__(self, pid: int, program: Program, host: Host, sink: LogSink | None) -> None:
        self._pid = pid
        self._sink = sink
        self._muted = True
        self._now_ns = 0
        self._program = program
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._asked: dict[int, asyncio.Future[Any] | CallStream] = {}
        self._n = 0
        self._delivered = 0
        self._killed = False
        self._begun = False
        self._replaying = True
        self._task: asyncio.Task[None] | None = None

    @property
    def identity(self) -> tuple[int, int]:
        """It has no process of its own."""
        return 0, 0

    def call(self, name: str, args: tuple[Any, ...]) -> asyncio.Future[Any]:
        """Make a system call. Who was ended and tidies up has no answer, and is cancelled again."""
        answer = self._asked[self._n + 1] = self._loop.create_future()
        if self._killed:
            self._loop.call_soon(answer.cancel)
        self._make(name, args)
        return answer

    def stream(self, name: str, args: tuple[Any, ...]) -> CallStream:
        """Make a system call that is answered in pieces."""
        stream = self._asked[self._n + 1] = CallStream(self._loop, self, self._n + 1, name)
        self._make(name, args)
        return stream

    def cancel_call(self, n: int) -> None:
        """Tell the kernel that call `n` is not wanted any more."""
        self._make("call_cancel", (n,))

    def _make(self, name: str, args: tuple[Any, ...]) -> None:
        self._n += 1
        if self._killed:
            return
        self._host.on_frame(self._pid, self._delivered, ((self._n, name, msgspec.Raw(_encode(args))),))

    def send(self, n: int, time_ns: int, errno: str, value: bytes) -> None:
        """Take one item."""
        self._delivered += 1
        self._now_ns = max(self._now_ns, time_ns)
        if n > 0:
            answer = self._asked.get(n) if errno == PIECE else self._asked.pop(n, None)
            if isinstance(answer, CallStream):
                answer.answer(errno, _decode(value))
            elif answer is not None and not answer.done() and errno != PIECE:
                if errno:
                    message, detail = _decode(value)
                    answer.set_exception(error_of(errno, message, detail=detail))
                else:
                    answer.set_result(_decode(value))
        elif n == 0:
            start = _decode(value)
            self._n = start.get("base", 0)
            self._task = self._loop.create_task(self._run(start))
        elif n in (-2, -15) and self._task is not None:
            if self._begun:
                self._task.cancel()
            else:  # a task that is cancelled before its first step never runs, and would never say that it ended
                self._loop.call_soon(self._task.cancel)
        if self._replaying or errno == PIECE:  # a stream is held up for who does not say what it took
            self._loop.call_soon(self._idle)

    def _idle(self) -> None:
        if not self._killed:
            self._host.on_frame(self._pid, self._delivered, ())

    async def _run(self, start: dict[str, Any]) -> None:
        from prytany.userland.comforts import Ambient
        from prytany.userland.process import Process

        self._begun = True
        ambient = Ambient(lambda: self._now_ns, self._say)
        ending: tuple[int, Any, dict[str, Any] | None]
        began_ns = time.perf_counter_ns()
        try:
            ending = (
                0,
                await self._program(Process(self.call, self.stream, start, ambient), *start["args"], **start["kwargs"]),
                None,
            )
        except ProcessExit as error:
            ending = (error.status, None, None)
        except (Exception, asyncio.CancelledError) as error:
            cause = (
                {"cause": error.detail["cause"]} if isinstance(error, KernelError) and "cause" in error.detail else {}
            )
            ending = (1, None, {"type": type(error).__name__, "message": str(error), **cause})
        if (time.perf_counter_ns() - began_ns) // 1_000_000 > STEP_MS_MAX and not self._delivered:
            _log.warning("inline process %d held the kernel for more than %d ms", self._pid, STEP_MS_MAX)
        if not self._killed:
            self._asked_to_end = self.call("process_exit", ending)

    def at_frontier(self) -> None:
        """From here on the kernel need not know when it is idle."""
        self._replaying = False

    def hear(self) -> None:
        """What it logs from here on is kept; what it prints is the kernel's own output."""
        self._muted = False

    def _say(self, line: str) -> None:
        if self._muted:
            return
        if self._sink is not None:
            self._sink(self._pid, line.encode("utf-8", "replace"))
        else:
            _log.info("%d: %s", self._pid, line.rstrip("\n"))

    def log(self, text: str) -> None:
        """A line of the kernel's."""
        _log.warning("%s", text)

    def weigh(self, qos: int) -> bool:
        """It is the kernel's own loop, which weighs what it does."""
        return True

    def take_cpu_us(self) -> int:
        """What it takes is the kernel's."""
        return 0

    def kill(self) -> None:
        """End it."""
        if not self._killed:
            self._killed = True
            if self._task is not None:
                self._task.cancel()
            self._loop.call_soon(self._host.on_left, self._pid, 0)


class InlineRunner:
    """Runs the programs that it was given by name, and others from what was recorded of them."""

    def __init__(self, programs: dict[str, Program], sink: LogSink | None = None) -> None:
        """`sink` takes what they log; without one it goes to Python's logging."""
        self._programs = programs
        self._sink = sink
        self._loaded: dict[tuple[str, bytes], Program] = {}

    async def start(self, pid: int, item: bytes, host: Host, qos: int = UTILITY) -> InlineWorker:
        """The program of that name, in this loop.

        Raises:
            Enoent, Einval: there is none, or it is none.
            Eio: its module raised while it was loaded.
        """
        start = _decode(item)
        name = start["program"]
        program = self._programs.get(name) or self._load(name, start.get("source") or b"")
        return InlineWorker(pid, program, host, self._sink)

    def _load(self, name: str, source: bytes) -> Program:
        """Trusted code, loaded once for each text of it; the modules beside it are the kernel's own from then on."""
        found = self._loaded.get((name, source))
        if found is None:
            if not source:
                raise Enoent(f"there is no inline program {name!r}")
            from prytany.runtime.program import load_program  # late: few kernels run any

            try:
                found = load_program(name, source)
            except KernelError:
                raise
            except Exception as error:
                raise Eio(f"{name} cannot be loaded: {type(error).__name__}: {error}") from error
            self._loaded[name, source] = found
        return found

    async def close(self) -> None:
        """Every worker was killed by the kernel."""
