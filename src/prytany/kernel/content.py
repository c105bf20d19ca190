"""What the events of a record say of content, for those who check, copy or forget it. An owner is a pid."""

from __future__ import annotations

from collections.abc import Iterator

from prytany.abi import events as ev
from prytany.abi.events.entry import digest_fields
from prytany.journal.content import Named, Said
from prytany.kernel.ledger import TENANT

SHARED = {
    (ev.ProcessSpawned, "source"),
    (ev.ProcessUpgrading, "source"),
    (ev.ProcessUpgraded, "source"),
    (ev.ProcessHandedOff, "source"),
    (ev.ToolCalled, "manifest"),
}
"""Content that is not its process's own: the operator's."""


def names_of(event: ev.Event) -> Iterator[tuple[str, bytes]]:
    """The fields of an event that name content which is kept, with their digests."""
    spared = isinstance(event, (ev.CallDone, ev.CallOpened)) and event.spared
    for name in digest_fields(type(event)):
        digest = getattr(event, name)
        if digest and not (spared and name == "argument"):
            yield name, digest


def owners_of(event: ev.Event) -> tuple[int, ...]:
    """Whose an event's content is: its process's; a message is its receiver's and, if a process sent it, its sender's;
    what was published is its sender's. 0 is nobody's."""
    if isinstance(event, ev.MessageSent | ev.MessageHeld):
        return (event.receiver, event.sender) if event.sender > 0 else (event.receiver,)
    if isinstance(event, ev.TopicPublished | ev.TriggerMessaged):
        return (max(event.sender, 0),)
    return (getattr(event, "pid", 0),)


def own_names(event: ev.Event) -> Iterator[bytes]:
    """The digests of an event's content that belongs to its owners."""
    return (digest for name, digest in names_of(event) if (type(event), name) not in SHARED)


def said(record: bytes) -> Said:
    """What a record says of content."""
    names: list[Named] = []
    forgotten: list[int] = []
    for event in ev.decode_entry(record).events:
        if isinstance(event, ev.ContentForgotten):
            forgotten.append(event.pid)
            continue
        owners = owners_of(event)
        for name, digest in names_of(event):
            of = (0,) if (type(event), name) in SHARED else owners
            names.extend(Named(TENANT, digest, owner) for owner in of)
    return Said(names, forgotten)
