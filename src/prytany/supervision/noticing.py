"""What people are told of: the fold of what comes up at the processes of a fleet into the channels of that fleet.

It counts, and decides nothing: when a notice is opened, and that an agent's failures are a storm, is decided by whoever
asks, and comes back as an event. What is of no fleet, or of a fleet without channels, costs a look and is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from prytany.abi import events as ev
from prytany.abi import limits, notices
from prytany.supervision.channels import Channel, Failing
from prytany.supervision.fleets import Fleet, Fleets


class Noticed(NamedTuple):
    """Of an event: its entry, the time, and the name of the process that it is about; "" where there is none."""

    seq: int
    time_ns: int
    name: str


Fold = Callable[[Fleets, Noticed, Any], None]
_MS = 1_000_000
DOUBTS = frozenset({"doubt", "abandoned"})
"""Kinds of incidents."""


def storms(fleets: Fleets, now_ns: int) -> Iterator[ev.AgentStormed]:
    """The storms that are to be told."""
    for key in fleets.suspects:
        number, _, agent = key.partition("/")
        failing = fleets.fleets[int(number)].failing[agent]
        if failing.times[-1] - failing.times[0] <= limits.STORM_MS * _MS and now_ns >= failing.quiet_ns:
            until_ns = now_ns + limits.STORM_QUIET_MS * _MS
            yield ev.AgentStormed(int(number), agent, failing.count, failing.since_ns, until_ns)


def channel_of(fleets: Fleets, number: int, at: int) -> Channel | None:
    """A channel of a fleet, where there still are both."""
    fleet = fleets.fleets.get(number)
    return None if fleet is None else fleet.channels.get(at)


def telling(fleets: Fleets) -> Iterator[tuple[int, Channel]]:
    """The channels that have something to tell, with the numbers of their fleets."""
    for number in fleets.telling:
        for channel in fleets.fleets[number].channels.values():
            if channel.busy:
                yield number, channel


def _came_up(fleets: Fleets, at: Noticed, fleet: Fleet, kind: str, subject: ev.Subject) -> None:
    heard = [channel.hear(kind, at.time_ns, subject) for channel in fleet.channels.values()]
    if any(heard):
        fleets.telling[fleet.number] = None
        fleets.news += 1


def _of(fleets: Fleets, pid: int) -> tuple[Fleet, str] | None:
    """The fleet that is told of a process, and the process's agent; None where nobody is."""
    member = fleets.members.get(pid)
    if member is None or not (fleet := fleets.fleets[member.fleet]).channels:
        return None
    return fleet, member.agent


def _incident(fleets: Fleets, at: Noticed, e: ev.IncidentOpened) -> None:
    if (found := _of(fleets, e.pid)) is not None:
        kind = notices.DOUBT if e.kind in DOUBTS else notices.INCIDENT
        _came_up(fleets, at, found[0], kind, ev.Subject(e.pid, e.kind, e.n, found[1], at.name))


def _exited(fleets: Fleets, at: Noticed, e: ev.ProcessExited) -> None:
    if e.failed and (found := _of(fleets, e.pid)) is not None and fleets.members[e.pid].kept:
        what = f"signal {e.signal}" if e.signal else f"status {e.status}"
        _came_up(fleets, at, found[0], notices.FAILURE, ev.Subject(e.pid, what, 0, found[1], at.name))


def _exceeded(fleets: Fleets, at: Noticed, e: ev.BudgetExceeded) -> None:
    if (found := _of(fleets, e.pid)) is not None:
        _came_up(fleets, at, found[0], notices.BUDGET, ev.Subject(e.pid, e.account, 0, found[1], at.name))


def _failed(fleets: Fleets, at: Noticed, e: ev.ProcessFailed) -> None:
    if (found := _of(fleets, e.pid)) is not None:
        fleet, agent = found
        failing = fleet.failing.setdefault(agent, Failing())
        failing.times = [*failing.times, at.time_ns][-limits.STORM_RESTARTS :]
        failing.since_ns = failing.since_ns if failing.count else at.time_ns
        failing.count += 1
        if len(failing.times) == limits.STORM_RESTARTS:
            fleets.suspects[f"{fleet.number}/{agent}"] = None
            fleets.news += 1


def _stormed(fleets: Fleets, at: Noticed, e: ev.AgentStormed) -> None:
    fleets.suspects.pop(f"{e.fleet}/{e.agent}", None)
    fleet = fleets.fleets.get(e.fleet)
    if fleet is not None:
        fleet.failing[e.agent] = Failing(quiet_ns=e.until_ns)
        _came_up(fleets, at, fleet, notices.STORM, ev.Subject(0, f"{e.failures} failures", 0, e.agent))


def _denied(fleets: Fleets, at: Noticed, e: ev.CallsDenied) -> None:
    if e.errno == "EDQUOT" and not e.again and (found := _of(fleets, e.pid)) is not None:
        what = "history" if e.cause == "history" else f"journal share of the {e.cause or 'process'}"
        _came_up(fleets, at, found[0], notices.LIMIT, ev.Subject(e.pid, what, 0, found[1], at.name))


def _warned(fleets: Fleets, at: Noticed, e: ev.ProcessWarned) -> None:
    if (found := _of(fleets, e.pid)) is not None:
        _came_up(fleets, at, found[0], notices.LIMIT, ev.Subject(e.pid, f"{e.what} at {e.value}", 0, found[1], at.name))


def _neared(fleets: Fleets, at: Noticed, e: ev.LimitNeared) -> None:
    for fleet in fleets.fleets.values():
        _came_up(fleets, at, fleet, notices.LIMIT, ev.Subject(0, f"{e.what}: {e.value} bytes left"))


def _declared(fleets: Fleets, at: Noticed, e: ev.ChannelDeclared) -> None:
    fleet = fleets.require(e.fleet)
    channel = fleet.channels.get(e.at)
    if channel is None:
        fleet.channels[e.at] = Channel(e.at, e.label, e.kinds, e.definition)
        return
    channel.label, channel.kinds, channel.definition = e.label, e.kinds, e.definition
    for number in [*channel.waiting, *channel.given_up]:
        channel.retried(at.seq, number)
    if channel.busy:
        fleets.telling[e.fleet] = None
        fleets.news += 1


def _withdrawn(fleets: Fleets, at: Noticed, e: ev.ChannelWithdrawn) -> None:
    fleet = fleets.require(e.fleet)
    fleet.channels.pop(e.at, None)
    _told(fleets, fleet)


def _opened(fleets: Fleets, at: Noticed, e: ev.NoticeOpened) -> None:
    fleets.next_notice = max(fleets.next_notice, e.notice + 1)
    if (channel := channel_of(fleets, e.fleet, e.at)) is not None:
        channel.opened(at.seq, at.time_ns, e)
        fleets.telling[e.fleet] = None


def _delivered(fleets: Fleets, at: Noticed, e: ev.NoticeDelivered) -> None:
    if (channel := channel_of(fleets, e.fleet, e.at)) is not None:
        channel.delivered += channel.waiting.pop(e.notice, None) is not None
        _told(fleets, fleets.fleets[e.fleet])


def _missed(fleets: Fleets, at: Noticed, e: ev.NoticeMissed) -> None:
    if (channel := channel_of(fleets, e.fleet, e.at)) is not None:
        channel.missed(at.seq, e)
        _told(fleets, fleets.fleets[e.fleet])


def _retried(fleets: Fleets, at: Noticed, e: ev.NoticeRetried) -> None:
    if (channel := channel_of(fleets, e.fleet, e.at)) is not None:
        channel.retried(at.seq, e.notice)
        fleets.telling[e.fleet] = None


def _dropped(fleets: Fleets, at: Noticed, e: ev.NoticeDropped) -> None:
    if (channel := channel_of(fleets, e.fleet, e.at)) is not None:
        channel.dropped(e.notice)
        _told(fleets, fleets.fleets[e.fleet])


def _told(fleets: Fleets, fleet: Fleet) -> None:
    """Less is to be told of it; where nothing is, it may go."""
    if not any(channel.busy for channel in fleet.channels.values()):
        fleets.telling.pop(fleet.number, None)
        fleets.let_go(fleet)


FOLDS: dict[type, Fold] = {
    ev.IncidentOpened: _incident,
    ev.ProcessExited: _exited,
    ev.ProcessFailed: _failed,
    ev.AgentStormed: _stormed,
    ev.CallsDenied: _denied,
    ev.ProcessWarned: _warned,
    ev.LimitNeared: _neared,
    ev.BudgetExceeded: _exceeded,
    ev.ChannelDeclared: _declared,
    ev.ChannelWithdrawn: _withdrawn,
    ev.NoticeOpened: _opened,
    ev.NoticeDelivered: _delivered,
    ev.NoticeMissed: _missed,
    ev.NoticeRetried: _retried,
    ev.NoticeDropped: _dropped,
}
