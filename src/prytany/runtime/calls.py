"""What a worker's program holds while the kernel works on its call: a future, a stream, or a timer.

A cancellation is a call of its own and the kernel decides the race: until item `n` comes, the caller keeps waiting.
The kernel answers every call, cancelled or not, so nothing that waits for a cancellation (`wait_for`, `timeout`,
`TaskGroup`) can hang. If the result wins, whoever cancelled still sees CancelledError; the result is in the record,
and in `late`, so that a child whose spawn won the race can be ended.

Source: the rule that "a cancellation is a call, and the kernel decides the race" (docs, Replay).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from prytany.abi.errors import KernelError, error_of
from prytany.abi.wire import PIECE
from prytany.runtime.ordered import OrderedFuture


class Canceller(Protocol):
    """Who tells the kernel that a call is not wanted any more."""

    def cancel_call(self, n: int) -> None:
        """Call `n` may end."""
        ...


def error_in(errno: str, value: Any, call: str) -> KernelError:
    """The error that an item's value `[message, detail]` describes."""
    message, detail = value
    return error_of(errno, message, call=call, detail=detail)


class CallFuture(OrderedFuture[Any]):
    """One call in flight. `cancel()` asks the kernel and does not end it by itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop, kernel: Canceller, n: int, name: str) -> None:
        super().__init__(loop=loop)
        self.n = n
        self.name = name
        self.late: Any = None
        self._kernel = kernel
        self._cancel_asked = False
        self._cancel_message: Any = None

    def cancel(self, msg: Any | None = None) -> bool:
        """Ask the kernel to end the call; False if it has ended. A second request changes nothing."""
        if self.done():
            return False
        if not self._cancel_asked:
            self._cancel_asked, self._cancel_message = True, msg
            self._kernel.cancel_call(self.n)
        return True

    def answer(self, errno: str, value: Any) -> None:
        """Item `n` has come."""
        if self.done() or errno == PIECE:  # the program settled it by hand; or it asked for pieces and takes none
            return
        if self._cancel_asked:
            if not errno:
                self.late = value
            super().cancel(self._cancel_message)
        elif errno:
            self.set_exception(error_in(errno, value, self.name))
        else:
            self.set_result(value)


class CallStream:
    """A call that is answered in pieces: `async for piece in stream`, and `stream.value` when it has ended.

    One reader. A reader that is cancelled closes the stream; one that stops early should `await stream.aclose()`
    (nothing is sent when the stream is merely dropped: the collector's moment differs from run to run). What is not
    read waits here, bounded by what the kernel gives to one call.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, kernel: Canceller, n: int, name: str) -> None:
        self.n = n
        self.name = name
        self.value: Any = None
        self._loop = loop
        self._kernel = kernel
        self._pieces: deque[Any] = deque()
        self._error: KernelError | None = None
        self._ended = False
        self._reader: asyncio.Future[None] | None = None

    def __aiter__(self) -> CallStream:
        return self

    async def __anext__(self) -> Any:
        while not self._pieces:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._ended:
                raise StopAsyncIteration
            if self._reader is not None:
                raise RuntimeError("two readers of one stream")
            self._reader = self._loop.create_future()
            try:
                await self._reader
            except asyncio.CancelledError:
                self.close()
                raise
            finally:
                self._reader = None
        return self._pieces.popleft()

    def close(self) -> None:
        """Say that no more is wanted, without waiting; the pieces that still come are dropped."""
        if not self._ended:
            self._ended = True
            self._kernel.cancel_call(self.n)
        self._pieces.clear()

    async def aclose(self) -> None:
        """As `close`; for `contextlib.aclosing`."""
        self.close()

    def answer(self, errno: str, value: Any) -> None:
        """A piece or the end has come."""
        if self._ended:
            return
        if errno == PIECE:
            self._pieces.append(value)
        else:
            self._ended = True
            if errno:
                self._error = error_in(errno, value, self.name)
            else:
                self.value = value
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class CallTimer(asyncio.TimerHandle):
    """A timer that the kernel keeps."""

    def __init__(
        self,
        when: float,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: Any,
        due: Callable[[CallTimer], None],
    ) -> None:
        super().__init__(when, callback, args, loop, context)
        self.n = 0
        self._due = due

    def answer(self, errno: str, value: Any) -> None:
        """The moment has come. An error ends the timer too, early, rather than lose what waits for it."""
        self._due(self)
