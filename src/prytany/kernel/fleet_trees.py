"""Trees that a fleet declares: its groups are processes without programs, and its agents their children.

A tree is one run. All of it is made in one entry; then the group at its top begins, and everything else with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi import supervision as words
from prytany.abi.budgets import RUN_DEFAULT, over
from prytany.abi.errors import Eagain
from prytany.abi.ids import pid_of
from prytany.abi.names import check_tags
from prytany.abi.qos import Qos
from prytany.abi.values import pack
from prytany.kernel.fleet_agents import agent_of, check_price
from prytany.kernel.handlers.share import granted, run_granted
from prytany.kernel.handlers.supervise import declared
from prytany.kernel.ledger import Ledger
from prytany.kernel.outcome import Context
from prytany.process.process import Process
from prytany.supervision.fleets import Fleet

ARGUMENT = pack([[], {}])


class Core(Context, Protocol):
    """The kernel, as this sees it."""

    ledger: Ledger


class Pooled(NamedTuple):
    """How large a pool is."""

    least: int
    most: int
    target: int
    idle_ms: int


class Tree(NamedTuple):
    """A group, and what stands in it."""

    name: str
    strategy: str
    intensity: int
    period_ms: int
    restart: str
    children: Sequence[Any]
    """Names of agents, and groups."""
    pool: Pooled | None = None
    """It is a pool of the agent of its name."""


def start_tree(k: Core, number: int, tree: Tree, *, uid: int, model: str = "", tags: Sequence[str] = ()) -> int:
    """Start a tree of a fleet as a run; the pid of its group.

    Raises:
        Enoent: there is no such fleet or agent.
        Einval: a budget is in money, and its model has no price.
        Eagain: the process table is full.
        Epolicy: a tool of the fleet is not loaded in this kernel.
    """
    fleet = k.fleets.fleets[number]
    made = _Made(k, fleet, model, uid, tags)
    made.group(tree, 0)
    tools, shared = k.tools.grant(made.run, fleet.tools)
    budget = over(fleet.budget or RUN_DEFAULT, None)
    first, *rest = made.events
    events = (first, *tools, *run_granted(made.run, budget, -1 - uid), *rest, ev.ProcessReady(made.run, 1))
    k.ledger.commit(events, {k.digest(ARGUMENT): ARGUMENT}, tuple(shared), payer=made.run)
    return made.run


def add_to_tree(k: Core, group: Process, children: Sequence[Any], *, uid: int, model: str = "") -> list[int]:
    """Start more children in a group that runs; their pids. Raises as `start_tree`."""
    member = k.fleets.members[group.pid]
    made = _Made(k, k.fleets.fleets[member.fleet], model, uid, group.tags, run=group.run)
    pids = [made.child(child, group.pid) for child in children]
    events = (*made.events, *(ev.ProcessReady(pid, 1) for pid in pids))
    k.ledger.commit(events, {k.digest(ARGUMENT): ARGUMENT}, payer=group.run)
    return pids


def groups_of(k: Core, number: int) -> Iterator[Process]:
    """The groups of a fleet that live. Looks at its members."""
    for pid, member in k.fleets.members.items():
        process = k.table.get(pid)
        if member.fleet == number and process is not None and process.alive and process.kind == words.GROUP:
            yield process


class _Made:
    """The events of a tree that is being made, and its pids."""

    def __init__(self, k: Core, fleet: Fleet, model: str, uid: int, tags: Sequence[str], run: int = 0) -> None:
        self._k, self._fleet, self._model, self._uid, self._tags = k, fleet, model, uid, tags
        self.run = run
        self._next = k.table.next_number
        self.events: list[ev.Event] = []
        self._pooled = {pid: pool.made for pid, pool in k.state.pools.pools.items()}

    def group(self, tree: Tree, parent: int) -> int:
        """A group with all that stands in it."""
        pid = self._pid()
        self.run = self.run or pid
        self.events += [
            ev.ProcessSpawned(
                pid=pid, parent=parent, run=self.run, name=tree.name, kind=words.GROUP, program="", source=b"",
                argument=b"", pledge=["ipc"] if tree.pool else [], unveil={}, seed=self._k.entropy(32), uid=self._uid,
                fleet=self._fleet.number, agent=tree.name if tree.pool else "",
                tags=check_tags(self._tags), qos=Qos.UTILITY,
            ),
            ev.ToolsNarrowed(pid, []),
            declared(pid, tree.strategy, tree.intensity, tree.period_ms, group=True),
        ]  # fmt: skip
        if tree.pool is not None:
            self.events.append(ev.PoolDeclared(pid, tree.name, *tree.pool))
            self._pooled[pid] = 0
        if parent:
            self.events.append(ev.ChildSupervised(pid, parent, tree.restart, words.SHUTDOWN_MS))
        for child in tree.children:
            self.child(child, pid)
        return pid

    def child(self, child: Any, parent: int) -> int:
        """An agent, or another group."""
        return self.group(child, parent) if isinstance(child, Tree) else self._agent(child, parent)

    def _agent(self, name: str, parent: int) -> int:
        k, fleet = self._k, self._fleet
        agent = agent_of(fleet, name)
        model = fleet.models.get(agent.model) or self._model
        check_price(k, model, (fleet.budget, agent.budget))
        pid = self._pid()
        shutdown_ms = agent.shutdown_ms if agent.shutdown_ms >= 0 else words.SHUTDOWN_MS
        self.events += [
            ev.ProcessSpawned(
                pid=pid, parent=parent, run=self.run, name=self._name(agent.name, parent), kind=agent.kind,
                program=agent.program, source=agent.source, argument=k.digest(ARGUMENT), pledge=agent.pledge,
                unveil=agent.unveil, seed=k.entropy(32), uid=self._uid, model=model, python=agent.python,
                environment=k.environment(agent.python), fleet=fleet.number, agent=agent.name,
                tags=check_tags(agent.tags, self._tags), qos=agent.qos if agent.qos >= 0 else Qos.UTILITY,
                weight=agent.weight,
            ),
            ev.ToolsNarrowed(pid, agent.tools),
            *granted(pid, parent, None, agent),
            ev.ChildSupervised(pid, parent, agent.restart or words.Restart.PERMANENT, shutdown_ms, agent.progress_ms),
        ]  # fmt: skip
        return pid

    def _name(self, agent: str, parent: int) -> str:
        """Its agent's, which in a pool is the name of that."""
        if parent not in self._pooled:
            return agent
        self._pooled[parent] += 1
        return f"{agent}-{self._pooled[parent]}"

    def _pid(self) -> int:
        k = self._k
        if len(k.table.processes) + self._next - k.table.next_number >= limits.PROCESSES_MAX:
            raise Eagain("the process table is full")
        pid, self._next = pid_of(0, self._next), self._next + 1
        return int(pid)
