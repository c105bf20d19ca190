"""The desk: an operator's commands carried out on an opened shard, and answered when what they say is durable."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from prytany.abi import control
from prytany.abi.errors import Eagain, KernelError
from prytany.abi.ids import Pid, format_pid
from prytany.kernel.views import incident_rows, inspection, process_rows
from prytany.process.table import Table

if TYPE_CHECKING:
    from prytany.kernel.kernel import Kernel

_pack = msgspec.msgpack.encode
Look = control.GetStatus | control.ListProcesses | control.InspectProcess | control.ListIncidents


class Facts(NamedTuple):
    """What is known of a kernel beside its fold; `os_pid` is 0 where none runs."""

    version: str
    os_pid: int
    home: str
    confined: bool
    running_max: int


def look(command: Look, table: Table, head: int, now_ns: int, facts: Facts) -> object:
    """What a command that changes nothing is answered with, from the fold at entry `head`. Raises Esrch."""
    match command:
        case control.GetStatus():
            return control.Status(
                **facts._asdict(), head=head, time_ns=table.time_ns, processes=len(table.processes),
                running=len(table.running), ready=len(table.ready), incidents=len(table.incidents),
            )  # fmt: skip
        case control.ListProcesses():
            return process_rows(table, command.after)
        case control.InspectProcess():
            return inspection(table, command.pid, now_ns)
        case control.ListIncidents():
            return incident_rows(table)


class Desk:
    """Answers commands, in any number at once."""

    def __init__(self, kernel: Kernel, facts: Facts) -> None:
        self._kernel = kernel
        self._facts = facts

    async def answer(self, command: control.Command, uid: int) -> bytes:
        """Carry out `command` of the operator `uid`; its packed answer, once what it says is durable.

        Raises:
            KernelError: as the command says.
        """
        if isinstance(command, control.WaitProcess):
            return await self._wait(command.pid)
        journal = self._kernel.ledger.journal
        try:
            # Packed now: what is shown is the state of this moment, which becomes durable, and not a later one.
            answer, refusal = _pack(self._carry_out(command, uid)), None
        except KernelError as error:
            answer, refusal = b"", error
        await journal.wait_durable(journal.head.seq)
        if refusal is not None:
            raise refusal
        return answer

    def _carry_out(self, command: control.Command, uid: int) -> object:
        kernel = self._kernel
        match command:
            case control.SignalProcess():
                kernel.operator.signal(command.pid, command.signal, uid=uid)
            case control.SettleIncident():
                kernel.operator.settle(command.pid, command.n, command.choice, command.value, uid=uid)
            case control.WaitProcess():
                raise AssertionError("it is answered later")
            case _:
                head, now_ns = kernel.ledger.journal.head.seq, kernel.ledger.now_ns()
                return look(command, kernel.table, head, now_ns, self._facts)
        return None

    async def _wait(self, pid: int) -> bytes:
        kernel = self._kernel
        if kernel.idle and kernel.operator.process(pid).alive:
            raise Eagain(f"nothing runs in this home, so process {format_pid(Pid(pid))} cannot end: resume it first")
        return _pack(control.Ended(**await kernel.operator.wait_ended(pid)))
