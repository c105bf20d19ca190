"""Who waits is handed what came into its mailbox, and who was behind is filled up from the log: entries right behind
the one that made it so, a portion each, so that the kernel's loop is not held by a thousand receivers.
"""

from __future__ import annotations

from itertools import islice
from typing import Protocol

from prytany.abi import events as ev
from prytany.abi.topics import matches
from prytany.abi.values import pack
from prytany.ipc.topics import Replay, Scope, Subscriber
from prytany.kernel.handlers.receiving import hand_out
from prytany.kernel.ledger import Ledger
from prytany.kernel.outcome import Context
from prytany.kernel.topic_folds import MISSED


class Core(Context, Protocol):
    """The kernel, as this sees it."""

    ledger: Ledger


HANDED_AT_ONCE = 128
"""Receivers in one entry."""
FILLED_AT_ONCE = 128
"""Events in one entry."""
LOOKED_AT_ONCE = 2_048
"""Events of the log that are looked at for one entry: under a millisecond."""


def fill_topics(k: Core) -> bool:
    """See the module."""
    topics = k.state.topics
    if topics.handing:
        _hand(k, list(islice(topics.handing, HANDED_AT_ONCE)))
    elif topics.due:
        _fill(k, next(iter(topics.due)))
    else:
        return False
    return True


def _hand(k: Core, receivers: list[int]) -> None:
    events: list[ev.Event] = [ev.TopicHanded(receivers)]
    contents: dict[bytes, bytes] = {}
    known: dict[bytes, bytes] = {}

    def read(digest: bytes, seq: int) -> bytes:
        found = known.get(digest)
        if found is None:
            found = known[digest] = k.content(digest, seq)
        return found

    for pid in receivers:
        process = k.table.get(pid)
        if process is None or not process.alive:
            continue
        taken, values = hand_out(k, process, k.state.topics.handing[pid], read)
        events += taken
        handed = (event for event in taken if isinstance(event, ev.CallClosed))
        contents.update((event.result, content) for event, content in zip(handed, values, strict=True))
    k.ledger.commit(events, contents, payer=0)


def _fill(k: Core, pid: int) -> None:
    topics = k.state.topics
    subscriber = topics.subscribers[pid]
    there = topics.scopes[subscriber.scope]
    room = min(k.post.box(pid).room, FILLED_AT_ONCE)
    if subscriber.missed and room:
        number = k.post.next_number
        content = pack({
            "message": number, "sender": 0, "type": MISSED, "body": {"count": subscriber.missed}, "attempt": 1,
            "awaited": False,
        })  # fmt: skip
        digest = k.digest(content)
        k.ledger.commit((ev.TopicMissed(pid, number, digest),), {digest: content}, payer=0)
    elif subscriber.replays:
        k.ledger.commit((_replayed(k, pid, there, subscriber.replays[0], room),), {}, payer=0)
    else:
        k.ledger.commit((_caught_up(k, pid, there, subscriber, room),), {}, payer=0)


def _replayed(k: Context, pid: int, there: Scope, replay: Replay, room: int) -> ev.TopicRefilled:
    """What comes next of what was before."""
    if not replay.numbers:
        numbers, upto = _found(k, pid, there, [replay.pattern], replay.next, replay.upto, room)
        return ev.TopicRefilled(pid, numbers, upto, replay.pattern)
    ahead = [number for number in replay.numbers if number >= replay.next]
    # One that is not there any more is not its topic's last one either: that one comes, or came.
    there_still = [number for number in ahead if there.get(number) is not None and not _has(k, pid, there, number)]
    upto = replay.upto + 1 if len(there_still) <= room else there_still[room]
    return ev.TopicRefilled(pid, there_still[:room], upto, replay.pattern)


def _caught_up(k: Context, pid: int, there: Scope, subscriber: Subscriber, room: int) -> ev.TopicRefilled:
    """What was published while it had no room."""
    patterns = list(subscriber.patterns)
    numbers, upto = _found(k, pid, there, patterns, subscriber.next, there.next - 1, room, subscriber.patterns)
    return ev.TopicRefilled(pid, numbers, upto)


def _found(
    k: Context, pid: int, there: Scope, patterns: list[str], first: int, last: int, room: int,
    since: dict[str, int] | None = None,
) -> tuple[list[int], int]:  # fmt: skip
    """What matches from number `first` to `last`, as much as there is room for; and how far was looked."""
    numbers: list[int] = []
    at = max(first, there.first)
    until = min(last + 1, at + LOOKED_AT_ONCE)
    while at < until:
        topic = there.log[at].topic
        wanted = any(matches(one, topic) and (since is None or since[one] <= at) for one in patterns)
        if wanted and not _has(k, pid, there, at):
            if len(numbers) >= room:
                break
            numbers.append(at)
        at += 1
    return numbers, at


def _has(k: Context, pid: int, there: Scope, number: int) -> bool:
    """Whether that event lies in the mailbox already: it was handed out before, and is asked for again."""
    logged, box = there.get(number), k.post.box(pid)
    return logged is not None and (logged.message in box.waiting or logged.message in box.in_hand)
