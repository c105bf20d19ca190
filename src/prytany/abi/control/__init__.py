"""What goes over the control socket, as data: an operator's commands, and what they are answered with.

    client -> kernel   [n, [command, argument, ...]]     n is the client's own number for it, from 1
    kernel -> client   [n, errno, value]                 in the order in which they are done

Each is preceded by its length, as in `abi.wire`: 4 bytes, little-endian. Several commands may be in flight on one
connection. errno is "" for a result; else the name of an error, whose value is `[message, detail]`. `n == 0` is said of
the connection itself, which is closed after it. Commands grow at their ends, answers by named fields.
"""

from __future__ import annotations

from prytany.abi.control.answers import (
    Change,
    ChannelRow,
    Collected,
    ContextRow,
    Ended,
    FleetRow,
    Forgotten,
    Heard,
    IncidentRow,
    Inspection,
    MailboxRow,
    NoticeRow,
    OpenRow,
    Plan,
    Prepared,
    ProcessRow,
    Removed,
    Said,
    Status,
    Upgrade,
    UsageRow,
)
from prytany.abi.control.commands import (
    AwaitEntry,
    BringFleet,
    CollectContent,
    Command,
    DropNotices,
    FinishArchive,
    FollowProcess,
    ForgetProcess,
    FreezeAll,
    GetStatus,
    InspectProcess,
    ListFleets,
    ListIncidents,
    ListNotices,
    ListProcesses,
    PrepareArchive,
    RetryNotices,
    SendMessage,
    SettleIncident,
    ShrinkJournal,
    SignalProcess,
    StartAgent,
    Unbounded,
    UpgradeProcess,
    WaitProcess,
    WithdrawFleet,
)
from prytany.abi.control.sessions import (
    SESSION_ENDED,
    AttendSession,
    CloseSession,
    KeepSession,
    LeaveSession,
    ListSessions,
    OpenSession,
    SessionCommand,
    SessionRow,
)
from prytany.abi.control.wire import (
    ANSWERS,
    Envelope,
    Reply,
    decode_command,
    decode_envelope,
    decode_reply,
    encode_message,
)

SOCKET = "control"
"""The socket's name in the home."""
NEXT = "next"
"""Under which the detail of a refusal has what is to be done about it, as a list of lines."""
UNKNOWN = "there is no such command"
"""How the refusal of a command begins that a kernel does not know; older ones say no more."""
ROWS_MAX = 500
"""Rows of one answer."""
ROW_CALLS_MAX = 8
"""Open calls in one row of `ps`: the oldest."""

__all__ = [
    "ANSWERS",
    "NEXT",
    "ROWS_MAX",
    "ROW_CALLS_MAX",
    "SESSION_ENDED",
    "SOCKET",
    "UNKNOWN",
    "AttendSession",
    "AwaitEntry",
    "BringFleet",
    "Change",
    "ChannelRow",
    "CloseSession",
    "CollectContent",
    "Collected",
    "Command",
    "ContextRow",
    "DropNotices",
    "Ended",
    "Envelope",
    "FinishArchive",
    "FleetRow",
    "FollowProcess",
    "ForgetProcess",
    "Forgotten",
    "FreezeAll",
    "GetStatus",
    "Heard",
    "IncidentRow",
    "InspectProcess",
    "Inspection",
    "KeepSession",
    "LeaveSession",
    "ListFleets",
    "ListIncidents",
    "ListNotices",
    "ListProcesses",
    "ListSessions",
    "MailboxRow",
    "NoticeRow",
    "OpenRow",
    "OpenSession",
    "Plan",
    "PrepareArchive",
    "Prepared",
    "ProcessRow",
    "Removed",
    "Reply",
    "RetryNotices",
    "Said",
    "SendMessage",
    "SessionCommand",
    "SessionRow",
    "SettleIncident",
    "ShrinkJournal",
    "SignalProcess",
    "StartAgent",
    "Status",
    "Unbounded",
    "Upgrade",
    "UpgradeProcess",
    "UsageRow",
    "WaitProcess",
    "WithdrawFleet",
    "decode_command",
    "decode_envelope",
    "decode_reply",
    "encode_message",
]
