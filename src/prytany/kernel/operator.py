"""The operator's commands. Each is an event with the uid of whoever gave it, in the entry of what it leads to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.budgets import RUN_DEFAULT, Budget, over
from prytany.abi.errors import Eagain, Einval, Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.abi.names import check_tags
from prytany.abi.qos import Qos
from prytany.abi.signals import Signal
from prytany.abi.values import pack
from prytany.kernel.addresses import alive
from prytany.kernel.handlers.incarnation import upgrade_events
from prytany.kernel.handlers.judging import End, supervised_end
from prytany.kernel.handlers.message import send_events
from prytany.kernel.handlers.process import check_pledge, exit_value, signal_events
from prytany.kernel.handlers.share import run_granted
from prytany.kernel.ledger import Ledger
from prytany.kernel.letting_go import absent, let_go
from prytany.kernel.outcome import Context, Program
from prytany.kernel.reactions import Reactions
from prytany.kernel.settle import settle_abandoned, settle_events
from prytany.process.process import Process, State


class Core(Context, Protocol):
    """The kernel, as its operator's commands see it."""

    ledger: Ledger
    reactions: Reactions
    idle: bool


class Operator:
    """What a person, or what acts for one, can tell the kernel. `uid` is theirs, as the operating system knows it."""

    def __init__(self, kernel: Core) -> None:
        self._k = kernel

    def process(self, pid: int) -> Process:
        """The process; raises Esrch."""
        process = self._k.table.get(pid)
        if process is None:
            raise absent(self._k.table, pid)
        return process

    def spawn(
        self, program: str, args: list[Any], kwargs: dict[str, Any], *, uid: int, kind: str = "python", name: str = "",
        pledge: list[str] | None = None, unveil: dict[str, str] | None = None, model: str = "",
        python: str = "", restarts: int = 0, tools: Sequence[str] = (), tags: Sequence[str] = (),
        qos: Qos = Qos.INITIATED, budget: Budget = RUN_DEFAULT,
    ) -> int:  # fmt: skip
        """Start a root process with the tools of these files; its pid.

        Raises:
            Enoent: there is no such program.
            Eagain: the process table is full.
            Einval: the name is too long, there is no such pledge, a tool's file cannot be used, or a tag is none.
            Epolicy: a tool's manifest has changed.
        """
        k = self._k
        if len(k.table.processes) >= limits.PROCESSES_MAX:
            raise Eagain("the process table is full")
        if len(name.encode()) > limits.NAME_BYTES_MAX:
            raise Einval(f"a name has at most {limits.NAME_BYTES_MAX} bytes")
        if pledge is not None:
            check_pledge(pledge)
        found: Program = k.find_program(program, "")
        argument = pack([args, kwargs])
        pid = k.table.next_number
        spawned = ev.ProcessSpawned(
            pid=pid, parent=0, run=pid, name=name or found.name, kind=kind, program=found.program,
            source=k.shared_digest(found.source), argument=k.digest(argument),
            pledge=sorted(found.pledge if pledge is None else pledge), unveil=unveil or {}, seed=k.entropy(32),
            uid=uid, model=model, python=python, environment=k.environment(python), restarts=restarts,
            tags=check_tags(tags), qos=qos,
        )  # fmt: skip
        granted, shared = k.tools.grant(pid, list(tools))
        events = (
            spawned,
            *granted,
            *run_granted(pid, over(RUN_DEFAULT, budget), -1 - uid),
            ev.ProcessReady(pid, 1),
            *let_go(k.table, k.now_ns(), keep_ms=k.quotas.ended_run_ms),
        )
        k.ledger.commit(events, {k.digest(argument): argument}, (found.source, *shared))
        return pid

    def signal(self, pid: int, signal: int, *, uid: int, reason: str = "killed", judged: bool = False) -> None:
        """Signal a process; `reason` is recorded where KILL ends it. With `judged`, KILL is a failure like any other to
        whoever supervises the process; else it ends for good.

        Raises Esrch when there is none alive, Einval when there is no such signal.
        """
        process = self.process(pid)
        if not process.alive:
            raise Esrch(f"process {format_pid(Pid(pid))} has ended")
        if signal not in list(Signal):
            raise Einval(f"there is no signal {signal}")
        decided = None
        if judged and signal == Signal.KILL:
            decided = supervised_end(self._k, process, End(128 + signal, signal, reason, failed=True))
        events, contents = decided or signal_events(self._k, process, signal, -1 - uid, reason)
        commanded = ev.OperatorCommanded(uid, f"signal {signal}", pid)
        self._k.ledger.commit(
            (commanded, *events), {self._k.digest(content): content for content in contents}, reserve=True
        )

    def send(self, pid: int, kind: str, body: Any, *, uid: int) -> int:
        """Put a message into a mailbox; its number. Its sender is -1 - uid. Raises Esrch, Eperm, Einval, Eagain."""
        k = self._k
        sent = send_events(k, -1 - uid, alive(k.table, pid), kind, body)
        commanded = ev.OperatorCommanded(uid, "send", pid)
        k.ledger.commit((commanded, *sent.events), {k.digest(content): content for content in sent.contents})
        return sent.number

    def upgrade(self, pid: int, program: str = "", *, uid: int) -> bool:
        """Move a `Server` to its program as it is on disk now, or to another: its state goes through `migrate`. Its
        rights stay what they are.

        Args:
            pid: the process.
            program: `file.py:Class`; "" is where its program was found.
            uid: the operator's.

        Returns:
            whether it moves now; else it does when it is done with the message in hand. Where the new program fails
            to take the state over, it goes on with the old one, and an incident says so.

        Raises:
            Esrch: there is no such process alive.
            Enoent: the program is not there, or no longer.
            Einval: either is no `Server`, or the process runs this version already.
        """
        k = self._k
        process = self.process(pid)
        if not process.alive:
            raise Esrch(f"process {format_pid(Pid(pid))} has ended")
        found = k.find_program(program or process.program, "")
        events = upgrade_events(k, process, found)
        k.ledger.commit((ev.OperatorCommanded(uid, "upgrade", pid), *events), {}, (found.source,))
        return isinstance(events[-1], ev.ProcessUpgraded)

    def settle(self, pid: int, n: int, choice: str, value: object, *, uid: int) -> None:
        """Decide what needs a person: call `n` of a process, or the process itself (0).

        Args:
            pid: the process.
            n: the call's number; of one that nobody waits for any more, minus the entry that opened it.
            choice: `retry`, `skip` or `give`.
            value: the call's result, for `give`.
            uid: the operator's.

        Raises:
            Esrch: there is no such process.
            Enoent: nothing there needs a person, or no longer; nothing is changed.
            Einval: there is no such choice, or the value cannot be the result.
        """
        contents: tuple[bytes, ...] = ()
        if n < 0:
            events = settle_abandoned(self._k.table, pid, n, choice, uid)
        else:
            events, contents = settle_events(self._k, self.process(pid), n, choice, value, uid, idle=self._k.idle)
        self._k.ledger.commit(events, {self._k.digest(content): content for content in contents}, reserve=True)

    async def wait_ended(self, pid: int) -> dict[str, Any]:
        """The durable end of a process: pid, status, signal, reason, result, error. Raises Esrch."""
        process = self.process(pid)
        if process.state is State.TERMINATED and process.ended_seq <= self._k.ledger.journal.durable:
            return exit_value(process, self._k.content_of(pid))
        ended: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        waiting = self._k.reactions.ended.setdefault(pid, [])
        waiting.append(ended)
        try:
            return await ended
        finally:
            # Who went away before the end is not kept; by the end, the list itself is gone.
            waiting.remove(ended)
            if not waiting and self._k.reactions.ended.get(pid) is waiting:
                del self._k.reactions.ended[pid]
