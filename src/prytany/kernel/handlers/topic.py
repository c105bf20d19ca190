"""Topics: what is published, who is subscribed, and from where."""

from __future__ import annotations

from typing import Any

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Einval
from prytany.abi.topics import check_pattern, check_topic, matches
from prytany.abi.values import pack
from prytany.ipc import subscribed
from prytany.ipc.topics import Scope
from prytany.kernel.outcome import Context, Done
from prytany.kernel.scope import scope_of
from prytany.kernel.topic_folds import EVENT
from prytany.process.process import Process

_ENVELOPE_BYTES = 1_024
"""What topic, number and sender of an event add to its body, at most."""


def sys_topic_publish(k: Context, p: Process, n: int, a: Any) -> Done:
    """One entry and one body, however many get it."""
    event, content = publish(k, scope_of(k.fleets, p), p.pid, a.topic, a.body, "topic_publish")
    return Done(event.number, before=(event,), contents=(content,), spare=True)


def publish(
    k: Context, scope: str, sender: int, topic: str, body: Any, call: str = ""
) -> tuple[ev.TopicPublished, bytes]:
    """The event, and what all who are subscribed are handed.

    Raises:
        Einval: that is no topic, or the body is too large.
    """
    check_topic(topic, call)
    there = k.state.topics.scope(scope)
    message = k.post.next_number
    content = pack({
        "message": message, "sender": sender, "type": EVENT, "body": body, "attempt": 1, "awaited": False,
        "topic": topic, "number": there.next, "time_ns": k.now_ns(),
    })  # fmt: skip
    if len(content) > limits.MESSAGE_BYTES_MAX + _ENVELOPE_BYTES:
        raise Einval(f"an event has at most {limits.MESSAGE_BYTES_MAX} bytes", call=call)
    full = [who for who in subscribed.reached(there.root, topic) if who not in there.behind and _full(k, who)]
    forgotten = ""
    if topic not in there.topics and len(there.topics) >= limits.TOPICS_MAX:
        forgotten = next(iter(there.topics))
    upto, digest = _upto(there, len(content)), k.digest(content)
    event = ev.TopicPublished(
        scope, topic, there.next, message, sender, digest, len(content), full, upto, forgotten
    )  # fmt: skip
    return event, content


def _full(k: Context, who: int) -> bool:
    """Whether a subscriber, a process or a trigger, takes no more now."""
    triggers = k.state.triggers
    return k.post.box(who).full if who > 0 else triggers.triggers[triggers.by_id[who]].full


def _upto(there: Scope, size_bytes: int) -> int:
    """Up to which number the log lets go of its events for one of that size; 0 where there is room."""
    upto, held = there.first - 1, there.size_bytes
    while upto + 1 < there.next and (
        held + size_bytes > limits.TOPIC_LOG_BYTES_MAX or there.next - upto > limits.TOPIC_LOG_EVENTS_MAX
    ):
        upto += 1
        held -= there.log[upto].size_bytes
    return upto if upto >= there.first else 0


def sys_topic_subscribe(k: Context, p: Process, n: int, a: Any) -> Done:
    """It counts from this entry on; what is to come from before comes behind it."""
    check_pattern(a.pattern, "topic_subscribe")
    scope = scope_of(k.fleets, p)
    there, known = k.state.topics.scope(scope), k.state.topics.subscribers.get(p.pid)
    patterns = known.patterns if known is not None else {}
    if a.pattern not in patterns and len(patterns) >= limits.SUBSCRIPTIONS_MAX:
        raise Eagain(f"{limits.SUBSCRIPTIONS_MAX} subscriptions are the most of one process", call="topic_subscribe")
    since, numbers = since_of(there, a.pattern, a.since, "topic_subscribe")
    gone = max(0, there.first - since) if since and not numbers else 0
    event = ev.TopicSubscribed(p.pid, scope, a.pattern, max(since, there.first) if gone else since, numbers)
    return Done({"number": there.next - 1, "first": there.first, "gone": gone}, before=(event,))


def since_of(there: Scope, pattern: str, since: Any, call: str = "") -> tuple[int, list[int]]:
    """From which number on events come that were before, 0 for none; and which, where it is those alone.

    Raises:
        Einval: `since` is nothing of that kind.
    """
    match since:
        case None:
            return 0, []
        case "start":
            return there.first, []
        case "last":
            topics = there.topics.items()
            numbers = [known.last.number for topic, known in topics if matches(pattern, topic)]
            return (numbers[0], numbers) if numbers else (0, [])
        case bool():
            pass
        case int() if since >= 1:
            return min(since, there.next), []
        case {"time_ns": int(time_ns)} if len(since) == 1:
            return there.since_ns(time_ns), []
        case _:
            pass
    raise Einval(
        "`since` is a number from 1, `start`, `last`, or a time as {'time_ns': nanoseconds since 1970}", call=call
    )


def sys_topic_unsubscribe(k: Context, p: Process, n: int, a: Any) -> Done:
    """What lies in the mailbox stays there."""
    known = k.state.topics.subscribers.get(p.pid)
    if known is None or a.pattern not in known.patterns:
        return Done(False)
    return Done(True, before=(ev.TopicUnsubscribed(p.pid, a.pattern),))
