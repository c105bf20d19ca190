"""`proc.lock`, `proc.locks`, `proc.semaphore`: what one process at a time has, or so many."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from prytany.abi.errors import Einval
from prytany.userland.calls import Calls


class Lock:
    """What is had within `async with`; made by `Process.lock` and its like.

    It can be entered again when it has been left. It is the process's that acquired it: its end, a failure, `exec` and
    an upgrade release it.
    """

    def __init__(
        self, calls: Calls, names: Sequence[str], shared: Sequence[str] = (), permits: int = 0, timeout_ms: int = 0
    ) -> None:
        self._calls = calls
        self._asked = list(names), list(shared), permits, timeout_ms
        self.fence = 0
        """The number of the grant, above that of every grant before; 0 while it is not had. What is guarded outside can
        refuse a number that is below one it has seen."""

    async def acquire(self) -> int:
        """Wait until all of it is the caller's; the number of the grant.

        Raises:
            Etimedout: the time limit passed first.
            Edeadlk: nobody of those that wait for each other could have gone on.
            Eagain: the process has too many, or too many wait.
            Einval: it is acquired already by this object; a name or a number is wrong.
        """
        if self.fence:
            raise Einval("this object has its lock already; another can wait for it", call="lock_acquire")
        names, shared, permits, timeout_ms = self._asked
        self.fence = await self._calls.lock_acquire(names, shared, permits, timeout_ms)
        return self.fence

    async def release(self) -> bool:
        """Let go of it; False where it was lost before, since an operator broke it."""
        fence, self.fence = self.fence, 0
        return bool(fence) and await self._calls.lock_release(fence)

    async def __aenter__(self) -> Lock:
        await self.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()


class Locking:
    """The part of `Process` that locks."""

    calls: Calls

    def lock(self, name: str, *, shared: bool = False, timeout_ms: int = 0) -> Lock:
        """A lock by name, for `async with`: of this process alone, or `shared` with others that share it.

        Who comes first has it first, and whoever shares waits behind one who wants it alone and came before. It is not
        reentrant: acquiring it again waits, as a second task of the program may, and is Edeadlk where none can go on.

        Args:
            name: known to all processes of the fleet, or else of the run.
            shared: read and not write, by the usual names.
            timeout_ms: how long to wait; 0 is for ever.
        """
        return Lock(self.calls, [] if shared else [name], [name] if shared else [], 0, timeout_ms)

    def locks(self, *names: str, shared: Sequence[str] = (), timeout_ms: int = 0) -> Lock:
        """Several at once, all or nothing: who takes all that it needs so is in no deadlock by them."""
        return Lock(self.calls, names, shared, 0, timeout_ms)

    def semaphore(self, name: str, permits: int, *, timeout_ms: int = 0) -> Lock:
        """One of `permits` permits of that name. The first who uses it says how many; another number is Einval."""
        if permits < 1:
            raise Einval("a semaphore has at least one permit", call="lock_acquire")
        return Lock(self.calls, [name], [], permits, timeout_ms)
