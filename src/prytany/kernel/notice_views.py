"""What the kernel shows of its notices, as the answers of `abi.control`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from prytany.abi import control
from prytany.supervision.channels import Channel, Notice
from prytany.supervision.fleets import Fleet, Fleets


def notice_rows(fleets: Fleets) -> list[control.NoticeRow]:
    """What was not delivered: the oldest fleets first."""
    return list(islice(_all(fleets), control.ROWS_MAX))


def undelivered(fleets: Fleets) -> tuple[int, int]:
    """How many notices wait, and how many were given up."""
    waiting = given_up = 0
    for fleet in fleets.fleets.values():
        for channel in fleet.channels.values():
            waiting += len(channel.waiting)
            given_up += len(channel.given_up) + channel.forgotten
    return waiting, given_up


def channel_rows(fleet: Fleet) -> list[control.ChannelRow]:
    """By which people are told of a fleet."""
    return [
        control.ChannelRow(
            at=c.at, label=c.label, kinds=list(c.kinds), delivered=c.delivered, waiting=len(c.waiting),
            given_up=len(c.given_up) + c.forgotten,
        )
        for c in fleet.channels.values()
    ]  # fmt: skip


def _all(fleets: Fleets) -> Iterator[control.NoticeRow]:
    for fleet in fleets.fleets.values():
        for channel in fleet.channels.values():
            for notice in channel.given_up.values():
                yield _row(fleet, channel, notice, "given up")
            for notice in channel.waiting.values():
                yield _row(fleet, channel, notice, "waiting")
            for kind, tally in channel.tallies.items():
                window = channel.windows.get(kind)
                yield control.NoticeRow(
                    notice=0, fleet=fleet.name, at=channel.at, channel=channel.label, kind=kind, count=tally.count,
                    state="held back",
                    opened_ns=tally.since_ns, next_ns=window.until_ns if window is not None else 0,
                )  # fmt: skip


def _row(fleet: Fleet, channel: Channel, notice: Notice, state: str) -> control.NoticeRow:
    return control.NoticeRow(
        notice=notice.number, fleet=fleet.name, at=channel.at, channel=channel.label, kind=notice.kind,
        count=notice.count, state=state, attempts=notice.attempts, cause=notice.cause, opened_ns=notice.opened_ns,
        next_ns=notice.next_ns, id=notice.id,
    )  # fmt: skip
