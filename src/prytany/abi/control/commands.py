"""What an operator can tell a kernel."""

from __future__ import annotations

from typing import Any

import msgspec

from prytany.abi.control.mail import MailCommand
from prytany.abi.control.scheduling import SchedulingCommand
from prytany.abi.control.sessions import AttendSession, SessionCommand
from prytany.abi.control.sharing import SharingCommand
from prytany.abi.control.topics import TopicsCommand


class GetStatus(msgspec.Struct, array_like=True, frozen=True, tag="status"):
    """What the kernel is, and how much is in it."""


class ListProcesses(msgspec.Struct, array_like=True, frozen=True, tag="ps"):
    """At most ROWS_MAX processes with a pid above `after`, by pid."""

    after: int = 0


class InspectProcess(msgspec.Struct, array_like=True, frozen=True, tag="inspect"):
    """Everything about one process."""

    pid: int


class SignalProcess(msgspec.Struct, array_like=True, frozen=True, tag="signal"):
    """Signal it, by number."""

    pid: int
    signal: int


class WaitProcess(msgspec.Struct, array_like=True, frozen=True, tag="wait"):
    """Answered when it has ended."""

    pid: int


class ListIncidents(msgspec.Struct, array_like=True, frozen=True, tag="incidents"):
    """What needs a person: the ROWS_MAX oldest."""


class SettleIncident(msgspec.Struct, array_like=True, frozen=True, tag="settle"):
    """Decide what needs a person: `retry`, `skip`, or `give` with the result. `n` is as ListIncidents gave it."""

    pid: int
    n: int
    choice: str
    value: Any = None


class ForgetProcess(msgspec.Struct, array_like=True, frozen=True, tag="forget"):
    """Destroy the content of an ended process; answered when it is destroyed."""

    pid: int


class CollectContent(msgspec.Struct, array_like=True, frozen=True, tag="collect"):
    """Destroy the content of processes that ended before that time, some at a time; answered when that is done."""

    before_ns: int = 0
    """0 is the time for which ended runs are kept in the table."""


class PrepareArchive(msgspec.Struct, array_like=True, frozen=True, tag="archive"):
    """Make ready to go on without the entries up to `last`, which has that hash; nothing is removed by this."""

    last: int
    hash: bytes
    file: str = ""
    """What the archive is called."""


class FinishArchive(msgspec.Struct, array_like=True, frozen=True, tag="archived"):
    """Remove what was made ready at entry `seq`; 0 is what an earlier one has left. Answered when it is removed."""

    seq: int = 0


class ShrinkJournal(msgspec.Struct, array_like=True, frozen=True, tag="shrink"):
    """Give the journal's unused room back to the disk; answered when that is done."""


class SendMessage(msgspec.Struct, array_like=True, frozen=True, tag="send"):
    """Put a message of that type into its mailbox; answered with the message's number."""

    pid: int
    kind: str
    body: Any = None


class UpgradeProcess(msgspec.Struct, array_like=True, frozen=True, tag="upgrade"):
    """Move a `Server` to its program as it is on disk now, or to `program`: the same class in another file."""

    pid: int
    program: str = ""


class StartAgent(msgspec.Struct, array_like=True, frozen=True, tag="start"):
    """Start an agent of the fleet of that name, as the root of a run; answered with its pid."""

    fleet: str
    agent: str
    kwargs: dict[str, Any] = {}
    function: str = ""
    """Another one of its program than the agent's own."""
    tags: list[str] = []
    """Of this run, with the agent's own."""


class BringFleet(msgspec.Struct, array_like=True, frozen=True, tag="bring"):
    """Bring a resolved fleet, packed, which stays until it is withdrawn; or say only what that would change.

    `environment` are variables of whoever commands it, instead of the kernel's own: secrets may be taken from them.
    They are never recorded.
    """

    fleet: bytes
    dry_run: bool = False
    environment: dict[str, str] = {}


class WithdrawFleet(msgspec.Struct, array_like=True, frozen=True, tag="withdraw"):
    """Take the fleet of that name down: nothing of it is started any more, and with `end` its processes are asked to
    end (TERM)."""

    name: str
    end: bool = True


class ListFleets(msgspec.Struct, array_like=True, frozen=True, tag="fleets"):
    """The fleets that are there."""


class FollowProcess(msgspec.Struct, array_like=True, frozen=True, tag="listen"):
    """Answered with what a process said and what became of it after entry `after`, once that is anything."""

    pid: int
    after: int


class AwaitEntry(msgspec.Struct, array_like=True, frozen=True, tag="follow"):
    """Answered with the number of the last durable entry once that is above `after`."""

    after: int


class FreezeAll(msgspec.Struct, array_like=True, frozen=True, tag="freeze"):
    """Stop every process at once; with `thaw`, let go on those that this stopped. Answered with how many."""

    thaw: bool = False


class ListNotices(msgspec.Struct, array_like=True, frozen=True, tag="notices"):
    """What people outside were to be told and were not: the ROWS_MAX first."""


class RetryNotices(msgspec.Struct, array_like=True, frozen=True, tag="retry_notices"):
    """Try that notice again now, or all that were not delivered (0). Answered with how many."""

    notice: int = 0


class DropNotices(msgspec.Struct, array_like=True, frozen=True, tag="drop_notices"):
    """Try that notice no more, or all that were given up (0). Answered with how many."""

    notice: int = 0


Command = (
    GetStatus | ListProcesses | InspectProcess | SignalProcess | WaitProcess | ListIncidents | SettleIncident
    | ForgetProcess | CollectContent | SendMessage | UpgradeProcess | AwaitEntry | StartAgent | BringFleet
    | WithdrawFleet | ListFleets | FollowProcess | FreezeAll | ListNotices | RetryNotices | DropNotices | SessionCommand
    | SchedulingCommand | SharingCommand | MailCommand | TopicsCommand | PrepareArchive | FinishArchive | ShrinkJournal
)  # fmt: skip
Unbounded = (
    WaitProcess | ForgetProcess | CollectContent | AwaitEntry | BringFleet | FollowProcess | AttendSession
    | PrepareArchive | FinishArchive | ShrinkJournal
)  # fmt: skip
"""Those whose answer takes as long as it takes."""
