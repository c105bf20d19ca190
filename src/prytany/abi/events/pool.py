"""Events of pools: agents that share a mailbox, and grow and shrink with it."""

from __future__ import annotations

import msgspec


class PoolDeclared(msgspec.Struct, array_like=True, frozen=True, tag="pool.declared/1"):
    """`pid`, a group, holds the messages of its children, which are `least` to `most` of one agent."""

    pid: int
    agent: str
    least: int
    most: int
    target: int
    """More than so many messages a member that wait, and it grows."""
    idle_ms: int
    """Without a message for so long, it shrinks."""


class PoolScaled(msgspec.Struct, array_like=True, frozen=True, tag="pool.scaled/1"):
    """It is to have so many members; `waiting` messages lay in it. `full`: it could not grow."""

    pid: int
    members: int
    waiting: int
    full: bool = False


class MessagePassed(msgspec.Struct, array_like=True, frozen=True, tag="message.passed/1"):
    """A message went over from one mailbox to another: from a pool to a member that waits, or back, in front."""

    number: int
    holder: int
    receiver: int
    front: bool = False


class MemberBusy(msgspec.Struct, array_like=True, frozen=True, tag="pool.member_busy/1"):
    """A member does not wait for a message any more, though it took none."""

    pid: int
