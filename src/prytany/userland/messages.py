"""Messages in hand; `proc.receive()` gives one, `proc.messages()` one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from prytany.userland.calls import Calls


class Received:
    """A message that this process was handed. It is its own until it is done; if it fails before, it comes again."""

    def __init__(self, calls: Calls, value: dict[str, Any]) -> None:
        self._calls = calls
        self.number: int = value["message"]
        self.sender: int = value["sender"]
        """The pid of who sent it; below 0 is the operator: -1 less the uid."""
        self.type: str = value["type"]
        self.body: Any = value["body"]
        """Plain data; of `Process.send` and `Process.call`, the fields by name."""
        self.attempt: int = value["attempt"]
        """From 1; more where the process failed at it before."""
        self.awaited: bool = value["awaited"]
        """Its sender waits for a reply."""
        self.answer: Any = None
        """What a loop over `proc.messages()` replies to it when it asks for the next."""
        self.finished = False
        """It was finished with, or rejected."""
        self.topic: str = value.get("topic", "")
        """Of an event, which `sender` published; "" where it is a message."""
        self.event: int = value.get("number", 0)
        """The number of the event in its scope, as `Process.publish` answered it; 0 where it is none."""
        self.published_ns: int = value.get("time_ns", 0)
        """When, nanoseconds since 1970."""

    async def reply(self, body: Any = None) -> bool:
        """Answer it, before it is done. False where nobody waits (any more)."""
        return await self._calls.message_reply(self.number, body)

    async def done(self, reply: Any = None) -> None:
        """Finish with it; a sender that still waits is answered with `reply`."""
        await self._calls.message_done(self.number, None, reply)
        self.finished = True

    async def reject(self, why: str) -> None:
        """Refuse it: a sender that waits gets EINVAL; without one it becomes a dead letter."""
        await self._calls.message_done(self.number, None, None, why)
        self.finished = True

    def __repr__(self) -> str:
        of = f" of {self.topic!r}" if self.topic else ""
        return f"Received({self.number}, from {self.sender}, {self.type!r}{of})"


class Messages:
    """The messages of a process, one after the other: each is finished with when the next is asked for, in one call.

    Its `answer` is the reply to it. One that was finished with or rejected in the loop is left as it is, and so is the
    last where the loop is left: it is in hand until it is done.
    """

    def __init__(
        self, calls: Calls, call: Callable[[str, tuple[Any, ...]], Awaitable[Any]], asked: tuple[Any, ...]
    ) -> None:
        """`asked` are the arguments of `message_receive`."""
        self._calls = calls
        self._call = call
        self._asked = asked
        self._last: Received | None = None

    def __aiter__(self) -> Messages:
        return self

    async def __anext__(self) -> Received:
        """The next. Raises Etimedout; the one before is done all the same."""
        last, self._last = self._last, None
        if last is None or last.finished:
            value = await self._call("message_receive", self._asked)
        else:
            last.finished = True
            value = await self._call("message_next", (last.number, last.answer, *self._asked))
        self._last = Received(self._calls, value)
        return self._last
