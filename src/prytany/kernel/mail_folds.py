"""How the events of mail reach the rooms that fold them: mailboxes with the time, and with what a process is, since
they outlive it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from prytany.abi import events as ev
from prytany.ipc.attachments import FOLDS as ATTACHMENTS
from prytany.ipc.attachments import Attachments
from prytany.ipc.mailbox import FOLDS as POST
from prytany.ipc.mailbox import FOLDS_AT as POST_AT
from prytany.ipc.mailbox import At, Post
from prytany.process.table import Table
from prytany.supervision.fleets import NO_MEMBER, Fleets


class Rooms(Protocol):
    """The state of a shard, as these folds see it."""

    table: Table
    post: Post
    fleets: Fleets
    attachments: Attachments


def _sent(state: Rooms, seq: int, e: ev.MessageSent) -> None:
    state.post.sent(seq, state.table.time_ns, e)


def _held(state: Rooms, seq: int, e: ev.MessageHeld) -> None:
    state.post.held(seq, state.table.time_ns, e)


def _into_post(into: Callable[[Post, int, Any], None], state: Rooms, seq: int, event: Any) -> None:
    into(state.post, seq, event)


def _into_post_at(into: Callable[[Post, At, Any], None], state: Rooms, seq: int, event: Any) -> None:
    pid, at = getattr(event, "pid", 0), At(state.table.time_ns)
    if (process := state.table.get(pid)) is not None:
        fleet = state.fleets.members.get(pid, NO_MEMBER).fleet
        at = At(at.time_ns, process.run, process.name, fleet, process.incarnation)
    into(state.post, at, event)


def _into_attachments(into: Callable[[Attachments, int, Any], None], state: Rooms, seq: int, event: Any) -> None:
    into(state.attachments, seq, event)


FOLDS: list[tuple[type, Callable[[Any, int, Any], None]]] = [
    (ev.MessageSent, _sent),
    (ev.MessageHeld, _held),
    *((kind, partial(_into_post, into)) for kind, into in POST.items()),
    *((kind, partial(_into_post_at, into)) for kind, into in POST_AT.items()),
    *((kind, partial(_into_attachments, into)) for kind, into in ATTACHMENTS.items()),
]
"""In the order in which they are folded."""
