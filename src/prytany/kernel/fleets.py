"""Fleets in the kernel: bringing one, and starting its agents with what it grants them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.budgets import RUN_DEFAULT, Budget, over
from prytany.abi.errors import Eagain, Enoent
from prytany.abi.names import check_tags
from prytany.abi.qos import Qos
from prytany.abi.values import pack
from prytany.kernel.fleet_agents import agent_of, check_price
from prytany.kernel.handlers.process import check_pledge
from prytany.kernel.handlers.share import granted, run_granted
from prytany.kernel.letting_go import let_go
from prytany.kernel.operator import Core
from prytany.kernel.outcome import Program
from prytany.kernel.triggers_of_fleets import TriggerForm, trigger_events
from prytany.supervision.fleets import Fleet

NOTICES_AT_ONCE = 10_000
"""In one command."""
UNSAID = -1
"""Of an agent's class."""


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
    tags: Sequence[str] = ()
    qos: int = UNSAID
    """Its class, as `prytany.abi.qos.Qos`."""
    weight: int = 1
    budget: Budget | None = None
    """Of each process of it; None where nothing is said."""
    budget_tree: bool = False
    """And of all below it."""
    bytes_per_second: int = 0
    """0 for any number."""
    handoff: Sequence[str] = ()
    """The agents that it may become."""
    talks: str = ""
    """The function of its program that keeps a conversation; "" for the program itself."""
    restart: str = ""
    shutdown_ms: int = -1
    progress_ms: int = 0
    mailbox: int = 0
    """How many messages its mailbox holds; 0 where nothing is said."""
    attempts: int = 0
    """How often it is tried with one; the same."""
    accepts: Mapping[str, object] | None = None
    """JSON Schemas of the messages that it takes, by type; None is what its program says."""

    @property
    def packed_accepts(self) -> bytes:
        """What is kept of them; empty where nothing is said."""
        return pack(dict(self.accepts)) if self.accepts is not None else b""


class ChannelForm(NamedTuple):
    """A way to tell people of a fleet, as its file declares it."""

    label: str
    kinds: Sequence[str]
    definition: bytes
    """All that its driver needs, without secrets."""


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
        uid: int, stays: bool = False, number: int = 0, channels: Sequence[ChannelForm] = (),
        known: Collection[str] | None = None, budget: Budget | None = None, bytes_per_second: int = 0,
        triggers: Sequence[TriggerForm] = (),
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
            channels: by which people are told of it.
            known: the names of all of its tools, where other texts of their files are about to be loaded.
            budget: of each run that begins with one of its agents; None where nothing is said.
            bytes_per_second: of all its processes together, by files and tools; 0 for any number.
            triggers: what starts its agents by itself.

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
        known = {tool for path in tools for tool in k.tools.names(path)} if known is None else set(known)
        had = dict(self.get(number).agents) if number else {}
        number = number or k.fleets.next_number
        events: list[ev.Event] = [
            ev.OperatorCommanded(uid, f"fleet {name}", 0),
            ev.FleetDeclared(
                number, name, k.digest(resolved), dict(models), list(tools), stays, uid, budget, bytes_per_second
            ),
        ]
        sources: list[bytes] = []
        for agent in agents:
            declared = self._declared(number, agent, models, known)
            if had.pop(agent.name, None) != declared:
                events.append(declared)
                sources += filter(None, (agent.program.source, agent.packed_accepts))
        events += [ev.AgentWithdrawn(number, gone) for gone in had]
        events += self._channels(number, channels)
        watched, given = trigger_events(k, k.state.triggers, number, triggers if stays else (), uid)
        events += watched
        k.ledger.commit(tuple(events), given, (resolved, *sources, *(channel.definition for channel in channels)))
        return number

    def _channels(self, number: int, channels: Sequence[ChannelForm]) -> list[ev.Event]:
        """What of its channels is new, changed or gone."""
        fleet = self._k.fleets.fleets.get(number)
        had = dict(fleet.channels) if fleet is not None else {}
        events: list[ev.Event] = []
        for at, form in enumerate(channels):
            declared = ev.ChannelDeclared(number, at, form.label, list(form.kinds), self._k.digest(form.definition))
            there = had.pop(at, None)
            if there is None or (there.label, there.kinds, there.definition) != (
                declared.label, declared.kinds, declared.definition,
            ):  # fmt: skip
                events.append(declared)
        for at, gone in had.items():
            events.append(ev.ChannelWithdrawn(number, at, len(gone.waiting) + len(gone.given_up)))
        return events

    def retry_notices(self, notice: int = 0, *, uid: int) -> int:
        """Try a notice again that was not delivered, or all of them (0); how many. Raises Enoent."""
        found = self._undelivered(notice)
        if found:
            events = [ev.NoticeRetried(n, number, at) for number, at, n in found]
            self._k.ledger.commit((ev.OperatorCommanded(uid, "notices retry"), *events), {}, payer=0)
        return len(found)

    def drop_notices(self, notice: int = 0, *, uid: int) -> int:
        """Tell nobody of a notice that was not delivered, or of all that were given up (0); how many. Raises Enoent."""
        found = self._undelivered(notice, given_up=True)
        if found:
            events = [ev.NoticeDropped(n, number, at) for number, at, n in found]
            self._k.ledger.commit((ev.OperatorCommanded(uid, "notices drop"), *events), {}, payer=0)
        return len(found)

    def _undelivered(self, notice: int, *, given_up: bool = False) -> list[tuple[int, int, int]]:
        """Fleet, channel and number of one, or of all; of those that were `given_up` alone, unless one is named."""
        found = [
            (number, channel.at, n)
            for number, fleet in self._k.fleets.fleets.items()
            for channel in fleet.channels.values()
            for n in (*(() if given_up and not notice else channel.waiting), *channel.given_up)
            if not notice or n == notice
        ]
        if notice and not found:
            raise Enoent(f"there is no notice {notice} that was not delivered")
        return found[:NOTICES_AT_ONCE]

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
            restarts=agent.restarts, python=agent.python, about=agent.about, tags=check_tags(agent.tags),
            qos=agent.qos, weight=agent.weight, budget=agent.budget, budget_tree=agent.budget_tree,
            bytes_per_second=agent.bytes_per_second, handoff=sorted(agent.handoff), talks=agent.talks,
            restart=agent.restart, shutdown_ms=agent.shutdown_ms, progress_ms=agent.progress_ms,
            mailbox=agent.mailbox, attempts=agent.attempts, accepts=self._k.digest(agent.packed_accepts),
        )  # fmt: skip

    def withdraw(self, number: int, *, uid: int) -> None:
        """Take a fleet down: it starts nothing any more, and goes with its last process. Raises Enoent."""
        fleet = self.get(number)
        self._k.ledger.commit((ev.OperatorCommanded(uid, f"down {fleet.name}", 0), ev.FleetWithdrawn(number)), {})

    def start(
        self, number: int, name: str, args: list[object], kwargs: dict[str, object], *, uid: int, model: str = "",
        unveil: Mapping[str, str] = {}, function: str = "", tags: Sequence[str] = (), more: Sequence[ev.Event] = (),
        qos: Qos = Qos.INITIATED, budget: Budget | None = None,
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
            tags: of this run, with the agent's own.
            more: what is recorded with it.
            qos: the class of an agent that its file gives none.
            budget: of the run; None, or KEPT in it, for what the fleet says, or else what every run has.

        Raises:
            Enoent: there is no such fleet or agent.
            Einval: one of the tags is none, or there are too many; a budget is in money, and its model has no price.
            Eagain: the process table is full.
            Epolicy: a tool of the fleet is not loaded in this kernel.
        """
        k = self._k
        fleet = self.get(number)
        agent = agent_of(fleet, name)
        asked = fleet.models.get(agent.model) or model
        check_price(k, asked, (budget or fleet.budget, agent.budget))
        if len(k.table.processes) >= limits.PROCESSES_MAX:
            raise Eagain("the process table is full")
        argument = pack([args, kwargs])
        program = f"{agent.program.rpartition(':')[0]}:{function}" if function else agent.program
        pid = k.table.next_number
        spawned = ev.ProcessSpawned(
            pid=pid, parent=0, run=pid, name=agent.name, kind=agent.kind, program=program, source=agent.source,
            argument=k.digest(argument), pledge=agent.pledge, unveil={**agent.unveil, **unveil},
            seed=k.entropy(32), uid=uid, model=asked, python=agent.python,
            environment=k.environment(agent.python), restarts=agent.restarts, fleet=number, agent=agent.name,
            tags=check_tags(agent.tags, tags), qos=agent.qos if agent.qos >= 0 else qos, weight=agent.weight,
        )  # fmt: skip
        tools, shared = k.tools.grant(pid, fleet.tools)
        events = (
            spawned,
            *more,
            *tools,
            ev.ToolsNarrowed(pid, agent.tools),
            *run_granted(pid, over(fleet.budget or RUN_DEFAULT, budget), -1 - uid),
            *granted(pid, 0, None, agent),
            *((ev.ChildSupervised(pid, 0, "", 0, agent.progress_ms),) if agent.progress_ms else ()),
            ev.ProcessReady(pid, 1),
            *let_go(k.table, k.now_ns(), keep_ms=k.quotas.ended_run_ms),
        )
        k.ledger.commit(events, {k.digest(argument): argument}, tuple(shared))
        return pid
