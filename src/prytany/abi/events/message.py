"""Events of messages. A message is numbered in its shard; none of these belongs to a record by itself."""

from __future__ import annotations

import msgspec

from prytany.abi.events.digest import Digest


class MessageSent(msgspec.Struct, array_like=True, frozen=True, tag="message.sent/1"):
    """A message lies in the mailbox of `receiver`. `body` is what the receiver will be handed, packed."""

    number: int
    sender: int
    receiver: int
    kind: str
    body: Digest
    call: int = 0
    """The sender's call that waits for a reply; 0 where none does. It was opened in the same entry."""


class MessageHeld(msgspec.Struct, array_like=True, frozen=True, tag="message.held/1"):
    """The mailbox of `receiver` has `room` for so many messages and is full, and the sender's call `n`, opened in the
    same entry, waits until it has some. Where a reply is `awaited`, that is what it waits for then."""

    number: int
    sender: int
    receiver: int
    kind: str
    body: Digest
    n: int
    awaited: bool
    room: int


class MessageAdmitted(msgspec.Struct, array_like=True, frozen=True, tag="message.admitted/1"):
    """A message that waited for room lies in the mailbox of `receiver`."""

    receiver: int
    number: int


class MessageAwaited(msgspec.Struct, array_like=True, frozen=True, tag="message.awaited/1"):
    """Nothing that call `n` of `receiver` would take lies in its mailbox: it waits. Where nothing is said, for any."""

    receiver: int
    n: int
    kinds: list[str] = []
    sender: int = 0
    fields: dict[str, bytes] = {}
    """What fields of the body have to be: keyed digests of their values, which name nothing stored."""


class MessageTaken(msgspec.Struct, array_like=True, frozen=True, tag="message.taken/1"):
    """The receiver was handed the message by its call `n`; from here on it is in hand, and the attempt counts."""

    receiver: int
    number: int
    n: int


class MessageReturned(msgspec.Struct, array_like=True, frozen=True, tag="message.returned/1"):
    """The receiver had cancelled the call that took it: it is first in the mailbox again, and the attempt does not
    count."""

    receiver: int
    number: int


class MessageDone(msgspec.Struct, array_like=True, frozen=True, tag="message.done/1"):
    """The activation of `number` is finished (0: of none) by call `n`. A `state` cuts the record of `pid` here."""

    pid: int
    number: int
    n: int
    state: Digest = b""


class MessageReplied(msgspec.Struct, array_like=True, frozen=True, tag="message.replied/1"):
    """What process `pid` said to an operator's message, or why it says nothing (`errno`)."""

    pid: int
    number: int
    errno: str
    reply: Digest


class MessageDead(msgspec.Struct, array_like=True, frozen=True, tag="message.dead/1"):
    """The message was put aside: `rejected` by its receiver, or tried too often (`attempts`)."""

    receiver: int
    number: int
    reason: str
