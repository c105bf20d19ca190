"""Events for programs: `proc.publish`, `proc.subscribe`, and `@on` for the handlers of a `Server`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from prytany.abi.errors import Einval
from prytany.abi.topics import check_pattern
from prytany.userland.calls import Calls

F = TypeVar("F", bound=Callable[..., Any])
Since = int | str | datetime | None
MARK = "__prytany_on__"
MISSED = "missed"
"""The type of the message that says how many events this process did not get."""


def on(*patterns: str) -> Callable[[F], F]:
    """Make a method of a `Server` the handler of events whose topics match; the server is subscribed to them.

    It names what it wants: `topic`, `number`, `body`; any other parameter is a field of the event, by its name.

    Args:
        patterns: topics, `prices.eurusd`, or patterns of them, `prices.*`, `orders.>`.

    Raises:
        Einval: one of them is no pattern.
    """
    for pattern in patterns:
        check_pattern(pattern)

    def marked(method: F) -> F:
        setattr(method, MARK, patterns)
        return method

    return marked


class Topics:
    """A part of `Process`."""

    calls: Calls

    async def publish(self, topic: str, /, **fields: Any) -> int:
        """Publish an event: all who are subscribed to its topic get it, in this fleet, or else in this run. It waits
        for nobody. Answers its number. Raises Einval for what is no topic."""
        return await self.calls.topic_publish(topic, fields)

    async def subscribe(self, pattern: str, *, since: Since = None) -> dict[str, int]:
        """Have every event whose topic matches put into the mailbox, from now on until this process ends.

        Args:
            pattern: a topic, `prices.eurusd`; `*` in it stands for any one token, `>` at its end for all further ones.
            since: what was published before comes first: from a number or a time on, from the `"start"` of the log, or
                the `"last"` event of each topic.

        Returns:
            `number` of the last event before, `first` of the oldest one that the log still has, and how many of those
            asked for are `gone` from it.

        Raises:
            Einval: that is no pattern, or nothing to begin with.
            Eagain: there are too many subscriptions.
        """
        return await self.calls.topic_subscribe(pattern, _since(since))

    async def unsubscribe(self, pattern: str) -> bool:
        """End a subscription; what lies in the mailbox stays there. False where there was none."""
        return await self.calls.topic_unsubscribe(pattern)


def _since(since: Since) -> Any:
    if not isinstance(since, datetime):
        return since
    if since.tzinfo is None:
        raise Einval("a time has to say its time zone: datetime.now(UTC), say", call="topic_subscribe")
    passed = since.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return {"time_ns": (passed.days * 86_400 + passed.seconds) * 1_000_000_000 + passed.microseconds * 1_000}


def pattern_of(method: Any) -> tuple[str, ...]:
    """What a method was marked with."""
    found: tuple[str, ...] = getattr(method, MARK, ())
    return found


def marked_in(cls: Any) -> list[Any]:
    """The methods of a class that handle events, its own before those that it inherits."""
    found: dict[str, Any] = {}
    kinds: tuple[type, ...] = cls.__mro__
    for one in kinds:
        for name in vars(one):
            found.setdefault(name, getattr(cls, name))
    return [method for method in found.values() if pattern_of(method)]


def patterns_of(cls: type) -> list[str]:
    """What a server is subscribed to from its start."""
    return list({pattern: None for method in marked_in(cls) for pattern in pattern_of(method)})
