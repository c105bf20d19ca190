"""The entry: one input's events, and its form in the journal."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, get_type_hints

import msgspec

from prytany.abi.events.attachment import AttachmentDropped, AttachmentPut, AttachmentsGiven
from prytany.abi.events.budget import BudgetAdded, BudgetExceeded, BudgetGranted
from prytany.abi.events.call import (
    CallAbandoned,
    CallClosed,
    CallDone,
    CallDoubted,
    CallOpened,
    CallPaced,
    CallPiece,
    CallsDenied,
    CallSettled,
)
from prytany.abi.events.context import (
    ContextAppended,
    ContextAsked,
    ContextClosed,
    ContextForked,
    ContextOpened,
)
from prytany.abi.events.fleet import AgentDeclared, AgentWithdrawn, FleetDeclared, FleetWithdrawn
from prytany.abi.events.handoff import ProcessHandedOff
from prytany.abi.events.kernel import (
    ContentForgotten,
    EntriesRemoved,
    HomeRestored,
    IncidentClosed,
    IncidentOpened,
    JournalArchived,
    KernelStarted,
    OperatorCommanded,
)
from prytany.abi.events.lock import DeadlockFound, LockClaimed, LockGranted, LockReleased
from prytany.abi.events.message import (
    MessageAdmitted,
    MessageAwaited,
    MessageDead,
    MessageDone,
    MessageDropped,
    MessageHeld,
    MessageReplied,
    MessageRetried,
    MessageReturned,
    MessageSent,
    MessageTaken,
)
from prytany.abi.events.model import ModelKept, ModelQueued, ModelReserved, ModelSpared, ModelUsed
from prytany.abi.events.notice import (
    AgentStormed,
    ChannelDeclared,
    ChannelWithdrawn,
    LimitNeared,
    NoticeDelivered,
    NoticeDropped,
    NoticeMissed,
    NoticeOpened,
    NoticeRetried,
)
from prytany.abi.events.pipe import PipeAwaited, PipeClosed, PipeGiven, PipeOpened, PipeRead, PipeWritten
from prytany.abi.events.pool import MemberBusy, MessagePassed, PoolDeclared, PoolScaled
from prytany.abi.events.process import (
    ProcessAccounted,
    ProcessContinued,
    ProcessExeced,
    ProcessExited,
    ProcessFailed,
    ProcessPaused,
    ProcessReady,
    ProcessReaped,
    ProcessReverted,
    ProcessScheduled,
    ProcessSignalled,
    ProcessSpawned,
    ProcessStarted,
    ProcessUpgraded,
    ProcessUpgrading,
    ProcessWarned,
)
from prytany.abi.events.segment import SegmentAwaited, SegmentDeleted, SegmentWritten
from prytany.abi.events.session import SessionClosed, SessionClosing, SessionKept, SessionOpened
from prytany.abi.events.supervision import (
    ChildDropped,
    ChildRestarted,
    ChildSupervised,
    ChildTold,
    EndTold,
    LinkDropped,
    LinkMade,
    MonitorDropped,
    MonitorSet,
    ProcessCycled,
    ProcessPostponed,
    TreeDeclared,
    TreeEnding,
    TreeSettled,
)
from prytany.abi.events.tool import (
    ToolCalled,
    ToolHeld,
    ToolHoldAsked,
    ToolLetGo,
    ToolsGranted,
    ToolsNarrowed,
    ToolStarted,
)
from prytany.abi.events.topic import (
    TopicHanded,
    TopicMissed,
    TopicPublished,
    TopicRefilled,
    TopicSubscribed,
    TopicUnsubscribed,
)
from prytany.abi.events.trigger import (
    TriggerDeclared,
    TriggerFired,
    TriggerMessaged,
    TriggerSeen,
    TriggerSkipped,
    TriggerSwitched,
    TriggerTimed,
    TriggerWithdrawn,
)

Event = (
    ProcessSpawned
    | ProcessReady
    | ProcessStarted
    | ProcessPaused
    | ProcessContinued
    | ProcessSignalled
    | ProcessWarned
    | ProcessExited
    | ProcessReaped
    | ProcessAccounted
    | ProcessScheduled
    | BudgetGranted
    | BudgetAdded
    | BudgetExceeded
    | CallDone
    | CallOpened
    | CallClosed
    | CallPaced
    | CallPiece
    | CallDoubted
    | CallSettled
    | CallsDenied
    | ModelKept
    | ModelQueued
    | ModelReserved
    | ModelSpared
    | ModelUsed
    | ContextOpened
    | ContextAppended
    | ContextAsked
    | ContextForked
    | ContextClosed
    | ToolsGranted
    | ToolsNarrowed
    | ToolCalled
    | ToolStarted
    | KernelStarted
    | IncidentOpened
    | IncidentClosed
    | OperatorCommanded
    | MessageSent
    | MessageAwaited
    | MessageHeld
    | MessageAdmitted
    | AttachmentPut
    | AttachmentsGiven
    | AttachmentDropped
    | MessageTaken
    | MessageReturned
    | MessageDone
    | MessageDead
    | MessageRetried
    | MessageDropped
    | ProcessFailed
    | ProcessExeced
    | ProcessUpgrading
    | ProcessUpgraded
    | ProcessReverted
    | ContentForgotten
    | CallAbandoned
    | FleetDeclared
    | FleetWithdrawn
    | AgentDeclared
    | AgentWithdrawn
    | HomeRestored
    | MessageReplied
    | ChannelDeclared
    | ChannelWithdrawn
    | NoticeOpened
    | NoticeDelivered
    | NoticeMissed
    | NoticeRetried
    | NoticeDropped
    | AgentStormed
    | LimitNeared
    | SessionOpened
    | SessionKept
    | SessionClosing
    | SessionClosed
    | JournalArchived
    | EntriesRemoved
    | LockClaimed
    | LockGranted
    | LockReleased
    | DeadlockFound
    | SegmentWritten
    | SegmentDeleted
    | SegmentAwaited
    | ToolHoldAsked
    | ToolHeld
    | ToolLetGo
    | ProcessHandedOff
    | TreeDeclared
    | ChildSupervised
    | ChildDropped
    | ChildRestarted
    | TreeEnding
    | ChildTold
    | TreeSettled
    | ProcessCycled
    | ProcessPostponed
    | TopicPublished
    | TopicSubscribed
    | TopicUnsubscribed
    | TopicRefilled
    | TopicMissed
    | TopicHanded
    | TriggerDeclared
    | TriggerFired
    | TriggerMessaged
    | TriggerSeen
    | TriggerSkipped
    | TriggerSwitched
    | TriggerTimed
    | TriggerWithdrawn
    | PipeOpened
    | PipeGiven
    | PipeAwaited
    | PipeWritten
    | PipeRead
    | PipeClosed
    | LinkMade
    | LinkDropped
    | MonitorSet
    | MonitorDropped
    | EndTold
    | PoolDeclared
    | PoolScaled
    | MessagePassed
    | MemberBusy
)


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One input's events: appended, chained and applied whole. `time_ns` is the kernel's, and never goes back."""

    time_ns: int
    events: list[Event]
    payer: int = 0
    """The process to whose share of the journal the entry is counted; 0 where it is the tenant's alone."""
    content_bytes: int = 0
    """Of the content that came in with it. Recorded, since the content itself may be forgotten."""


Upcaster = Callable[[list[Any]], list[Any]]
UPCASTERS: dict[str, Upcaster] = {}
"""From an older `type/version` to a function that gives the array of the next version."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)
encode_entry = _encoder.encode


def decode_entry(record: bytes) -> Entry:
    """The entry that `record` holds, in today's versions; raises msgspec.ValidationError for a newer one."""
    if not UPCASTERS:
        return _decoder.decode(record)
    try:
        return _decoder.decode(record)
    except msgspec.ValidationError:
        raw = msgspec.msgpack.decode(record)
        raw[1] = [_upcast(event) for event in raw[1]]
        return msgspec.convert(raw, Entry)


def _upcast(event: list[Any]) -> list[Any]:
    while (upcaster := UPCASTERS.get(event[0])) is not None:
        event = upcaster(event)
    return event


@cache
def digest_fields(kind: type) -> tuple[str, ...]:
    """The fields of an event's class that name content."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        name
        for name, hint in hints.items()
        if any(getattr(mark, "extra", None) == {"digest": True} for mark in getattr(hint, "__metadata__", ()))
    )
