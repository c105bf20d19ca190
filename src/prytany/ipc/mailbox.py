"""Mailboxes: a fold of the journal's message events.

    sent ─▶ waiting ─▶ in hand ─▶ done
               ▲          │
               └─ failed ─┴─▶ dead          the attempts are counted

One queue a receiver, in the order of the journal, so that the messages of each sender keep theirs. It is bounded:
whoever decides that a message is sent looks at `Mailbox.messages` first; who waits for room stands in a line. A message
holds no content, only its digest and the entry that it lies in.

Invariant: no message waits, in a mailbox or in the line before it, that a waiting call of the receiver would take.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import KernelPanic
from prytany.ipc.letter import Message, Wanted
from prytany.ipc.lines import Lines


class Mailbox(msgspec.Struct):
    """The messages of one process, oldest first."""

    waiting: dict[int, Message] = {}
    in_hand: dict[int, Message] = {}
    dead: dict[int, Message] = {}
    awaiting: int = 0
    """The call that waited for any message last; it still does if the process has it open."""

    @property
    def messages(self) -> int:
        """How many lie in it; those that were put aside are not counted."""
        return len(self.waiting) + len(self.in_hand)

    @property
    def room(self) -> int:
        """How many more messages are taken."""
        return max(0, limits.MAILBOX_MESSAGES_MAX - len(self.waiting) - len(self.in_hand))

    @property
    def full(self) -> bool:
        """No further message is taken."""
        return self.messages >= limits.MAILBOX_MESSAGES_MAX

    def give_back(self) -> None:
        """What is in hand goes in front of what waits."""
        if self.in_hand:
            self.waiting = {**self.in_hand, **self.waiting}
            self.in_hand = {}

    def bury(self, message: Message, reason: str) -> None:
        """Put a message aside, and let go of the oldest beyond the bound."""
        message.reason = reason
        self.dead[message.number] = message
        if len(self.dead) > limits.DEAD_LETTERS_MAX:
            del self.dead[next(iter(self.dead))]


_EMPTY = Mailbox()


class Post(msgspec.Struct):
    """The mailboxes of a shard, by pid: only of those that were ever sent or waited for anything."""

    boxes: dict[int, Mailbox] = {}
    next_number: int = 1
    choosy: dict[int, dict[int, Wanted]] = {}
    """By receiver, its calls that wait and would not take any message, the oldest first."""
    lines: Lines = msgspec.field(default_factory=Lines)
    """Who waits for room."""

    def box(self, pid: int) -> Mailbox:
        """The mailbox of `pid`, to look at; an empty one where there is none yet."""
        return self.boxes.get(pid, _EMPTY)

    def own(self, pid: int) -> Mailbox:
        """The mailbox of `pid`, to fold into."""
        box = self.boxes.get(pid)
        if box is None:
            box = self.boxes[pid] = Mailbox()
        return box

    def closed(self, pid: int, n: int) -> None:
        """A call of a process has ended."""
        waiting = self.choosy.get(pid)
        if waiting is not None and waiting.pop(n, None) is not None and not waiting:
            del self.choosy[pid]
        if self.lines.of:
            self.lines.closed(pid, n)

    def left(self, pid: int, box: Mailbox) -> None:
        """A message has left a mailbox: whoever waits for room there may go on."""
        if self.lines.of:
            self.lines.room(pid, box.messages)

    def passed(self, number: int, holder: int, receiver: int, *, front: bool) -> None:
        """A message goes over to another mailbox, behind what waits there, or in front of it."""
        own, box = self.own(holder), self.own(receiver)
        message = own.waiting.pop(number, None) or own.in_hand.pop(number)
        box.waiting = {number: message, **box.waiting} if front else {**box.waiting, number: message}
        self.left(holder, own)

    def deliver(self, pid: int, message: Message) -> None:
        """Put a message that others have as well behind what waits for `pid`."""
        self.own(pid).waiting[message.number] = message


def _sent(post: Post, seq: int, e: ev.MessageSent) -> None:
    post.own(e.receiver).waiting[e.number] = Message(e.number, e.sender, e.kind, e.body, seq, e.call)
    post.next_number = e.number + 1


def _held(post: Post, seq: int, e: ev.MessageHeld) -> None:
    message = Message(e.number, e.sender, e.kind, e.body, seq, e.n if e.awaited else 0)
    post.lines.add(e.receiver, e.room, message, e.n)
    post.next_number = e.number + 1


def _admitted(post: Post, seq: int, e: ev.MessageAdmitted) -> None:
    box = post.own(e.receiver)
    box.waiting[e.number] = post.lines.take(e.receiver, e.number)
    post.lines.room(e.receiver, box.messages)


def _awaited(post: Post, seq: int, e: ev.MessageAwaited) -> None:
    if e.kinds or e.sender or e.fields:
        post.choosy.setdefault(e.receiver, {})[e.n] = Wanted(e.kinds, e.sender, e.fields)
    else:
        post.own(e.receiver).awaiting = e.n


def _taken(post: Post, seq: int, e: ev.MessageTaken) -> None:
    box = post.own(e.receiver)
    message = box.waiting.pop(e.number, None)
    if message is None:
        raise KernelPanic(f"message {e.number} was taken by process {e.receiver} and did not wait for it")
    message.attempts += 1
    message.taken_by = e.n
    box.in_hand[e.number] = message


def _returned(post: Post, seq: int, e: ev.MessageReturned) -> None:
    box = post.own(e.receiver)
    message = box.in_hand.pop(e.number)
    message.attempts -= 1
    box.waiting = {e.number: message, **box.waiting}


def _done(post: Post, seq: int, e: ev.MessageDone) -> None:
    if e.number:
        box = post.own(e.pid)
        box.in_hand.pop(e.number, None)
        post.left(e.pid, box)


def _dead(post: Post, seq: int, e: ev.MessageDead) -> None:
    box = post.own(e.receiver)
    message = box.in_hand.pop(e.number, None) or box.waiting.pop(e.number)
    box.bury(message, e.reason)
    post.left(e.receiver, box)


def _begins_again(
    post: Post,
    seq: int,
    e: ev.ProcessFailed
    | ev.ProcessCycled
    | ev.ProcessExeced
    | ev.ProcessUpgraded
    | ev.ProcessReverted
    | ev.ProcessHandedOff,
) -> None:
    # Whoever runs next knows nothing of what was in hand.
    post.choosy.pop(e.pid, None)
    post.lines.sender_ended(e.pid)
    box = post.boxes.get(e.pid)
    if box is not None:
        box.give_back()
        box.awaiting = 0


def _handed_off(post: Post, seq: int, e: ev.ProcessHandedOff) -> None:
    # The next agent is handed what is in hand as if nobody had tried it: nobody failed at it.
    for message in post.box(e.pid).in_hand.values():
        message.attempts -= 1
    _begins_again(post, seq, e)


def _exited(post: Post, seq: int, e: ev.ProcessExited) -> None:
    post.choosy.pop(e.pid, None)
    post.lines.sender_ended(e.pid)
    post.lines.receiver_ended(e.pid)
    box = post.boxes.get(e.pid)
    if box is not None:
        box.give_back()
        for message in box.waiting.values():
            box.bury(message, "ended")
        box.waiting, box.awaiting = {}, 0


def _reaped(post: Post, seq: int, e: ev.ProcessReaped) -> None:
    post.boxes.pop(e.pid, None)


FOLDS: dict[type, Callable[[Post, int, ev.Event], None]] = {
    ev.MessageSent: _sent,  # type: ignore[dict-item]
    ev.MessageHeld: _held,  # type: ignore[dict-item]
    ev.MessageAdmitted: _admitted,  # type: ignore[dict-item]
    ev.MessageAwaited: _awaited,  # type: ignore[dict-item]
    ev.MessageTaken: _taken,  # type: ignore[dict-item]
    ev.MessageReturned: _returned,  # type: ignore[dict-item]
    ev.MessageDone: _done,  # type: ignore[dict-item]
    ev.MessageDead: _dead,  # type: ignore[dict-item]
    ev.ProcessFailed: _begins_again,  # type: ignore[dict-item]
    ev.ProcessCycled: _begins_again,  # type: ignore[dict-item]
    ev.ProcessExeced: _begins_again,  # type: ignore[dict-item]
    ev.ProcessUpgraded: _begins_again,  # type: ignore[dict-item]
    ev.ProcessReverted: _begins_again,  # type: ignore[dict-item]
    ev.ProcessHandedOff: _handed_off,  # type: ignore[dict-item]
    ev.ProcessExited: _exited,  # type: ignore[dict-item]
    ev.ProcessReaped: _reaped,  # type: ignore[dict-item]
}
"""What this room folds; nothing else reaches it."""
