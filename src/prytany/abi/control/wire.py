"""The form of requests and replies on the control socket."""

from __future__ import annotations

from typing import Any

import msgspec

from prytany.abi.control import answers as a
from prytany.abi.control import commands as c
from prytany.abi.control import mail as m
from prytany.abi.control import plans as p
from prytany.abi.control import scheduling as t
from prytany.abi.control import sessions as s
from prytany.abi.control import sharing as h
from prytany.abi.control import topics as e


class Envelope(msgspec.Struct, array_like=True, frozen=True):
    """A request whose command is not decoded yet, so that an unknown one can be answered by its number."""

    n: int
    command: msgspec.Raw


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """An answer; see the module."""

    n: int
    errno: str
    value: msgspec.Raw


ANSWERS: dict[type[c.Command], Any] = {
    c.GetStatus: a.Status,
    c.ListProcesses: list[a.ProcessRow],
    c.InspectProcess: a.Inspection,
    c.SignalProcess: None,
    c.WaitProcess: a.Ended,
    c.ListIncidents: list[a.IncidentRow],
    c.SettleIncident: None,
    c.ForgetProcess: a.Forgotten,
    c.CollectContent: a.Collected,
    c.SendMessage: int,
    c.UpgradeProcess: a.Upgrade,
    c.AwaitEntry: int,
    c.FreezeAll: int,
    c.StartAgent: int,
    c.BringFleet: p.Plan,
    c.WithdrawFleet: int,
    c.ListFleets: list[a.FleetRow],
    c.FollowProcess: a.Heard,
    c.ListNotices: list[a.NoticeRow],
    c.RetryNotices: int,
    c.DropNotices: int,
    h.ListLocks: list[h.LockRow],
    h.BreakLock: int,
    h.ListSegments: list[h.SegmentRow],
    s.OpenSession: s.SessionRow,
    s.AttendSession: s.SessionRow,
    s.LeaveSession: bool,
    s.KeepSession: None,
    s.CloseSession: None,
    s.ListSessions: list[s.SessionRow],
    c.PrepareArchive: a.Prepared,
    c.FinishArchive: a.Removed,
    c.ShrinkJournal: None,
    m.ListMailboxes: list[m.BoxRow],
    m.ListDead: list[m.DeadRow],
    m.ReadDead: m.DeadLetter,
    m.RetryDead: m.MailDone,
    m.DropDead: m.MailDone,
    t.ListQueues: list[t.QueueRow],
    t.ListBudgets: list[t.AccountRow],
    t.ExplainProcess: list[t.CauseRow],
    t.AddBudget: t.AccountRow,
    t.GrantBudget: t.AccountRow,
    t.ScheduleProcess: t.Scheduled,
    e.ListTopics: list[e.TopicRow],
    e.ListSubscribers: list[e.SubscriberRow],
    e.ReadEvents: e.EventsPage,
    e.PublishEvent: e.Published,
    e.ListTriggers: list[e.TriggerRow],
    e.SwitchTrigger: e.TriggerRow,
}
"""What each command is answered with."""

decode_envelope = msgspec.msgpack.Decoder(Envelope).decode
decode_command = msgspec.msgpack.Decoder(c.Command).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
_encode = msgspec.msgpack.encode


def encode_message(message: tuple[object, ...]) -> bytes:
    """A request `(n, command)` or a reply `(n, errno, value)` with its length in front."""
    body = _encode(message)
    return len(body).to_bytes(4, "little") + body
