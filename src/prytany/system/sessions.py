"""Operators' commands about sessions, on an opened shard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prytany.abi import control
from prytany.abi.budgets import checked
from prytany.abi.errors import Eagain, Einval
from prytany.abi.program import CONVERSATION
from prytany.abi.values import pack
from prytany.kernel.views import session_row, session_rows

if TYPE_CHECKING:  # who only looks at a home does without
    from prytany.kernel.kernel import Kernel

ENDED = "ended by an operator"


class SessionDesk:
    """Answers commands about sessions."""

    def __init__(self, kernel: Kernel) -> None:
        self._k = kernel

    async def answer(self, command: control.SessionCommand, uid: int) -> bytes:
        """Carry it out; its packed answer, once what it says is durable. Raises KernelError."""
        k = self._k
        if k.idle and not isinstance(command, control.ListSessions | control.CloseSession):
            raise Eagain("nothing runs in this home: bring a kernel up first, with `prytany up`")
        if isinstance(command, control.AttendSession):
            return await self._attend(command.session)
        packed = pack(self._carry_out(command, uid))
        journal = k.ledger.journal
        await journal.wait_durable(journal.head.seq)
        return packed

    def _carry_out(self, command: control.SessionCommand, uid: int) -> object:
        sessions = self._k.sessions
        match command:
            case control.OpenSession():
                number = self._open(command, uid)
                return session_row(self._k.ledger.state, number, 0)
            case control.LeaveSession():
                return sessions.leave(command.session, uid=uid)
            case control.KeepSession():
                sessions.keep(command.session, command.kept, uid=uid)
            case control.CloseSession():
                sessions.end(command.session, uid=uid, reason=ENDED)
            case control.ListSessions():
                return session_rows(self._k.ledger.state, command.after, sessions.attended)
            case control.AttendSession():
                raise AssertionError("answered elsewhere")
        return None

    def _open(self, command: control.OpenSession, uid: int) -> int:
        # Late: who only looks at a home does without the fleet file's forms.
        from prytany.kernel.fleet_agents import agent_of
        from prytany.kernel.sessions import fleet_up
        from prytany.system.fleet.bringing import resolved_of

        k = self._k
        number = fleet_up(k, command.fleet)
        agent = agent_of(k.fleets.fleets[number], command.agent)
        if resolved_of(k, number).agents[agent.name].chat is None:
            chats = [a.name for a in resolved_of(k, number).agents.values() if a.chat is not None]
            error = Einval(f"the agent {agent.name!r} is a program: sessions are with chat agents")
            error.add_note(f"its fleet's chat agents are: {', '.join(chats) or 'none'}")
            raise error
        return k.sessions.open(
            number, agent.name, CONVERSATION, uid=uid, user=command.user, kept=command.kept,
            grace_ms=command.grace_ms, tags=command.tags, budget=checked(command.budget),
        )  # fmt: skip

    async def _attend(self, number: int) -> bytes:
        k = self._k
        async with k.sessions.attend(number) as closed:
            await closed
            journal = k.ledger.journal
            await journal.wait_durable(journal.head.seq)
            k.sessions.get(number)
            return pack(session_row(k.ledger.state, number, k.sessions.attended[number]))
