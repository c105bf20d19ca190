"""The desk: an operator's commands carried out on an opened shard, and answered when what they say is durable."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prytany.abi import control
from prytany.abi.control import mail
from prytany.abi.errors import Eagain, Einval, Eio, KernelError
from prytany.abi.ids import Pid, format_pid
from prytany.abi.signals import Signal
from prytany.abi.values import pack
from prytany.kernel.freezing import freeze
from prytany.kernel.notice_views import notice_rows, undelivered
from prytany.kernel.pages import Pages
from prytany.kernel.queue_views import Live
from prytany.kernel.quotas import DEFAULT_QUOTAS, Quotas
from prytany.kernel.sharing_views import break_lock, lock_rows, segment_rows
from prytany.kernel.state import ShardState
from prytany.kernel.topic_views import look_at_topics
from prytany.kernel.views import fleet_rows, incident_rows, inspection, process_rows, session_rows
from prytany.ports.store import Base, StoreError
from prytany.system.mail_desk import carry_out_mail, look_at_mail
from prytany.system.scheduling_desk import Act, carry_out_scheduling, look_at_scheduling
from prytany.system.sessions import SessionDesk

if TYPE_CHECKING:
    from prytany.kernel.kernel import Kernel
    from prytany.system.fleet.desk import FleetDesk

Look = (
    control.GetStatus | control.ListProcesses | control.InspectProcess | control.ListIncidents | control.ListNotices
    | control.ListSessions | control.SchedulingLook | control.SharingLook | mail.MailLook | control.TopicsLook
)  # fmt: skip
AtOnce = (
    Look | control.SignalProcess | control.SettleIncident | control.SendMessage | control.UpgradeProcess
    | control.FreezeAll | control.RetryNotices | control.DropNotices | control.BreakLock | Act | mail.MailAct
    | control.TopicsAct
)  # fmt: skip


class Facts(NamedTuple):
    """What is known of a kernel beside its fold; `os_pid` is 0 where none runs."""

    version: str
    os_pid: int
    home: str
    confined: bool
    running_max: int
    since_ns: int = 0
    models: Sequence[str] = ()


def look(
    command: Look, state: ShardState, pages: Pages, head: int, now_ns: int, facts: Facts,
    quotas: Quotas = DEFAULT_QUOTAS, live: Live | None = None,
) -> object:  # fmt: skip
    """What a command that changes nothing is answered with, from the fold at entry `head`; `pages` are of its table,
    `live` is the kernel that runs. Raises Esrch."""
    table = state.table
    match command:
        case control.GetStatus():
            waiting, given_up = undelivered(state.fleets)
            return control.Status(
                **facts._asdict(), fleets=fleet_rows(state), head=head, time_ns=table.time_ns,
                processes=len(table.processes),
                running=len(table.running), ready=len(table.ready), incidents=len(table.incidents),
                let_go=table.runs_let_go, states=_states(state), notices_waiting=waiting, notices_given_up=given_up,
            )  # fmt: skip
        case control.ListProcesses():
            return process_rows(state, pages, command.after, now_ns)
        case control.InspectProcess():
            return inspection(state, command.pid, now_ns, quotas)
        case control.ListIncidents():
            return incident_rows(table)
        case control.ListNotices():
            return notice_rows(state.fleets)
        case control.ListSessions():
            return session_rows(state, command.after, {})
        case mail.ListMailboxes() | mail.ListDead():
            return look_at_mail(command, state, now_ns)
        case control.ListTopics() | control.ListSubscribers() | control.ListTriggers():
            return look_at_topics(command, state)
        case control.ListLocks():
            return lock_rows(state, command.after)
        case control.ListSegments():
            return segment_rows(state, command.after)
        case _:
            return look_at_scheduling(command, state, live, now_ns)


def _begins(command: control.Command) -> bool:
    """Whether it would begin something, or let it go on."""
    match command:
        case (
            control.StartAgent()
            | control.OpenSession()
            | control.BringFleet()
            | control.SendMessage()
            | control.PublishEvent()
            | control.UpgradeProcess()
            | mail.RetryDead()
            | control.AddBudget()
            | control.GrantBudget()
        ):
            return True
        case control.SignalProcess(signal=Signal.CONT) | control.SettleIncident(choice="retry"):
            return True
        case control.FreezeAll(thaw=thaw):
            return thaw
        case _:
            return False


def _states(state: ShardState) -> dict[str, int]:
    """By what is shown; costs half a microsecond a process."""
    counted = Counter(process.shown_state()[0].value for process in state.table.processes.values())
    return dict(sorted(counted.items()))


class Desk:
    """Answers commands, in any number at once."""

    def __init__(self, kernel: Kernel, facts: Facts) -> None:
        self._kernel = kernel
        self._facts = facts
        self._pages = Pages(kernel.table)
        self._forgetting = asyncio.Lock()
        self._sessions = SessionDesk(kernel)
        self._prepared: list[Base] = []
        """What the journal was made ready to begin with, by the command of late."""
        self.fleets: FleetDesk | None = None
        """What fleets are brought by; None where nothing runs."""

    async def answer(self, command: control.Command, uid: int) -> bytes:
        """Carry out `command` of the operator `uid`; its packed answer, once what it says is durable.

        Raises:
            KernelError: as the command says.
        """
        if self._kernel.draining and _begins(command):
            raise Eagain("the kernel is about to stop, and begins nothing; what it ran goes on when it comes back")
        if isinstance(command, control.SessionCommand):
            return await self._sessions.answer(command, uid)
        match command:
            case control.WaitProcess():
                return await self._wait(command.pid)
            case control.ForgetProcess():
                return await self._forget(command.pid, uid)
            case control.CollectContent():
                return await self._collect(command.before_ns, uid)
            case control.PrepareArchive() | control.FinishArchive() | control.ShrinkJournal():
                from prytany.system.archive_desk import answer_archiving

                async with self._forgetting:
                    return await answer_archiving(self._kernel, Path(self._facts.home), command, uid, self._prepared)
            case control.AwaitEntry():
                return await self._follow(command.after)
            case (
                control.StartAgent()
                | control.BringFleet()
                | control.WithdrawFleet()
                | control.ListFleets()
                | control.FollowProcess()
            ):
                if self.fleets is None:
                    raise Eagain("nothing runs in this home: bring a kernel up first, with `prytany up`")
                return await self.fleets.answer(command, uid)
            case _:
                return await self._at_once(command, uid)

    async def _at_once(self, command: AtOnce, uid: int) -> bytes:
        journal = self._kernel.ledger.journal
        try:
            # Packed now: what is shown is the state of this moment, which becomes durable, and not a later one.
            answer, refusal = pack(self._carry_out(command, uid)), None
        except KernelError as error:
            answer, refusal = b"", error
        await journal.wait_durable(journal.head.seq)
        if refusal is not None:
            raise refusal
        return answer

    def _carry_out(self, command: AtOnce, uid: int) -> object:
        kernel = self._kernel
        operator = kernel.operator
        match command:
            case control.SignalProcess():
                operator.signal(command.pid, command.signal, uid=uid, judged=True)
            case control.FreezeAll():
                return freeze(kernel, uid, thaw=command.thaw)
            case control.SettleIncident():
                operator.settle(command.pid, command.n, command.choice, command.value, uid=uid)
            case control.SendMessage():
                return operator.send(command.pid, command.kind, command.body, uid=uid)
            case control.RetryNotices():
                return kernel.fleet_operator.retry_notices(command.notice, uid=uid)
            case control.DropNotices():
                return kernel.fleet_operator.drop_notices(command.notice, uid=uid)
            case control.UpgradeProcess():
                moved = operator.upgrade(command.pid, command.program, uid=uid)
                p = operator.process(command.pid)
                program, source = (p.program, p.source) if moved else (p.pending_program or p.program, p.pending)
                return control.Upgrade(pending=not moved, program=program, source=source.hex())
            case mail.ReadDead() | mail.RetryDead() | mail.DropDead():
                return carry_out_mail(kernel, command, uid)
            case control.ReadEvents() | control.PublishEvent() | control.SwitchTrigger():
                from prytany.kernel.topic_desk import carry_out_topics

                return carry_out_topics(kernel, command, uid)
            case control.BreakLock():
                return break_lock(kernel.ledger, command.name, command.scope, uid)
            case control.AddBudget() | control.GrantBudget() | control.ScheduleProcess():
                return carry_out_scheduling(kernel, command, uid)
            case _:
                ledger, live = kernel.ledger, None if kernel.idle else kernel
                head, now_ns = ledger.journal.head.seq, ledger.now_ns()
                found = look(command, ledger.state, self._pages, head, now_ns, self._facts, kernel.quotas, live)
                if isinstance(found, control.Status) and self.fleets is not None:
                    found.lacking = self.fleets.lacking()
                return found
        return None

    async def _forget(self, pid: int, uid: int) -> bytes:
        from prytany.kernel.forgetting import forget  # who only looks does without

        kernel = self._kernel
        async with self._forgetting:
            try:
                gone = await forget(kernel.ledger, kernel.reader, pid, uid)
            except StoreError as error:
                name = format_pid(Pid(pid))
                raise Eio(f"the content of process {name} was not destroyed, or not all of it: {error}") from error
        return pack(control.Forgotten(**gone._asdict()))

    async def _collect(self, before_ns: int, uid: int) -> bytes:
        from prytany.kernel.collecting import collect

        kernel = self._kernel
        if before_ns < 0:
            raise Einval("a time is a number of nanoseconds since 1970")
        async with self._forgetting:
            try:
                done = await collect(kernel.ledger, kernel.reader, before_ns, uid, kernel.quotas.ended_run_ms)
            except StoreError as error:
                raise Eio(f"the content of ended processes was not destroyed, or not all of it: {error}") from error
        return pack(control.Collected(pids=done.pids, **done.forgotten._asdict(), more=done.more))

    async def _follow(self, after: int) -> bytes:
        if self._kernel.idle:
            raise Eagain("nothing runs in this home, so nothing more will be recorded")
        return pack(await self._kernel.ledger.wait_entry(after))

    async def _wait(self, pid: int) -> bytes:
        kernel = self._kernel
        if kernel.idle and kernel.operator.process(pid).alive:
            raise Eagain(f"nothing runs in this home, so process {format_pid(Pid(pid))} cannot end: resume it first")
        return pack(control.Ended(**await kernel.operator.wait_ended(pid)))
