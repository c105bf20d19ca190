"""Fleets in the kernel: bringing one, and starting its agents with what it grants them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Enoent
from prytany.abi.values import pack
from prytany.kernel.handlers.process import check_pledge
from prytany.kernel.letting_go import let_go
from prytany.kernel.operator import Core
from prytany.kernel.outcome import Program
from prytany.supervision.fleets import Fleet


class Agent(NamedTuple):
    """An agent as its fleet declares it, with its program, which was found."""

    name: str
    kind: str
    program: Program
    pledge: Sequence[str] | None = None
    """None is what the program declares."""
    model: str = ""
    """A name of the fleet's models; "" for the model of the run."""
    tools: Sequence[str] = ()
    """Names of tools."""
    unveil: Mapping[str, str] = {}
    spawns: Sequence[str] = ()
    restarts: int = 0
    python: str = ""
    about: str = ""


class FleetOperator:
    """What an operator can tell the kernel of fleets."""

    def __init__(self, kernel: Core) -> None:
        self._k = kernel

    def get(self, number: int) -> Fleet:
        """The fleet; raises Enoent."""
        fleet = self._k.fleets.fleets.get(number)
        if fleet is None:
            raise Enoent(f"there is no fleet {number}")
        return fleet

    def declare(
        self, name: str, agents: Iterable[Agent], *, models: Mapping[str, str], tools: Sequence[str], resolved: bytes,
        uid: int, stays: bool = False, number: int = 0,
    ) -> int:  # fmt: skip
        """Bring a fleet, or bring `number` again: what runs goes on as it is, what is started from now on is new.

        Args:
            name: the fleet's.
            agents: all of its agents.
            models: what its agents call a model, to the name that the kernel knows it by.
            tools: the files of its tools.
            resolved: all that its file says, to be kept.
            uid: the operator's.
            stays: it is up until it is withdrawn; else it goes with its last process.
            number: of the fleet that is brought again, or 0 for a new one.

        Returns:
            its number.

        Raises:
            Eagain: there are too many fleets.
            Enoent: a tool or model is named that is not there.
            Einval: there is no such pledge; two agents have one name.
        """
        k = self._k
        if not number and len(k.fleets.fleets) >= limits.FLEETS_MAX:
            raise Eagain(f"{limits.FLEETS_MAX} fleets are the most")
        known = {tool for path in tools for tool in k.tools.names(path)}
        had = dict(self.get(number).agents) if number else {}
        number = number or k.fleets.next_number
        events: list[ev.Event] = [
            ev.OperatorCommanded(uid, f"fleet {name}", 0),
            ev.FleetDeclared(number, name, k.digest(resolved), dict(models), list(tools), stays, uid),
        ]
        sources: list[bytes] = []
        for agent in agents:
            declared = self._declared(number, agent, models, known)
            if had.pop(agent.name, None) != declared:
                events.append(declared)
                sources.append(agent.program.source)
        events += [ev.AgentWithdrawn(number, gone) for gone in had]
        k.ledger.commit(tuple(events), {}, (resolved, *sources))
        return number

    def _declared(self, number: int, agent: Agent, models: Mapping[str, str], known: set[str]) -> ev.AgentDeclared:
        if agent.pledge is not None:
            check_pledge(list(agent.pledge))
        if missing := sorted(set(agent.tools) - known):
            raise Enoent(f"the agent {agent.name!r} has the tool {missing[0]!r}, and there is none of that name")
        if agent.model and agent.model not in models:
            raise Enoent(f"the agent {agent.name!r} has the model {agent.model!r}, and there is none of that name")
        found = agent.program
        pledge = found.pledge if agent.pledge is None else agent.pledge
        return ev.AgentDeclared(
            fleet=number, name=agent.name, kind=agent.kind, program=found.program,
            source=self._k.shared_digest(found.source), pledge=sorted(pledge), model=agent.model,
            tools=sorted(agent.tools), unveil=dict(agent.unveil), spawns=sorted(agent.spawns),
            restarts=agent.restarts, python=agent.python, about=agent.about,
        )  # fmt: skip

    def withdraw(self, number: int, *, uid: int) -> None:
        """Take a fleet down: it starts nothing any more, and goes with its last process. Raises Enoent."""
        fleet = self.get(number)
        self._k.ledger.commit((ev.OperatorCommanded(uid, f"down {fleet.name}", 0), ev.FleetWithdrawn(number)), {})

    def start(
        self, number: int, name: str, args: list[object], kwargs: dict[str, object], *, uid: int, model: str = "",
        unveil: Mapping[str, str] = {}, function: str = "",
    ) -> int:  # fmt: skip
        """Start an agent of a fleet as the root of a run; its pid.

        Args:
            number: the fleet's.
            name: the agent's.
            args: positional arguments of its program.
            kwargs: keyword arguments of its program.
            uid: the operator's.
            model: the kernel's name of the model of the run, for agents that name none.
            unveil: folders of this run alone, which the agent is given besides its own.
            function: another one of its program than the agent's own.

        Raises:
            Enoent: there is no such fleet or agent.
            Eagain: the process table is full.
            Epolicy: a tool of the fleet is not loaded in this kernel.
        """
        k = self._k
        fleet = self.get(number)
        agent = agent_of(fleet, name)
        if len(k.table.processes) >= limits.PROCESSES_MAX:
            raise Eagain("the process table is full")
        argument = pack([args, kwargs])
        program = f"{agent.program.rpartition(':')[0]}:{function}" if function else agent.program
        pid = k.table.next_number
        spawned = ev.ProcessSpawned(
            pid=pid, parent=0, run=pid, name=agent.name, kind=agent.kind, program=program, source=agent.source,
            argument=k.digest(argument), pledge=agent.pledge, unveil={**agent.unveil, **unveil},
            seed=k.entropy(32), uid=uid, model=fleet.models.get(agent.model) or model, python=agent.python,
            environment=k.environment(agent.python), restarts=agent.restarts, fleet=number, agent=agent.name,
        )  # fmt: skip
        granted, shared = k.tools.grant(pid, fleet.tools)
        events = (
            spawned,
            *granted,
            ev.ToolsNarrowed(pid, agent.tools),
            ev.ProcessReady(pid, 1),
            *let_go(k.table, k.now_ns(), keep_ms=k.quotas.ended_run_ms),
        )
        k.ledger.commit(events, {k.digest(argument): argument}, tuple(shared))
        return pid


def agent_of(fleet: Fleet, name: str) -> ev.AgentDeclared:
    """The agent of a fleet; raises Enoent."""
    agent = fleet.agents.get(name)
    if agent is None:
        there = ", ".join(sorted(fleet.agents)) or "none"
        raise Enoent(f"there is no agent {name[:100]!r} in the fleet {fleet.name!r}; there are {there}")
    return agent
