"""`Process`: a program's only way out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, NoReturn, cast

import msgspec

from prytany.abi.errors import Echild, Esrch, ProcessExit
from prytany.userland.asking import Asking
from prytany.userland.calls import Calls
from prytany.userland.comforts import Ambient, Comforts
from prytany.userland.conversation import Conversation
from prytany.userland.handing import Handed, Handing
from prytany.userland.history import History
from prytany.userland.locking import Locking
from prytany.userland.messages import Messages, Received
from prytany.userland.piping import NO_ENDS, Pipe, Piping, ends_of
from prytany.userland.shared import Shared
from prytany.userland.supervising import Supervising
from prytany.userland.tools import Tools
from prytany.userland.topics import Topics

Fields = Mapping[str, str | int | float | bool | None]
NO_FIELDS: Final[Fields] = MappingProxyType({})

NOT_SAID = ("", -1, 0)
"""Of how a child is supervised."""
TIDY_S = 5.0
"""How long a child of a cancelled `run` may tidy up."""


class Exit:
    """How a child ended; `Process.wait` gives it."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.pid: int = value["pid"]
        self.status: int = value["status"]
        """0 is success; 128 and the signal's number where a signal ended it."""
        self.signal: int = value["signal"]
        """The signal that ended it, or 0."""
        self.reason: str = value["reason"]
        """For people: `returned`, `raised ValueError`."""
        self.result: Any = value["result"]
        """What it returned, as plain data."""
        self.error: dict[str, Any] | None = value["error"]
        """`type`, `message` and `traceback`, where it raised."""

    @property
    def ok(self) -> bool:
        """Whether it ended with success."""
        return self.status == 0

    def __repr__(self) -> str:
        return f"Exit(pid={self.pid}, status={self.status}, reason={self.reason!r})"


class ChildFailed(Exception):
    """A child that was run for its result ended without one; its `exit` says how."""

    def __init__(self, ended: Exit) -> None:
        said = f": {ended.error.get('message', '')}" if ended.error else ""
        super().__init__(f"process {ended.pid} {ended.reason}{said}")
        self.exit = ended


class Files:
    """The operator's files; `proc.files`. Paths are those that the run was unveiled, such as its `input`, and below."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def read(self, path: str) -> str:
        """A whole file as text; bytes that are no UTF-8 come as U+FFFD. Raises Enoent, Eacces, Einval."""
        return (await self._calls.file_read(path)).decode("utf-8", "replace")

    async def read_bytes(self, path: str) -> bytes:
        """A whole file. Raises Enoent, Eacces, Einval."""
        return await self._calls.file_read(path)

    async def write(self, path: str, content: str | bytes) -> int:
        """Put a whole file in place at once; its size in bytes. Raises Enoent, Eacces, Enospc."""
        return await self._calls.file_write(path, content.encode() if isinstance(content, str) else content)

    async def list(self, path: str) -> list[str]:
        """The names in a folder, sorted; a folder's ends in `/`. Raises Enoent, Eacces."""
        return await self._calls.file_list(path)


def _receiving(timeout_ms: int, type: str | Sequence[str], sender: int, fields: Fields) -> tuple[Any, ...]:
    chosen = ([type] if isinstance(type, str) else list(type) or None, sender, dict(fields))
    # What is not said is not recorded: journals of before have calls without it.
    return (timeout_ms, *chosen) if any(chosen) else (timeout_ms,)


class Process(Asking, Comforts, Handing, Locking, Piping, Supervising, Topics):
    """A running program's view of itself, and its only way to anything else. It is the program's first argument.

    Whatever is awaited of it is a system call: recorded, and answered when the record is durable. A call of a class
    that the program did not pledge raises Eperm; every other error is a subclass of `KernelError` as well.
    """

    def __init__(
        self,
        call: Callable[[str, tuple[Any, ...]], Awaitable[Any]],
        stream: Any,
        start: Mapping[str, Any],
        ambient: Ambient,
    ) -> None:
        self._call = call
        self.calls = Calls(call)
        """The system calls as they are; the methods here are made of them."""
        self._settle_in(start, ambient)
        self._stream = stream
        self._join(start)
        self.files = Files(self.calls)
        self.history = History(start)
        self.tools = Tools(self.calls)
        self.shared = Shared(self.calls)
        self.pid: int = start["pid"]
        self.parent: int = start.get("parent", 0)
        """0 where the operator started it."""
        self.name: str = start.get("name", "")
        self.pledged: tuple[str, ...] = tuple(start.get("pledge", ()))
        """What it may do: its declaration, narrowed by its parent."""
        handed: Mapping[str, Any] | None = start.get("handed")
        self.handed = None if handed is None else Handed(handed, lambda number: self.conversation(number=number))

    def conversation(self, system: str = "", labels: Sequence[str] = (), *, number: int = 0) -> Conversation:
        """A conversation that the kernel keeps: the model is asked all of it at each turn. Opened at its first use.

        Args:
            system: an instruction that it begins with.
            labels: of all that is said in it; they are part of its hashes.
            number: of one that this process has open, to go on with after a cut of its record; 0 opens a new one.
        """
        talk = Conversation(self.calls, self._stream, system, labels)
        talk.number = number
        return talk

    @property
    def state(self) -> Any:
        """What this program went on with by `exec`, or None at its first start."""
        packed = self.history.state
        return None if packed is None else msgspec.msgpack.decode(packed)

    async def exec(self, state: Any) -> NoReturn:
        """Begin this program again with `proc.state` and an empty record: same pid, mailbox and contexts. What is in
        flight is cancelled; messages in hand come back. Raises TypeError when `state` is no plain data."""
        await self.calls.process_exec(msgspec.msgpack.encode(state))
        raise AssertionError("exec has no answer")

    async def send(self, to: int | str, type: str, /, *, wait: bool = False, wait_ms: int = 0, **fields: Any) -> int:
        """Put a message into a mailbox, and answer its number.

        Args:
            to: the receiver's pid or name, or its agent's: in this run, or else in this fleet.
            type: what the receiver chooses its handler by.
            wait: where the mailbox is full, wait until there is room: first come first served.
            wait_ms: the same, for so long at most.
            fields: the body.

        Raises:
            Esrch: there is nobody of that pid or name; `error.detail["near"]` are names that there are.
            Einval: several are called so; `error.detail["pids"]` are they.
            Eperm: it is of another run and not of this fleet, or receives nothing.
            Eagain: its mailbox is full; or too many wait for room.
            Etimedout: there was no room within `wait_ms`.
        """
        args = (to, type, fields)
        # What is not said is not recorded: journals of before have calls without it.
        return cast("int", await self._call("message_send", (*args, wait_ms or -1) if wait or wait_ms else args))

    async def call(self, to: int | str, type: str, /, *, timeout_ms: int = 0, wait: bool = False, **fields: Any) -> Any:
        """Send a message and wait for the reply to it; with `wait`, also for room in a full mailbox.

        Raises:
            Einval: the receiver takes no such message; or as `send`.
            Epipe: it ended, or failed at the message too often.
            Etimedout: `timeout_ms` passed first (0 is for ever).
            Esrch, Eperm, Eagain: as `send`.
        """
        args = (to, type, fields, timeout_ms)
        return await self._call("message_call", (*args, 1) if wait else args)

    async def receive(
        self, timeout_ms: int = 0, *, type: str | Sequence[str] = (), sender: int = 0, fields: Fields = NO_FIELDS
    ) -> Received:
        """The oldest message that is asked for, when there is one; it stays in hand until it is done or rejected.

        Args:
            timeout_ms: how long to wait; 0 is for ever.
            type: its type, or several; none is any.
            sender: who sent it; 0 is anybody.
            fields: what fields of its body have to be: text, numbers, truths or None.

        Raises:
            Etimedout: none came in time.
            Ebusy: another call of this program waits for any message.
        """
        args = _receiving(timeout_ms, type, sender, fields)
        return Received(self.calls, await self._call("message_receive", args))

    def messages(
        self, timeout_ms: int = 0, *, type: str | Sequence[str] = (), sender: int = 0, fields: Fields = NO_FIELDS
    ) -> Messages:
        """Messages in a loop: `async for message in proc.messages(): message.answer = …`. Each is done when the next is
        asked for, at half the price of `receive` and `done`. Arguments and errors are those of `receive`."""
        return Messages(self.calls, self._call, _receiving(timeout_ms, type, sender, fields))

    async def spawn(
        self, program: Callable[..., Any] | str, *args: Any, name: str = "", pledge: str | None = None,
        restarts: int = 0, tools: list[str] | None = None, qos: str = "", weight: int = 0,
        budget: dict[str, Any] | None = None, restart: str = "", shutdown_ms: int = -1, progress_ms: int = 0,
        stdin: Pipe | None = None, stdout: Pipe | None = None, **kwargs: Any,
    ) -> int:  # fmt: skip
        """Start a child and answer its pid; it runs when there is a place for it.

        Args:
            program: a function or a `Server` of the same file, or `file.py:function`.
            args: its positional arguments; plain data.
            name: shown to people.
            pledge: narrower than what it declares; never more than the caller's own.
            restarts: how many times the kernel restarts it when it fails.
            tools: narrower than the caller's own; an empty list is none.
            qos: its class of service, never above the caller's: interactive, initiated, utility or background.
            weight: its share beside others of its class, never above the caller's.
            budget: what it and all below it may take: `{"tokens": 10_000, "usd": 0.5, "calls": 20, "wall_s": 60}`, and
                `processor_s`; the first three within a minute too, in `per_minute`.
            restart: this process supervises it, as `supervise` says: `permanent` is begun again however it ends,
                `transient` when it fails, `temporary` never.
            shutdown_ms: of such a child, what it has between TERM and KILL when it is ended; 5,000, where not said.
            progress_ms: it fails when it does nothing of its own for so long, unless the kernel makes it wait.
            stdin: a pipe that it reads as its standard input.
            stdout: a pipe that it writes as its standard output.
            kwargs: its keyword arguments; plain data.

        Raises:
            Enoent: there is no such program.
            Eperm: it would have more than its parent, or `proc` is not pledged.
            Eagain: there are too many processes, or children of this one; or this one is being ended.
        """
        has = (name, None if pledge is None else pledge.split(), restarts, tools)
        return await self._spawning(
            program,
            args,
            kwargs,
            has,
            (qos, weight, budget),
            (restart, shutdown_ms, progress_ms),
            ends_of(stdin, stdout),
        )

    def _spawning(
        self, program: Callable[..., Any] | str, args: Sequence[Any], kwargs: Mapping[str, Any],
        has: tuple[object, ...], takes: tuple[object, ...], kept: tuple[object, ...] = NOT_SAID,
        ends: Mapping[str, int] = NO_ENDS,
    ) -> Awaitable[int]:  # fmt: skip
        target = program if isinstance(program, str) else f":{program.__qualname__}"
        # What is not said is not recorded: journals of before have calls without it.
        said = (*takes, *kept) if ends or kept != NOT_SAID else takes if any(takes) else ()
        return self._call("process_spawn", (target, list(args), kwargs, *has, *said, *([dict(ends)] if ends else ())))

    async def wait(self, pid: int) -> Exit:
        """Wait until a child has ended, and take it off the table. Raises Echild where there is none, or no more."""
        return Exit(await self.calls.process_wait(pid))

    async def run(
        self, program: Callable[..., Any] | str, *args: Any, name: str = "", pledge: str | None = None,
        restarts: int = 0, tools: list[str] | None = None, qos: str = "", weight: int = 0,
        budget: dict[str, Any] | None = None, stdin: Pipe | None = None, stdout: Pipe | None = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Spawn a child, wait for it, and answer its result. What is not said here is as for `spawn`.

        Whoever cancels this, a time limit for one, ends the child, since nobody else knows of it: it gets TERM, has
        `TIDY_S` seconds to tidy up, and then KILL. What a child started otherwise than by `run` lives on.

        Raises:
            ChildFailed: it ended without one.
        """
        has = (name, None if pledge is None else pledge.split(), restarts, tools)
        pid, spawning = (
            0,
            self._spawning(program, args, kwargs, has, (qos, weight, budget), NOT_SAID, ends_of(stdin, stdout)),
        )
        try:
            pid = await spawning
            ended = await self.wait(pid)
        except asyncio.CancelledError:
            if pid := pid or getattr(spawning, "late", 0) or 0:  # it was spawned, whoever cancelled that
                await self._end(pid)
            raise
        if not ended.ok:
            raise ChildFailed(ended)
        return ended.result

    async def _end(self, pid: int) -> None:
        """End a child and take it off the table, unless both is done."""
        with suppress(Echild):
            with suppress(Esrch):
                await self.kill(pid)
            try:
                async with asyncio.timeout(TIDY_S):
                    await self.wait(pid)
            except TimeoutError:
                with suppress(Esrch):
                    await self.kill(pid, 9)
                await self.wait(pid)

    async def kill(self, pid: int, signal: int = 15) -> None:
        """Signal a child, or a child's child: by TERM, which lets it tidy up; 9 does not. Raises Esrch, Eperm."""
        await self.calls.process_signal(pid, signal)

    async def nop(self, data: bytes = b"") -> None:
        """Nothing, durably."""
        await self.calls.nop(data)

    def exit(self, status: int = 0) -> NoReturn:
        """End this process with a status from 0 to 255, and no result. A program ends with a result by returning it."""
        raise ProcessExit(status)
