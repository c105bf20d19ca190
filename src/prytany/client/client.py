"""The client: one set of methods, whether or not a kernel runs in the home."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from prytany import __version__
from prytany.abi import control
from prytany.abi.budgets import Budget
from prytany.abi.errors import Eacces, Einval, Eio, Enoent, KernelError
from prytany.client.added import add_up
from prytany.client.holder import Holder, holder_of
from prytany.client.link import Link, Locked, connect
from prytany.client.mail import MailClient
from prytany.client.scheduling import SchedulingClient
from prytany.client.sharing import SharingClient
from prytany.client.topics import TopicsClient
from prytany.drivers.clocks.system import SystemClock

VERSION_CHARS_MAX = 60
VERSION_S = 2.0
"""How long a kernel that was not understood may take to say of what version it is."""
BUSY_TRIES = 40
BUSY_PAUSE_NS = 50_000_000
"""A home without a kernel is locked for as long as somebody else's command takes."""


async def attach(home: Path) -> Client:
    """A client of the home at `home`.

    Raises:
        Enoent: there is no home there.
        Eacces: it belongs to somebody else.
        Einval: it is no folder.
    """
    try:
        folder_fd = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Enoent(f"no home at {home}") from None
    except NotADirectoryError:
        raise Einval(f"{home} is not a folder") from None
    except PermissionError:
        raise Eacces(f"{home} belongs to somebody else") from None
    except OSError as error:
        raise Eio(f"cannot open {home}: {error.strerror}") from error
    client = Client(home, folder_fd)
    try:
        await client.reach()
    except BaseException:
        await client.close()
        raise
    return client


class Client(SchedulingClient, SharingClient, MailClient, TopicsClient):
    """See the module. Close it after use."""

    def __init__(self, home: Path, folder_fd: int) -> None:
        self.home = home
        self._folder_fd = folder_fd
        self._link: Link | None = None
        self.on_silence: Callable[[Holder], None] = lambda holder: None
        """Called where a kernel that runs gives no answer for a while."""

    @property
    def live(self) -> bool:
        """Whether a kernel was there when it was last looked for."""
        return self._link is not None and self._link.open

    async def reach(self) -> None:
        """Find the kernel, if one runs.

        Raises:
            Enoent: there is no journal.
            Eacces: it belongs to somebody else.
        """
        if self.live:
            return
        owner = os.fstat(self._folder_fd).st_uid
        if os.geteuid() not in (0, owner):  # nor would a kernel there listen to us; who knows what listens
            raise Eacces(f"{self.home} belongs to uid {owner}", detail={"uid": owner})
        self._link = await connect(self._folder_fd)
        if self._link is not None:
            self._link.whose(lambda: holder_of(self._folder_fd), lambda holder: self.on_silence(holder))
        else:
            if owner != os.geteuid():
                raise Eacces(f"{self.home} belongs to uid {owner}, and no kernel runs in it", detail={"uid": owner})
            try:
                found = os.stat("journal.db", dir_fd=self._folder_fd)
            except FileNotFoundError:
                found = None
            except OSError as error:
                raise Eio(f"the journal in {self.home} cannot be read: {error.strerror}") from None
            if found is None or not stat.S_ISREG(found.st_mode):
                raise Enoent(f"there is no journal in {self.home}")

    async def status(self) -> control.Status:
        """What the kernel is, and how much is in it."""
        status: control.Status = await self._ask(control.GetStatus())
        return status

    async def ps(self) -> list[control.ProcessRow]:
        """All processes, by pid; roots with what their runs took."""
        rows: list[control.ProcessRow] = []
        while True:
            page: list[control.ProcessRow] = await self._ask(control.ListProcesses(rows[-1].pid if rows else 0))
            if rows and page and page[0].pid <= rows[-1].pid:
                raise Eio("the kernel lists the same processes again")
            rows.extend(page)
            if len(page) < control.ROWS_MAX:
                add_up(rows)
                return rows

    async def inspect(self, pid: int) -> control.Inspection:
        """Everything about a process. Raises Esrch."""
        found: control.Inspection = await self._ask(control.InspectProcess(pid))
        return found

    async def signal(self, pid: int, signal: int) -> None:
        """Signal a process. Raises Esrch when there is none alive, Einval when there is no such signal."""
        await self._ask(control.SignalProcess(pid, signal))

    async def wait(self, pid: int) -> control.Ended:
        """The end of a process.

        Raises:
            Esrch: there is no such process, or its parent has taken its end.
            Eagain: it has not ended, and nothing runs.
            Epipe: the kernel stopped first.
        """
        ended: control.Ended = await self._ask(control.WaitProcess(pid))
        return ended

    async def incidents(self) -> list[control.IncidentRow]:
        """What needs a person, oldest first; at most `ROWS_MAX`."""
        rows: list[control.IncidentRow] = await self._ask(control.ListIncidents())
        return rows

    async def settle(self, pid: int, n: int, choice: str, value: object = None) -> None:
        """Decide what needs a person: call `n` of a process, or the process itself (0).

        Args:
            pid: the process.
            n: its call, as `incidents` gave it.
            choice: `retry`, `skip` or `give`.
            value: the result, for `give`.

        Raises:
            Esrch: there is no such process.
            Enoent: nothing there needs a person, or no longer; nothing is changed.
            Einval: there is no such choice, or the value cannot be the result.
        """
        await self._ask(control.SettleIncident(pid, n, choice, value))

    async def send(self, pid: int, type: str, body: object = None) -> int:
        """Put a message into the mailbox of a process; the message's number.

        Raises:
            Esrch: there is no such process alive.
            Eperm: it has not pledged `ipc`.
            Einval: type or body have a wrong size, or cannot be sent.
            Eagain: its mailbox is full.
        """
        number: int = await self._ask(control.SendMessage(pid, type, body))
        return number

    async def upgrade(self, pid: int, program: str = "") -> control.Upgrade:
        """Move a `Server` to its program as it is on disk now, or to `program`, `file.py:Class` with a whole path.

        Raises:
            Esrch: there is no such process alive.
            Enoent: there is no such program.
            Einval: either is no `Server`, or the process runs this version already.
        """
        upgrade: control.Upgrade = await self._ask(control.UpgradeProcess(pid, program))
        return upgrade

    async def forget(self, pid: int) -> control.Forgotten:
        """Destroy the content of an ended process: the chain still verifies.

        Raises:
            Esrch: the journal knows no such process.
            Ebusy: it has not ended, or its parent has not taken its result yet.
            Eio: it is recorded as forgotten, and not all of it could be destroyed; give the command again.
            Epipe: the kernel stopped in the middle; give the command again.
        """
        gone: control.Forgotten = await self._ask(control.ForgetProcess(pid))
        return gone

    async def freeze(self, *, thaw: bool = False) -> int:
        """Stop every process at once, or let go on those that this stopped; how many that were."""
        count: int = await self._ask(control.FreezeAll(thaw))
        return count

    async def start_agent(
        self, fleet: str, agent: str, kwargs: dict[str, Any], function: str = "", tags: Sequence[str] = ()
    ) -> int:
        """Start an agent of a fleet that is up; its pid. Raises Enoent, Einval, and Eagain where nothing runs."""
        pid: int = await self._ask(control.StartAgent(fleet, agent, kwargs, function, list(tags)))
        return pid

    async def bring_fleet(self, command: control.BringFleet) -> control.Plan:
        """Bring a resolved fleet up, or say what that would change. Raises KernelError as `system.fleet.bringing`."""
        plan: control.Plan = await self._ask(command)
        return plan

    async def withdraw_fleet(self, name: str, *, end: bool = True) -> int:
        """Take a fleet down; how many of its runs were asked to end. Raises Enoent."""
        ended: int = await self._ask(control.WithdrawFleet(name, end))
        return ended

    async def fleets(self) -> list[control.FleetRow]:
        """The fleets that are there. Raises Eagain where nothing runs."""
        rows: list[control.FleetRow] = await self._ask(control.ListFleets())
        return rows

    async def open_session(
        self, fleet: str, agent: str, user: str, *, kept: bool, grace_ms: int, tags: Sequence[str] = (),
        budget: Budget | None = None,
    ) -> control.SessionRow:  # fmt: skip
        """Start a chat agent for `user` to talk with. Raises Enoent, Einval, and Eagain where nothing runs."""
        opening = control.OpenSession(fleet, agent, user, kept, grace_ms, tuple(tags), budget)
        row: control.SessionRow = await self._ask(opening)
        return row

    async def attend(self, session: int) -> control.SessionRow:
        """Be in a session until it is closed; how it was. Raises Esrch, Eagain, Epipe."""
        row: control.SessionRow = await self._ask(control.AttendSession(session))
        return row

    async def leave_session(self, session: int) -> bool:
        """Say that one of those who attend it goes; whether that closes it. Raises Esrch, Eagain."""
        closes: bool = await self._ask(control.LeaveSession(session))
        return closes

    async def keep_session(self, session: int, kept: bool) -> None:
        """Let it outlive those who attend it, or not. Raises Esrch."""
        await self._ask(control.KeepSession(session, kept))

    async def close_session(self, session: int) -> None:
        """Tell all that ends with it to end. Raises Esrch."""
        await self._ask(control.CloseSession(session))

    async def sessions(self) -> list[control.SessionRow]:
        """All sessions that the table has, by number."""
        rows: list[control.SessionRow] = []
        while True:
            page: list[control.SessionRow] = await self._ask(control.ListSessions(rows[-1].session if rows else 0))
            if rows and page and page[0].session <= rows[-1].session:
                raise Eio("the kernel lists the same sessions again")
            rows.extend(page)
            if len(page) < control.ROWS_MAX:
                return rows

    async def hear(self, pid: int, after: int) -> control.Heard:
        """What a process said after entry `after`, once that is anything. Raises Esrch, Eagain, Epipe."""
        heard: control.Heard = await self._ask(control.FollowProcess(pid, after))
        return heard

    async def collect(self, before_ns: int = 0) -> control.Collected:
        """Destroy the content of processes that ended before that time, some at a time; 0 is seven days ago.

        Raises:
            Einval: there is no such time.
            Eio: it is recorded, and not all of it could be destroyed; give the command again.
            Epipe: the kernel stopped in the middle; give the command again.
        """
        collected: control.Collected = await self._ask(control.CollectContent(before_ns))
        return collected

    async def notices(self) -> list[control.NoticeRow]:
        """What people outside were to be told and were not; at most `ROWS_MAX`."""
        rows: list[control.NoticeRow] = await self._ask(control.ListNotices())
        return rows

    async def retry_notices(self, notice: int = 0) -> int:
        """Try a notice again now, or all that were not delivered (0); how many. Raises Enoent."""
        count: int = await self._ask(control.RetryNotices(notice))
        return count

    async def drop_notices(self, notice: int = 0) -> int:
        """Try a notice no more, or all that were given up (0); how many. Raises Enoent."""
        count: int = await self._ask(control.DropNotices(notice))
        return count

    async def archive(
        self, command: control.PrepareArchive, check: Callable[[control.Prepared], Awaitable[None]]
    ) -> tuple[control.Prepared, control.Removed]:
        """Have the journal go on without the entries that lie in an archive; `check` is called before any is removed,
        and may raise.

        Raises:
            Enoent: there is no such entry any more, or not yet; or the kernel that was to remove them is gone.
            Einval: it has another hash.
            Ebusy: somebody else is steering the home.
            Eio, Enospc: not all could be removed; give the command again.
        """
        await self.reach()
        if self.live:
            return await _archive(self._ask, command, check)
        from prytany.client import stopped

        try:
            async with stopped.opened(self.home) as carry_out:

                async def ask(command: control.Command) -> Any:
                    return msgspec.msgpack.decode(await carry_out(command), type=control.ANSWERS[type(command)])

                return await _archive(ask, command, check)
        except Locked as locked:
            raise locked.error from None

    async def finish_archive(self) -> control.Removed:
        """Remove what an earlier archiving has left, if it was cut off. Raises Enospc, Eio."""
        removed: control.Removed = await self._ask(control.FinishArchive())
        return removed

    async def shrink(self) -> None:
        """Give the journal's unused room back to the disk. Raises Enospc, Eio."""
        await self._ask(control.ShrinkJournal())

    async def wait_entry(self, after: int) -> int:
        """The number of the last durable entry, once it is above `after`.

        Raises:
            Eagain: nothing runs.
            Epipe: the kernel stopped first.
        """
        last: int = await self._ask(control.AwaitEntry(after))
        return last

    async def close(self) -> None:
        """Let go of the kernel."""
        if self._link is not None:
            await self._link.close()
        if self._folder_fd >= 0:
            os.close(self._folder_fd)
            self._folder_fd = -1

    async def _ask(self, command: control.Command) -> Any:
        clock = SystemClock()
        for tries in range(BUSY_TRIES):
            await self.reach()
            try:
                if self._link is not None:
                    packed: bytes | msgspec.Raw = await self._link.ask(command)
                else:
                    from prytany.client import stopped  # a kernel's parts, which a look at one that runs does without

                    packed = await stopped.answer(self.home, command)
                return msgspec.msgpack.decode(packed, type=control.ANSWERS[type(command)])
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                other = await self._other_version()
                raise Eio(f"the kernel's answer is none that this version knows: {error}{other}") from None
            except Einval as error:
                # A command that an older kernel does not know is refused like one with wrong arguments.
                if not error.message.startswith(control.UNKNOWN) or not (other := await self._other_version()):
                    raise
                raise Einval(f"{error.message}{other}", detail=error.detail) from None
            except Locked as locked:
                # A kernel that is just starting, or another's command: it is soon there, or soon done.
                if tries + 1 == BUSY_TRIES:
                    raise locked.error from None
            await clock.sleep_until(clock.now_ns() + BUSY_PAUSE_NS)
        raise AssertionError("the last try returns or raises")

    async def _other_version(self) -> str:
        """What to add where the kernel that runs is of another version of prytany than this; what it says of itself
        later may have any form."""
        if self._link is None:
            return ""
        try:
            async with asyncio.timeout(VERSION_S):
                said = msgspec.msgpack.decode(await self._link.ask(control.GetStatus()))
            version = str(said["version"])[:VERSION_CHARS_MAX]
        except (KernelError, TimeoutError, msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
            return ""
        if version == __version__:
            return ""
        return (
            f". The kernel that runs here is prytany {version}, and this is {__version__}: stop it and bring it up"
            " again with this version, or give the command with the other"
        )


async def _archive(
    ask: Callable[[control.Command], Awaitable[Any]], command: control.PrepareArchive,
    check: Callable[[control.Prepared], Awaitable[None]],
) -> tuple[control.Prepared, control.Removed]:  # fmt: skip
    await ask(control.FinishArchive())  # what an earlier one has left, if it was cut off
    prepared: control.Prepared = await ask(command)
    await check(prepared)
    return prepared, await ask(control.FinishArchive(prepared.seq))
