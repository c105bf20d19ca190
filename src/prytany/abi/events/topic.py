"""Events of topics. What is published is numbered in its scope, and is a message of one number to all its receivers.

Who gets it follows from who is subscribed; only those who cannot take it now are named.
"""

from __future__ import annotations

import msgspec

from prytany.abi.events.digest import Digest


class TopicPublished(msgspec.Struct, array_like=True, frozen=True, tag="topic.published/1"):
    """An event lies in the log of `scope`, and in the mailboxes of all who are subscribed to its topic.

    `body` is what each of them will be handed, packed, `message` its number as a message. `sender` is a pid, or the
    operator: -1 less the uid.
    """

    scope: str
    topic: str
    number: int
    message: int
    sender: int
    body: Digest
    size_bytes: int
    full: list[int] = []
    """Whose mailboxes are full: they fall behind, and get it from the log."""
    upto: int = 0
    """The log lets go of its events up to this one."""
    forgotten: str = ""
    """The topic of which nothing is known any more, to make room for this one."""


class TopicSubscribed(msgspec.Struct, array_like=True, frozen=True, tag="topic.subscribed/1"):
    """From here on `pid` gets what matches, and before it what the log has from number `since` on (0: nothing)."""

    pid: int
    scope: str
    pattern: str
    since: int = 0
    numbers: list[int] = []
    """Of those alone, where they are named."""


class TopicUnsubscribed(msgspec.Struct, array_like=True, frozen=True, tag="topic.unsubscribed/1"):
    """It gets no more by that pattern. What lies in its mailbox stays there."""

    pid: int
    pattern: str


class TopicRefilled(msgspec.Struct, array_like=True, frozen=True, tag="topic.refilled/1"):
    """Events of the log, by their numbers, lie in the mailbox of a subscriber that was behind."""

    pid: int
    numbers: list[int]
    next: int
    """The log was looked at up to before this number."""
    pattern: str = ""
    """Of what is replayed for it; "" where it catches up."""


class TopicMissed(msgspec.Struct, array_like=True, frozen=True, tag="topic.missed/1"):
    """A subscriber is told, by a message, of how many events the log let go before it had them."""

    pid: int
    message: int
    body: Digest


class TopicHanded(msgspec.Struct, array_like=True, frozen=True, tag="topic.handed/1"):
    """Receivers that waited, and in whose mailboxes something lay, were seen to: what they take is in the entry."""

    receivers: list[int]
