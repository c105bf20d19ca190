"""`Process`: a program's only way out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn

from prytany.abi.errors import ProcessExit
from prytany.userland.asking import Asking
from prytany.userland.calls import Calls
from prytany.userland.comforts import Ambient, Comforts
from prytany.userland.conversation import Conversation


class Exit:
    """How a child ended."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.pid: int = value["pid"]
        self.status: int = value["status"]
        self.signal: int = value["signal"]
        self.reason: str = value["reason"]
        self.result: Any = value["result"]
        self.error: dict[str, Any] | None = value["error"]

    @property
    def ok(self) -> bool:
        """Whether it ended with success."""
        return self.status == 0

    def __repr__(self) -> str:
        return f"Exit(pid={self.pid}, status={self.status}, reason={self.reason!r})"


class ChildFailed(Exception):
    """A child that was run for its result ended without one; `exit` says how."""

    def __init__(self, ended: Exit) -> None:
        said = f": {ended.error.get('message', '')}" if ended.error else ""
        super().__init__(f"process {ended.pid} {ended.reason}{said}")
        self.exit = ended


class Files:
    """The operator's files, on unveiled paths; `proc.files`."""

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


class Process(Asking, Comforts):
    """A running program's view of itself and of everything else."""

    def __init__(
        self,
        call: Callable[[str, tuple[Any, ...]], Awaitable[Any]],
        stream: Any,
        start: Mapping[str, Any],
        ambient: Ambient,
    ) -> None:
        self.calls = Calls(call)
        self._settle_in(start, ambient)
        self._stream = stream
        self.files = Files(self.calls)
        self.pid: int = start["pid"]
        self.parent: int = start.get("parent", 0)
        self.name: str = start.get("name", "")
        self.pledged: tuple[str, ...] = tuple(start.get("pledge", ()))

    def conversation(self, system: str = "", labels: Sequence[str] = ()) -> Conversation:
        """A conversation that the kernel keeps: the model is asked all of it at each turn. Opened at its first use.

        Args:
            system: an instruction that it begins with.
            labels: of all that is said in it; they are part of its hashes.
        """
        return Conversation(self.calls, self._stream, system, labels)

    async def spawn(
        self, program: Callable[..., Any] | str, *args: Any, name: str = "", pledge: str | None = None, **kwargs: Any
    ) -> int:
        """Start a child and answer its pid; it runs when there is a place for it.

        Args:
            program: a function of the same file, or `file.py:function`.
            args: its positional arguments; plain data.
            name: shown to people.
            pledge: narrower than what it declares; never more than the caller's own.
            kwargs: its keyword arguments; plain data.
        """
        target = program if isinstance(program, str) else f":{program.__qualname__}"
        return await self.calls.process_spawn(
            target, list(args), kwargs, name, None if pledge is None else pledge.split()
        )

    async def wait(self, pid: int) -> Exit:
        """Wait until a child has ended, and reap it. Raises Echild."""
        return Exit(await self.calls.process_wait(pid))

    async def run(self, program: Callable[..., Any] | str, *args: Any, name: str = "", **kwargs: Any) -> Any:
        """Spawn a child, wait for it, and answer its result. Raises ChildFailed when it ended without one."""
        ended = await self.wait(await self.spawn(program, *args, name=name, **kwargs))
        if not ended.ok:
            raise ChildFailed(ended)
        return ended.result

    async def kill(self, pid: int, signal: int = 15) -> None:
        """Send a signal to a descendant; TERM by default. Raises Esrch, Eperm."""
        await self.calls.process_signal(pid, signal)

    async def nop(self, data: bytes = b"") -> None:
        """Nothing, durably."""
        await self.calls.nop(data)

    def exit(self, status: int = 0) -> NoReturn:
        """End this process."""
        raise ProcessExit(status)
