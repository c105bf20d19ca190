"""A message as the state knows it, and what a call that waits for one asks for. Neither holds content."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, array_like=True):
    """One message. `call` is the sender's open call, opened by entry `seq`, that waits for the reply; 0 for none."""

    number: int
    sender: int
    kind: str
    body: bytes
    seq: int
    call: int = 0
    attempts: int = 0
    taken_by: int = 0
    """The receiver's call that took it."""
    reason: str = ""
    """Why it is dead."""


class Wanted(msgspec.Struct, array_like=True, frozen=True):
    """What a call that waits would take, where that is not any message."""

    kinds: list[str]
    sender: int
    fields: dict[str, bytes]
    """Digests of values, by the names of the body's fields."""

    def heads(self, kind: str, sender: int) -> bool:
        """Whether type and sender are asked for; whether the body is has to be looked up."""
        return (not self.kinds or kind in self.kinds) and self.sender in (0, sender)
