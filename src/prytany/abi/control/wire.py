"""The form of requests and replies on the control socket."""

from __future__ import annotations

from typing import Any

import msgspec

from prytany.abi.control.answers import (
    Collected,
    Ended,
    FleetRow,
    Forgotten,
    Heard,
    IncidentRow,
    Inspection,
    NoticeRow,
    Plan,
    Prepared,
    ProcessRow,
    Removed,
    Status,
    Upgrade,
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
    UpgradeProcess,
    WaitProcess,
    WithdrawFleet,
)
from prytany.abi.control.scheduling import (
    AccountRow,
    AddBudget,
    CauseRow,
    ExplainProcess,
    GrantBudget,
    ListBudgets,
    ListQueues,
    QueueRow,
    Scheduled,
    ScheduleProcess,
)
from prytany.abi.control.sessions import (
    AttendSession,
    CloseSession,
    KeepSession,
    LeaveSession,
    ListSessions,
    OpenSession,
    SessionRow,
)


class Envelope(msgspec.Struct, array_like=True, frozen=True):
    """A request whose command is not decoded yet, so that an unknown one can be answered by its number."""

    n: int
    command: msgspec.Raw


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """An answer; see the module."""

    n: int
    errno: str
    value: msgspec.Raw


ANSWERS: dict[type[Command], Any] = {
    GetStatus: Status,
    ListProcesses: list[ProcessRow],
    InspectProcess: Inspection,
    SignalProcess: None,
    WaitProcess: Ended,
    ListIncidents: list[IncidentRow],
    SettleIncident: None,
    ForgetProcess: Forgotten,
    CollectContent: Collected,
    SendMessage: int,
    UpgradeProcess: Upgrade,
    AwaitEntry: int,
    FreezeAll: int,
    StartAgent: int,
    BringFleet: Plan,
    WithdrawFleet: int,
    ListFleets: list[FleetRow],
    FollowProcess: Heard,
    ListNotices: list[NoticeRow],
    RetryNotices: int,
    DropNotices: int,
    OpenSession: SessionRow,
    AttendSession: SessionRow,
    LeaveSession: bool,
    KeepSession: None,
    CloseSession: None,
    ListSessions: list[SessionRow],
    PrepareArchive: Prepared,
    FinishArchive: Removed,
    ShrinkJournal: None,
    ListQueues: list[QueueRow],
    ListBudgets: list[AccountRow],
    ExplainProcess: list[CauseRow],
    AddBudget: AccountRow,
    GrantBudget: AccountRow,
    ScheduleProcess: Scheduled,
}
"""What each command is answered with."""

decode_envelope = msgspec.msgpack.Decoder(Envelope).decode
decode_command = msgspec.msgpack.Decoder(Command).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
_encode = msgspec.msgpack.encode


def encode_message(message: tuple[object, ...]) -> bytes:
    """A request `(n, command)` or a reply `(n, errno, value)` with its length in front."""
    body = _encode(message)
    return len(body).to_bytes(4, "little") + body
