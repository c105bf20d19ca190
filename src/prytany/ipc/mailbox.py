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

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import KernelPanic
from prytany.ipc.letter import Left, Message, Try, Wanted
from prytany.ipc.lines import Lines


class Mailbox(msgspec.Struct):
    """The messages of one process, oldest first."""

    waiting: dict[int, Message] = {}
    in_hand: dict[int, Message] = {}
    dead: dict[int, Message] = {}
    awaiting: int = 0
    """The call that waited for any message last; it still does if the process has it open."""
    run: int = 0
    """Of a receiver that has ended, as what follows."""
    name: str = ""
    fleet: int = 0

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

    def failed(self, tried: Try) -> None:
        """Whoever had messages in hand has failed."""
        for message in self.in_hand.values():
            message.tries = [*message.tries, tried][-limits.TRIES_KEPT :]

    def bury(self, message: Message, reason: str, now_ns: int) -> int:
        """Put a message aside, and let go of the oldest beyond the bound; how many that were."""
        message.reason, message.dead_ns = reason, now_ns
        self.dead[message.number] = message
        return _let_go(self.dead, limits.DEAD_LETTERS_MAX)


def _let_go(letters: dict[Any, Any], most: int) -> int:
    beyond = max(0, len(letters) - most)
    for _ in range(beyond):
        del letters[next(iter(letters))]
    return beyond


class At(NamedTuple):
    """When something happens to a process, and what it is: the mailboxes know nothing of processes by themselves."""

    time_ns: int
    run: int = 0
    name: str = ""
    fleet: int = 0
    incarnation: int = 0


class Grave(NamedTuple):
    """Where a dead letter lies: with a process, or with a run (else 0); and what its receiver was, where it has
    ended."""

    pid: int
    left: int
    run: int
    name: str
    fleet: int
    message: Message


_EMPTY = Mailbox()


class Post(msgspec.Struct):
    """The mailboxes of a shard, by pid: only of those that were ever sent or waited for anything."""

    boxes: dict[int, Mailbox] = {}
    next_number: int = 1
    choosy: dict[int, dict[int, Wanted]] = {}
    """By receiver, its calls that wait and would not take any message, the oldest first."""
    lines: Lines = msgspec.field(default_factory=Lines)
    """Who waits for room."""
    left: dict[int, dict[str, Left]] = {}
    """By run, the dead letters of those who have left the table, by `receiver:number`, the oldest first; they go with
    their run. An event has one number in all mailboxes."""
    let_go: int = 0
    """Dead letters that went for want of room."""

    def box(self, pid: int) -> Mailbox:
        """The mailbox of `pid`, to look at; an empty one where there is none yet."""
        return self.boxes.get(pid, _EMPTY)

    def own(self, pid: int) -> Mailbox:
        """The mailbox of `pid`, to fold into."""
        box = self.boxes.get(pid)
        if box is None:
            box = self.boxes[pid] = Mailbox()
        return box

    def sent(self, seq: int, time_ns: int, e: ev.MessageSent) -> None:
        """Fold a message that was let in."""
        message = Message(e.number, e.sender, e.kind, e.body, seq, e.call, sent_ns=time_ns)
        self.own(e.receiver).waiting[e.number] = message
        self.next_number = e.number + 1

    def held(self, seq: int, time_ns: int, e: ev.MessageHeld) -> None:
        """Fold one that waits for room."""
        message = Message(e.number, e.sender, e.kind, e.body, seq, e.n if e.awaited else 0, sent_ns=time_ns)
        self.lines.add(e.receiver, e.room, message, e.n)
        self.next_number = e.number + 1

    def find_dead(self, number: int) -> list[Grave]:
        """Where a dead letter lies: an event may, with several receivers. Looks through all mailboxes."""
        return [grave for grave in self.graves() if grave.message.number == number]

    def graves(self) -> Iterator[Grave]:
        """All dead letters."""
        for pid, box in self.boxes.items():
            for message in box.dead.values():
                yield Grave(pid, 0, box.run, box.name, box.fleet, message)
        for run, letters in self.left.items():
            for left in letters.values():
                yield Grave(left.pid, run, run, left.name, left.fleet, left.message)

    def closed(self, pid: int, n: int) -> None:
        """A call of a process has ended."""
        waiting = self.choosy.get(pid)
        if waiting is not None and waiting.pop(n, None) is not None and not waiting:
            del self.choosy[pid]
        if self.lines.of:
            self.lines.closed(pid, n)

    def freed(self, pid: int, box: Mailbox) -> None:
        """A message has left a mailbox: whoever waits for room there may go on."""
        if self.lines.of:
            self.lines.room(pid, box.messages)

    def passed(self, number: int, holder: int, receiver: int, *, front: bool) -> None:
        """A message goes over to another mailbox, behind what waits there, or in front of it."""
        own, box = self.own(holder), self.own(receiver)
        message = own.waiting.pop(number, None) or own.in_hand.pop(number)
        box.waiting = {number: message, **box.waiting} if front else {**box.waiting, number: message}
        self.freed(holder, own)

    def deliver(self, pid: int, message: Message) -> None:
        """Put a message that others have as well behind what waits for `pid`."""
        self.own(pid).waiting[message.number] = message


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
        post.freed(e.pid, box)


def _dead(post: Post, at: At, e: ev.MessageDead) -> None:
    box = post.own(e.receiver)
    message = box.in_hand.pop(e.number, None) or box.waiting.pop(e.number)
    post.let_go += box.bury(message, e.reason, at.time_ns)
    post.freed(e.receiver, box)


def _retried(post: Post, seq: int, e: ev.MessageRetried) -> None:
    message = _unburied(post, e)
    message.reason, message.dead_ns, message.attempts, message.taken_by, message.call = "", 0, 0, 0, 0
    post.own(e.receiver).waiting[e.number] = message


def _dropped(post: Post, seq: int, e: ev.MessageDropped) -> None:
    _unburied(post, e)


def _unburied(post: Post, e: ev.MessageRetried | ev.MessageDropped) -> Message:
    if not e.run:
        return post.own(e.pid).dead.pop(e.number)
    letters = post.left[e.run]
    message = letters.pop(f"{e.pid}:{e.number}").message
    if not letters:
        del post.left[e.run]
    return message


def _failed(post: Post, at: At, e: ev.ProcessFailed) -> None:
    if (box := post.boxes.get(e.pid)) is not None:
        box.failed(Try(at.time_ns, e.incarnation - 1, e.reason))
    _begins_again(post, 0, e)


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


def _exited(post: Post, at: At, e: ev.ProcessExited) -> None:
    post.choosy.pop(e.pid, None)
    post.lines.sender_ended(e.pid)
    post.lines.receiver_ended(e.pid)
    box = post.boxes.get(e.pid)
    if box is not None:
        if e.failed:
            box.failed(Try(at.time_ns, at.incarnation, e.reason))
        box.give_back()
        for message in box.waiting.values():
            post.let_go += box.bury(message, "ended", at.time_ns)
        box.waiting, box.awaiting = {}, 0
        box.run, box.name, box.fleet = at.run, at.name, at.fleet


def _reaped(post: Post, seq: int, e: ev.ProcessReaped) -> None:
    post.left.pop(e.pid, None)
    box = post.boxes.pop(e.pid, None)
    if box is not None and box.dead and box.run not in (0, e.pid):
        letters = post.left.setdefault(box.run, {})
        for number, message in box.dead.items():
            letters[f"{e.pid}:{number}"] = Left(e.pid, box.name, box.fleet, message)
        post.let_go += _let_go(letters, limits.DEAD_LETTERS_RUN_MAX)


FOLDS: dict[type, Callable[[Post, int, ev.Event], None]] = {
    ev.MessageAdmitted: _admitted,  # type: ignore[dict-item]
    ev.MessageAwaited: _awaited,  # type: ignore[dict-item]
    ev.MessageTaken: _taken,  # type: ignore[dict-item]
    ev.MessageReturned: _returned,  # type: ignore[dict-item]
    ev.MessageDone: _done,  # type: ignore[dict-item]
    ev.MessageRetried: _retried,  # type: ignore[dict-item]
    ev.MessageDropped: _dropped,  # type: ignore[dict-item]
    ev.ProcessCycled: _begins_again,  # type: ignore[dict-item]
    ev.ProcessExeced: _begins_again,  # type: ignore[dict-item]
    ev.ProcessUpgraded: _begins_again,  # type: ignore[dict-item]
    ev.ProcessReverted: _begins_again,  # type: ignore[dict-item]
    ev.ProcessHandedOff: _handed_off,  # type: ignore[dict-item]
    ev.ProcessReaped: _reaped,  # type: ignore[dict-item]
}
"""What this room folds; nothing else reaches it."""
FOLDS_AT: dict[type, Callable[[Post, At, ev.Event], None]] = {
    ev.MessageDead: _dead,  # type: ignore[dict-item]
    ev.ProcessFailed: _failed,  # type: ignore[dict-item]
    ev.ProcessExited: _exited,  # type: ignore[dict-item]
}
"""The same, of what takes a look at the process that it is about."""
