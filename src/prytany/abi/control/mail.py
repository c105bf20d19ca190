"""Mail, as an operator tells a kernel of it and is told: mailboxes, and dead letters."""

from __future__ import annotations

from typing import Any

import msgspec


class ListMailboxes(msgspec.Struct, array_like=True, frozen=True, tag="mail"):
    """At most ROWS_MAX mailboxes that hold anything, or held what is dead, by pid above `after`."""

    after: int = 0


class ListDead(msgspec.Struct, array_like=True, frozen=True, tag="mail dead"):
    """At most ROWS_MAX dead letters, by number above `after`."""

    after: int = 0


class ReadDead(msgspec.Struct, array_like=True, frozen=True, tag="mail read"):
    """One dead letter with its content."""

    number: int


class RetryDead(msgspec.Struct, array_like=True, frozen=True, tag="mail retry"):
    """Put a dead letter back into a mailbox, or all of them (0)."""

    number: int = 0


class DropDead(msgspec.Struct, array_like=True, frozen=True, tag="mail drop"):
    """Let go of a dead letter, or of all of them (0)."""

    number: int = 0


MailLook = ListMailboxes | ListDead
MailAct = ReadDead | RetryDead | DropDead
MailCommand = MailLook | MailAct


class BoxRow(msgspec.Struct, kw_only=True):
    """One mailbox."""

    pid: int
    name: str
    agent: str
    """`FLEET.AGENT`; "" where it is of no fleet."""
    run: int
    alive: bool
    waiting: int
    in_hand: int
    room: int
    """How many messages it holds."""
    line: int
    """Senders that wait for room."""
    oldest_ns: int
    """When the oldest message was sent that is not done; 0 where there is none."""
    receiving: int
    """Calls of its process that wait for a message."""
    dead: int
    now_ns: int


class TryRow(msgspec.Struct, kw_only=True):
    """One failure of a receiver that had the message in hand."""

    time_ns: int
    incarnation: int
    reason: str


class DeadRow(msgspec.Struct, kw_only=True):
    """One dead letter."""

    number: int
    type: str
    pid: int
    """Its receiver."""
    name: str
    agent: str
    run: int
    alive: bool
    """Its receiver goes on."""
    sender: int
    """A pid; below 0 is an operator: -1 less the uid."""
    reason: str
    """`attempts`: its receiver failed at it too often; `rejected`: it refused it; `ended`: it ended before it was done
    with it."""
    attempts: int
    tries: list[TryRow]
    """Of late."""
    sent_ns: int
    dead_ns: int
    now_ns: int


class DeadLetter(msgspec.Struct, kw_only=True):
    """One with its content."""

    row: DeadRow
    body: Any = None
    forgotten: bool = False
    """The content is not there any more."""


class MailFault(msgspec.Struct, kw_only=True):
    """A dead letter that stays one."""

    number: int
    errno: str
    text: str


class MailDone(msgspec.Struct, kw_only=True):
    """What became of dead letters."""

    done: list[int] = []
    failed: list[MailFault] = []
