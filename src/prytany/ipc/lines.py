"""Lines: who waits for room in a full mailbox, first come first served.

A message that waits in a line is in no mailbox: its sender's call is open, and with that call it is let go. Whoever
has come to have room, or has ended, is `due` while anybody waits for it.

Invariant: whoever stands in a line is alive and has the call open that waits there.
"""

from __future__ import annotations

import msgspec

from prytany.ipc.letter import Message


class Line(msgspec.Struct, array_like=True):
    """Who waits for room in one mailbox, by the numbers of their messages, in the order in which they came."""

    room: int
    """How many messages the mailbox holds."""
    held: dict[int, Message] = {}
    calls: dict[int, int] = {}
    """The senders' calls that wait, by the same numbers."""
    gone: bool = False
    """The receiver has ended."""


class Lines(msgspec.Struct):
    """The lines of a shard, by receiver."""

    of: dict[int, Line] = {}
    senders: dict[int, dict[int, tuple[int, int]]] = {}
    """Who waits: sender and call, to the receiver and the number of the message."""
    due: dict[int, None] = {}
    """Receivers in whose lines somebody can go on."""

    def add(self, receiver: int, room: int, message: Message, n: int) -> None:
        """Call `n` of the message's sender waits, as the last."""
        line = self.of.get(receiver)
        if line is None:
            line = self.of[receiver] = Line(room)
        line.room = room
        line.held[message.number], line.calls[message.number] = message, n
        self.senders.setdefault(message.sender, {})[n] = receiver, message.number

    def take(self, receiver: int, number: int) -> Message:
        """A message leaves its line."""
        line = self.of[receiver]
        message, n = line.held.pop(number), line.calls.pop(number)
        waiting = self.senders[message.sender]
        del waiting[n]
        if not waiting:
            del self.senders[message.sender]
        if not line.held:
            del self.of[receiver]
            self.due.pop(receiver, None)
        return message

    def closed(self, sender: int, n: int) -> None:
        """A call has ended; whatever waited by it goes with it."""
        found = self.senders.get(sender, {}).get(n)
        if found is not None:
            self.take(*found)

    def sender_ended(self, sender: int) -> None:
        """All calls of a process have ended."""
        for receiver, number in list(self.senders.get(sender, {}).values()):
            self.take(receiver, number)

    def receiver_ended(self, receiver: int) -> None:
        """Nobody will take anything there any more."""
        line = self.of.get(receiver)
        if line is not None:
            line.gone = True
            self.due[receiver] = None

    def room(self, receiver: int, messages: int) -> None:
        """A mailbox that somebody waits for holds so many messages now."""
        line = self.of.get(receiver)
        if line is None or line.gone:
            return
        if messages < line.room:
            self.due[receiver] = None
        else:
            self.due.pop(receiver, None)
