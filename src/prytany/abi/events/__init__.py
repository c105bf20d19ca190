"""Event schemas: what the journal says happened.

Each event is an array whose first element is its type and version (`process.spawned/1`). A record only grows at its
end, with a default, so that an older one decodes as it is; what changes in another way gets the next version, and an
upcaster here turns the older one into it. Events hold no content, only keyed digests of it: the content lies beside
the chain.

Events that belong to a process's record carry `prev`, the entry before them in that record, so that a record is a
linked list through the journal and a fork of it is a pointer.
"""

from prytany.abi.events.budget import BudgetAdded, BudgetGranted
from prytany.abi.events.call import (
    CallAbandoned,
    CallClosed,
    CallDone,
    CallDoubted,
    CallOpened,
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
    Node,
    Source,
)
from prytany.abi.events.digest import Digest
from prytany.abi.events.entry import UPCASTERS, Entry, Event, decode_entry, encode_entry
from prytany.abi.events.fleet import AgentDeclared, AgentWithdrawn, FleetDeclared, FleetWithdrawn
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
from prytany.abi.events.message import (
    MessageAwaited,
    MessageDead,
    MessageDone,
    MessageReplied,
    MessageReturned,
    MessageSent,
    MessageTaken,
)
from prytany.abi.events.model import HELD, ModelQueued, ModelReserved, ModelUsed
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
    Subject,
)
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
from prytany.abi.events.session import SessionClosed, SessionClosing, SessionKept, SessionOpened
from prytany.abi.events.tool import ToolCalled, ToolsGranted, ToolsNarrowed, ToolStarted

__all__ = [
    "HELD",
    "UPCASTERS",
    "AgentDeclared",
    "AgentStormed",
    "AgentWithdrawn",
    "BudgetAdded",
    "BudgetGranted",
    "CallAbandoned",
    "CallClosed",
    "CallDone",
    "CallDoubted",
    "CallOpened",
    "CallPiece",
    "CallSettled",
    "CallsDenied",
    "ChannelDeclared",
    "ChannelWithdrawn",
    "ContentForgotten",
    "ContextAppended",
    "ContextAsked",
    "ContextClosed",
    "ContextForked",
    "ContextOpened",
    "Digest",
    "EntriesRemoved",
    "Entry",
    "Event",
    "FleetDeclared",
    "FleetWithdrawn",
    "HomeRestored",
    "IncidentClosed",
    "IncidentOpened",
    "JournalArchived",
    "KernelStarted",
    "LimitNeared",
    "MessageAwaited",
    "MessageDead",
    "MessageDone",
    "MessageReplied",
    "MessageReturned",
    "MessageSent",
    "MessageTaken",
    "ModelQueued",
    "ModelReserved",
    "ModelUsed",
    "Node",
    "NoticeDelivered",
    "NoticeDropped",
    "NoticeMissed",
    "NoticeOpened",
    "NoticeRetried",
    "OperatorCommanded",
    "ProcessAccounted",
    "ProcessContinued",
    "ProcessExeced",
    "ProcessExited",
    "ProcessFailed",
    "ProcessPaused",
    "ProcessReady",
    "ProcessReaped",
    "ProcessReverted",
    "ProcessScheduled",
    "ProcessSignalled",
    "ProcessSpawned",
    "ProcessStarted",
    "ProcessUpgraded",
    "ProcessUpgrading",
    "ProcessWarned",
    "SessionClosed",
    "SessionClosing",
    "SessionKept",
    "SessionOpened",
    "Source",
    "Subject",
    "ToolCalled",
    "ToolStarted",
    "ToolsGranted",
    "ToolsNarrowed",
    "decode_entry",
    "encode_entry",
]
