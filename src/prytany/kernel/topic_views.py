"""Topics and their subscribers, as an operator sees them."""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice

from prytany.abi import control
from prytany.ipc import subscribed
from prytany.kernel.state import ShardState
from prytany.kernel.trigger_desk import trigger_rows


def look_at_topics(command: control.TopicsLook, state: ShardState) -> object:
    """What a command that changes nothing is answered with."""
    if isinstance(command, control.ListTopics):
        return _topic_rows(state, command.after_scope, command.after)
    if isinstance(command, control.ListTriggers):
        return trigger_rows(state)
    return _subscriber_rows(state, command.after)


def _topic_rows(state: ShardState, after_scope: str, after: str) -> list[control.TopicRow]:
    rows: list[control.TopicRow] = []
    for name in sorted(state.topics.scopes):
        if name < after_scope:
            continue
        there = state.topics.scopes[name]
        topics = sorted(there.topics)
        first = bisect_left(topics, after + "\0") if name == after_scope else 0
        for topic in islice(topics, first, first + control.ROWS_MAX - len(rows)):
            known = there.topics[topic]
            rows.append(control.TopicRow(
                scope=name, fleet=fleet_named(state, name), topic=topic, number=known.last.number,
                time_ns=known.last.time_ns, count=known.count,
                subscribers=len(subscribed.reached(there.root, topic)),
            ))  # fmt: skip
        if len(rows) == control.ROWS_MAX:
            break
    return rows


def _subscriber_rows(state: ShardState, after: int) -> list[control.SubscriberRow]:
    rows: list[control.SubscriberRow] = []
    for pid in islice(sorted(pid for pid in state.topics.subscribers if pid > after), control.ROWS_MAX):
        one, process = state.topics.subscribers[pid], state.table.get(pid)
        there = state.topics.scope(one.scope)
        replayed = sum(len(r.numbers) or r.upto + 1 - max(r.next, there.first) for r in one.replays)
        behind = there.next - max(one.next, there.first) if one.next else 0
        rows.append(control.SubscriberRow(
            pid=pid, name=process.name if process is not None else "", scope=one.scope, patterns=list(one.patterns),
            lag=max(0, replayed) + max(0, behind), missed=one.missed + one.missed_all,
        ))  # fmt: skip
    return rows


def fleet_named(state: ShardState, scope: str) -> str:
    """The name of the fleet whose scope that is; "" for a run's."""
    kind, _, number = scope.partition(":")
    fleet = state.fleets.fleets.get(int(number)) if kind == "fleet" else None
    return fleet.name if fleet is not None else ""
