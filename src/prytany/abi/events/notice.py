"""Events of notices: what people outside are to be told of, and what became of telling them."""

from __future__ import annotations

import msgspec

from prytany.abi.events.digest import Digest


class Subject(msgspec.Struct, array_like=True, frozen=True):
    """One thing that a notice is about: a process (0 for none), what of it, and the call's number where it is one's."""

    pid: int
    what: str
    n: int = 0
    agent: str = ""
    name: str = ""


class ChannelDeclared(msgspec.Struct, array_like=True, frozen=True, tag="channel.declared/1"):
    """A way to tell people of a fleet, at that place of its list, was brought, or brought again in another form. What
    the one before at that place could not deliver is for this one to deliver.

    `definition` is the digest of all that its driver needs, without secrets; `label` is for people.
    """

    fleet: int
    at: int
    label: str
    kinds: list[str]
    definition: Digest


class ChannelWithdrawn(msgspec.Struct, array_like=True, frozen=True, tag="channel.withdrawn/1"):
    """Nobody is told by it any more; with it goes what it had not delivered."""

    fleet: int
    at: int
    undelivered: int


class NoticeOpened(msgspec.Struct, array_like=True, frozen=True, tag="notice.opened/1"):
    """People are to be told, by one channel of a fleet, of `count` things of one kind that came up since `since_ns`.

    `about` names the first of them. Until `until_ns` that channel is told so many (`left`) more of that kind one by
    one, and the rest together. `id` is the same at each attempt, and no other notice's.
    """

    notice: int
    fleet: int
    at: int
    kind: str
    count: int
    since_ns: int
    about: list[Subject]
    id: str
    until_ns: int
    left: int


class NoticeDelivered(msgspec.Struct, array_like=True, frozen=True, tag="notice.delivered/1"):
    """It was taken. `said` is the digest of what the receiver said to it."""

    notice: int
    fleet: int
    at: int
    attempt: int
    said: Digest = b""


class NoticeMissed(msgspec.Struct, array_like=True, frozen=True, tag="notice.missed/1"):
    """An attempt failed. The next one is at `until_ns`; 0 says that it is given up."""

    notice: int
    fleet: int
    at: int
    attempt: int
    cause: str
    until_ns: int
    said: Digest = b""


class NoticeRetried(msgspec.Struct, array_like=True, frozen=True, tag="notice.retried/1"):
    """One that was given up, or waits, is tried again from the first attempt on."""

    notice: int
    fleet: int
    at: int


class NoticeDropped(msgspec.Struct, array_like=True, frozen=True, tag="notice.dropped/1"):
    """One that was not delivered is not tried any more: an operator saw to it."""

    notice: int
    fleet: int
    at: int


class AgentStormed(msgspec.Struct, array_like=True, frozen=True, tag="agent.stormed/1"):
    """Processes of an agent failed and were begun again so many times since `since_ns`, which is a storm. It is said
    once until `until_ns`."""

    fleet: int
    agent: str
    failures: int
    since_ns: int
    until_ns: int


class LimitNeared(msgspec.Struct, array_like=True, frozen=True, tag="limit.neared/1"):
    """What all share runs out: `what` (`disk`: bytes that are free), and how much there is."""

    what: str
    value: int
