"""One worker: it reads its start item, runs one program under the record, and reports how that ended.

    start item -> determinism, order -> import -> `await main(proc, ...)` -> leftover tasks end -> process_exit

The exit is a call: `process_exit(status, result, error)`. Status 0 has a result; 1 an error; 128 + signal an ending by
a signal that the program did not catch. TERM and INT cancel the main task: the program may catch CancelledError and
tidy up; how long it is given is the kernel's to say, and KILL the end of it.

Must not be imported by the kernel. Takes the process over: nothing else may run in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from prytany.abi.errors import KernelError, ProcessExit
from prytany.abi.signals import Signal
from prytany.runtime.determinism import install
from prytany.runtime.drbg import seed_of
from prytany.runtime.loop import Disconnected, WorkerLoop
from prytany.runtime.ordered import install_ordering
from prytany.runtime.program import ended_by, exit_error, load_program, unsent

DISCONNECTED = 70  # how the worker itself ends when the kernel has gone first
ProcessFactory = Callable[[WorkerLoop, dict[str, Any]], Any]
Ending = tuple[int, Any, dict[str, Any] | None]
"""Status, result, error: what `process_exit` takes."""


_spare: WorkerLoop | None = None
"""Made before the fork; the first life takes it."""


def prepare() -> None:
    """Make, before a fork, what every worker that comes of it needs and can still share."""
    global _spare
    _spare = WorkerLoop()


def main(sock: socket.socket, make_process: ProcessFactory | None = None) -> int:
    """Run the program that the kernel names on `sock`, to its end.

    Args:
        sock: connected to the kernel, blocking.
        make_process: makes the program's `proc`; a test's way to do without userland.

    Returns:
        the status for the worker's own exit; the program's ending went to the kernel. The caller must leave by
        `os._exit`, so that nothing of the program runs later.
    """
    global _spare
    loop, _spare = _spare or WorkerLoop(), None
    loop.connect(sock)
    try:
        start = loop.take_start()
        stdout: Any = sys.stdout
        if not getattr(stdout, "line_buffering", True):
            stdout.reconfigure(line_buffering=True)  # a worker that dies has said what it printed
        sys.dont_write_bytecode = True  # its view of the disk is read-only
        epoch, seed = start.get("epoch", 0), start["seed"]
        reseed = install(
            now_ns=lambda: loop.now_ns, start_ns=lambda: loop.start_ns, seed=seed_of(seed, epoch, 0), pid=start["pid"]
        )

        def cut() -> None:
            reseed(seed_of(seed, epoch, loop.cut()))

        install_ordering()
        asyncio.set_event_loop(loop)
        ending = _run(
            loop, {**start, "cut": cut, "settle": partial(_end_tasks, loop)}, make_process or _userland_process
        )
        return _report(loop, ending)
    except Disconnected:
        return DISCONNECTED


def _userland_process(loop: WorkerLoop, start: dict[str, Any]) -> Any:
    # Late, so that a program that brings its own `proc` pays nothing for ours.
    from prytany.userland.comforts import Ambient
    from prytany.userland.process import Process

    def say(line: str) -> None:
        sys.stdout.write(line)
        sys.stdout.flush()

    return Process(loop.call, loop.stream, start, Ambient(lambda: loop.now_ns, say))


def _run(loop: WorkerLoop, start: dict[str, Any], make_process: ProcessFactory) -> Ending:
    """Load and run the program; every way to fail is an ending."""
    asked: list[int] = []
    try:
        program = load_program(start["program"], start.get("source"))
        coro = program(make_process(loop, start), *start.get("args", ()), **start.get("kwargs", {}))
        task = loop.create_task(coro, name="main")

        def stop(signum: int) -> None:
            asked.append(signum)
            task.cancel()

        for signum in (Signal.TERM, Signal.INT):
            loop.on_signal(signum, partial(stop, int(signum)))
        ending: Ending = (0, loop.run_until_complete(task), None)
    except Disconnected:
        raise
    except asyncio.CancelledError as error:
        # Who is ended from outside did not fail: there is no place in the program to be shown.
        ending = (128 + asked[-1], None, ended_by(asked[-1])) if asked else (1, None, exit_error(error))
    except BaseException as error:
        ending = _ending_of(error)
    try:
        loop.run_until_complete(_end_leftovers(loop))
    except Disconnected:
        raise
    except BaseException as error:  # a leftover task called sys.exit, or was killed
        ending = _ending_of(error)
    return ending


def _exit_in(error: BaseException) -> BaseException | None:
    """The first wish to exit in `error` or, at any depth, in its group."""
    if isinstance(error, (ProcessExit, SystemExit)):
        return error
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ()) if _is_group(error) else ()
    return next((found for one in inner if (found := _exit_in(one)) is not None), None)


def _is_group(error: BaseException) -> bool:
    return isinstance(error, BaseExceptionGroup)


def _ending_of(error: BaseException) -> Ending:
    """How a program ended that raised `error`."""
    asked = _exit_in(error)  # a TaskGroup wraps the exit of a task in it
    if asked is not None:
        error = asked
    if isinstance(error, ProcessExit):
        return (_status(error.status), None, None)
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return (_status(error.code or 0), None, None)
        return (1, None, exit_error(error))
    return (1, None, exit_error(error))


def _status(asked: int) -> int:
    """The status that stands in a byte, as an operating system has it; but what failed never looks like success."""
    return asked & 0xFF or int(asked != 0)


async def _end_leftovers(loop: WorkerLoop) -> None:
    """End everything of the program, as `asyncio.run` does."""
    await _end_tasks(loop)
    await loop.shutdown_asyncgens()


async def _end_tasks(loop: WorkerLoop) -> None:
    """Cancel what the program left running, and let it end."""
    own = asyncio.current_task()
    left = [task for task in asyncio.all_tasks(loop) if task is not own]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for task in left:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            context = {"message": "a task failed while the process ended", "exception": error, "task": task}
            loop.call_exception_handler(context)


def _report(loop: WorkerLoop, ending: Ending) -> int:
    """Tell the kernel, and wait until it has answered or closed: then the ending is durable."""
    error = ending[2]
    if error and error["traceback"]:  # whoever looks at its log finds why it failed
        with contextlib.suppress(Exception):  # what the program put in the place of stdout
            sys.stdout.write(error["traceback"])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()  # before the call: what is printed when its frame arrives counts as printed before it
    try:
        answer = loop.call("process_exit", ending)
    except KernelError as error:  # the result cannot be sent, or is too large
        answer = loop.call("process_exit", (1, None, unsent(error)))

    async def wait_answered() -> None:
        await asyncio.wait([answer])

    with contextlib.suppress(Disconnected):
        loop.run_until_complete(wait_answered())
        loop.flush()  # a replay may have answered before a frame was written
    return 0
