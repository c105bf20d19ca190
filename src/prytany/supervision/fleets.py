"""The fleets of a shard: a fold of what operators declared.

A fleet's agent has what its fleet grants it, whoever starts it; and who may start it is granted too, by `spawns`. So
an agent that may start another does not get more itself, and nobody is started by whom the operator did not name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi.budgets import Budget
from prytany.abi.errors import KernelPanic
from prytany.supervision.channels import Channel, Failing


class Fleet(msgspec.Struct, array_like=True):
    """One fleet. `members` is how many processes of it are in the table, ended ones that were not reaped among them."""

    number: int
    name: str
    resolved: bytes
    models: dict[str, str]
    tools: list[str]
    stays: bool
    agents: dict[str, ev.AgentDeclared] = {}
    members: int = 0
    channels: dict[int, Channel] = {}
    """By which people are told of it, by their places in its file."""
    failing: dict[str, Failing] = {}
    """By agent; kept only where there are channels."""
    budget: Budget | None = None
    """Of each run that begins with one of its agents; None where nothing is said."""
    bytes_per_second: int = 0
    """Of all its processes together; 0 for any number."""


class Member(msgspec.Struct, array_like=True, frozen=True):
    """What a process is in its fleet."""

    fleet: int
    agent: str
    kept: bool = False
    """It is the root of a run, or is begun again when it fails: nobody but people hears of its failure."""


NO_MEMBER = Member(0, "")


class Fleets(msgspec.Struct):
    """By number. One that does not stay is let go of with its last member."""

    fleets: dict[int, Fleet] = {}
    members: dict[int, Member] = {}
    """By pid; who is not here is of no fleet."""
    models: dict[str, int] = {}
    """The kernel's names of all models of fleets, to whose they are: nobody else means them by these names."""
    next_number: int = 1
    telling: dict[int, None] = {}
    """Those that have something to tell people."""
    suspects: dict[str, None] = {}
    """`fleet/agent` of whom so many failed lately that it may be a storm."""
    next_notice: int = 1
    news: int = 0
    """Counts what came up that people may have to be told of."""
    gone: int = 0
    """The one that was forgotten last."""

    def fleet_of(self, pid: int) -> Fleet | None:
        """The fleet of a process."""
        member = self.members.get(pid)
        return None if member is None else self.fleets[member.fleet]

    def agent_of(self, pid: int) -> ev.AgentDeclared | None:
        """What a process is declared to be now; None where it is of no fleet, or its agent was withdrawn."""
        member = self.members.get(pid)
        return None if member is None else self.fleets[member.fleet].agents.get(member.agent)

    def started_as(self, pid: int, program: str) -> str | None:
        """The agent that a process starts when it starts that program: the one that is it, of those it may start."""
        own = self.agent_of(pid)
        if own is None or not own.spawns:
            return None
        agents = self.fleets[own.fleet].agents
        found = [name for name in own.spawns if name in agents and agents[name].program == program]
        return found[0] if len(found) == 1 else None

    def model_of(self, pid: int, name: str) -> str:
        """The kernel's name of what a process calls `name`; "/" where it may not mean that."""
        fleet = self.fleet_of(pid)
        if fleet is not None and name in fleet.models:
            return fleet.models[name]
        return "/" if name in self.models else name

    def staying(self, name: str) -> Fleet | None:
        """The fleet of that name that is up."""
        return next((fleet for fleet in self.fleets.values() if fleet.stays and fleet.name == name), None)

    def declared(self, seq: int, e: ev.FleetDeclared) -> None:
        """Fold a fleet that is brought, or brought again."""
        fleet = self.fleets.get(e.fleet)
        if fleet is None:
            self.fleets[e.fleet] = Fleet(
                e.fleet,
                e.name,
                e.resolved,
                e.models,
                e.tools,
                e.stays,
                budget=e.budget,
                bytes_per_second=e.bytes_per_second,
            )
            self.next_number = max(self.next_number, e.fleet + 1)
        else:
            self._forget_models(fleet)
            fleet.resolved, fleet.models, fleet.tools, fleet.stays = e.resolved, e.models, e.tools, e.stays
            fleet.budget, fleet.bytes_per_second = e.budget, e.bytes_per_second
        self.models.update(dict.fromkeys(e.models.values(), e.fleet))

    def agent_declared(self, seq: int, e: ev.AgentDeclared) -> None:
        """Fold what an agent is."""
        self.require(e.fleet).agents[e.name] = e

    def agent_withdrawn(self, seq: int, e: ev.AgentWithdrawn) -> None:
        """Fold that none is started by that name any more."""
        self.require(e.fleet).agents.pop(e.name, None)

    def withdrawn(self, seq: int, e: ev.FleetWithdrawn) -> None:
        """Fold that it is taken down."""
        fleet = self.require(e.fleet)
        fleet.stays = False
        self.let_go(fleet)

    def spawned(self, seq: int, e: ev.ProcessSpawned) -> None:
        """Fold a new member."""
        if e.fleet:
            self.members[e.pid] = Member(e.fleet, e.agent, not e.parent or e.restarts > 0)
            self.require(e.fleet).members += 1

    def handed_off(self, seq: int, e: ev.ProcessHandedOff) -> None:
        """Fold that a member is another agent of its fleet."""
        self.members[e.pid] = Member(self.members[e.pid].fleet, e.agent, e.kept)

    def supervised(self, seq: int, e: ev.ChildSupervised) -> None:
        """Fold that nobody but its supervisor hears of its end."""
        member = self.members.get(e.pid)
        if member is not None and e.supervisor:
            self.members[e.pid] = Member(member.fleet, member.agent, kept=True)

    def reaped(self, seq: int, e: ev.ProcessReaped) -> None:
        """Fold that a process has left the table."""
        member = self.members.pop(e.pid, None)
        if member is not None:
            fleet = self.require(member.fleet)
            fleet.members -= 1
            self.let_go(fleet)

    def let_go(self, fleet: Fleet) -> None:
        """Forget a fleet that is not up, has no processes, and nothing to tell people."""
        if not fleet.stays and not fleet.members and fleet.number not in self.telling:
            self._forget_models(fleet)
            for agent in fleet.failing:
                self.suspects.pop(f"{fleet.number}/{agent}", None)
            del self.fleets[fleet.number]
            self.gone = fleet.number

    def _forget_models(self, fleet: Fleet) -> None:
        for name in fleet.models.values():
            self.models.pop(name, None)

    def require(self, number: int) -> Fleet:
        """The fleet; one that events name and there is not is a panic."""
        fleet = self.fleets.get(number)
        if fleet is None:
            raise KernelPanic(f"an event names fleet {number}, which there is not")
        return fleet


FOLDS: dict[type, Callable[[Fleets, int, Any], None]] = {
    ev.FleetDeclared: Fleets.declared,
    ev.AgentDeclared: Fleets.agent_declared,
    ev.AgentWithdrawn: Fleets.agent_withdrawn,
    ev.FleetWithdrawn: Fleets.withdrawn,
    ev.ProcessSpawned: Fleets.spawned,
    ev.ProcessHandedOff: Fleets.handed_off,
    ev.ChildSupervised: Fleets.supervised,
    ev.ProcessReaped: Fleets.reaped,
}
