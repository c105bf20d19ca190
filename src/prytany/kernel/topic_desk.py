"""What an operator sees of topics, and publishes."""

from __future__ import annotations

from itertools import islice
from typing import Protocol

import msgspec

from prytany.abi import control
from prytany.abi import events as ev
from prytany.abi.errors import Einval, Eio, Enoent
from prytany.abi.ids import Pid, format_pid, parse_pid
from prytany.abi.topics import check_pattern, matches
from prytany.ipc import subscribed
from prytany.ipc.topics import Logged, Scope
from prytany.kernel.handlers.topic import publish, since_of
from prytany.kernel.ledger import Ledger
from prytany.kernel.outcome import Context
from prytany.kernel.scope import scope_of
from prytany.kernel.topic_views import fleet_named
from prytany.kernel.trigger_desk import switch_trigger

LOOKED_AT_ONCE = 4_096
BYTES_AT_ONCE = 1 << 20
"""Of content in one answer; one event more may go."""
SHOWN = 10
"""Scopes that could be meant."""


class Core(Context, Protocol):
    """The kernel, as this sees it."""

    ledger: Ledger


def carry_out_topics(k: Core, command: control.TopicsAct, uid: int) -> object:
    """What a command is answered with. Raises Einval, Enoent."""
    match command:
        case control.ReadEvents():
            return events_page(k, command)
        case control.PublishEvent():
            return publish_event(k, command, uid)
        case control.SwitchTrigger():
            return switch_trigger(k, command, uid)


def scope_meant(k: Context, of: str) -> str:
    """The scope that a person means by the name of a fleet, by a pid, or by nothing where there is only one.

    Raises:
        Enoent: there is none of that name.
        Einval: nothing was said, and there are several.
    """
    roots = (p for p in k.table.processes.values() if p.pid == p.run and (p.alive or p.kin))
    if not of:
        there = {f"fleet:{fleet.number}": None for fleet in k.fleets.fleets.values() if fleet.stays}
        there |= dict.fromkeys(k.state.topics.scopes) | {scope_of(k.fleets, root): None for root in roots}
        if len(there) == 1:
            return next(iter(there))
        if not there:
            raise Enoent("nothing runs here, and no fleet is up: nobody has topics")
        shown = ", ".join(_shown(k, scope) for scope in islice(there, SHOWN))
        raise Einval(f"say whose topics: there are {shown}{' and others' if len(there) > SHOWN else ''}")
    if of in k.state.topics.scopes:
        return of
    named = next((f.number for f in reversed(k.fleets.fleets.values()) if f.name == of), 0)
    if named:
        return f"fleet:{named}"
    try:
        process = k.table.get(parse_pid(of))
    except ValueError:
        process = None
    if process is None:
        raise Enoent(f"there is no fleet and no process {of[:100]!r}")
    return scope_of(k.fleets, process)


def _shown(k: Context, scope: str) -> str:
    kind, _, number = scope.partition(":")
    return fleet_named(k.state, scope) or (format_pid(Pid(int(number))) if kind == "run" else scope)


def publish_event(k: Core, command: control.PublishEvent, uid: int) -> control.Published:
    """Publish as the operator. Raises Einval, Enoent."""
    scope = scope_meant(k, command.of)
    event, content = publish(k, scope, -1 - uid, command.topic, command.body)
    many = len(subscribed.reached(k.state.topics.scope(scope).root, command.topic))
    k.ledger.commit((ev.OperatorCommanded(uid, "publish", 0), event), {event.body: content}, payer=0)
    return control.Published(scope=scope, topic=command.topic, number=event.number, subscribers=many)


def events_page(k: Context, command: control.ReadEvents) -> control.EventsPage:
    """What matches of a log, from somewhere on. Raises Einval, Enoent."""
    check_pattern(command.pattern)
    scope = scope_meant(k, command.of)
    there = k.state.topics.scope(scope)
    since, numbers = since_of(there, command.pattern, command.since)
    since = since or there.next
    if numbers:
        wanted, until = [one for number in numbers if (one := there.get(number)) is not None], there.next
    else:
        first = max(since, there.first)
        until = min(there.next, first + LOOKED_AT_ONCE)
        wanted = [there.log[at] for at in range(first, until) if matches(command.pattern, there.log[at].topic)]
    rows: list[control.EventRow] = []
    size_bytes = 0
    for logged in wanted[: control.ROWS_MAX]:
        if size_bytes >= BYTES_AT_ONCE:
            break
        rows.append(_row(k, logged))
        size_bytes += logged.size_bytes
    if len(rows) < len(wanted):
        until = rows[-1].number + 1
    return control.EventsPage(
        scope=scope, events=rows, next=until, more=until < there.next, gone=_gone(there, since, numbers)
    )


def _gone(there: Scope, since: int, numbers: list[int]) -> int:
    return 0 if numbers else max(0, there.first - since)


def _row(k: Context, logged: Logged) -> control.EventRow:
    row = control.EventRow(number=logged.number, topic=logged.topic, time_ns=logged.time_ns, sender=logged.sender)
    try:
        row.body = msgspec.msgpack.decode(k.content(logged.body, logged.seq))["body"]
    except Eio:
        row.forgotten = True
    return row
