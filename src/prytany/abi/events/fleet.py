"""Events of fleets: what an operator declared that agents are, and what each may have."""

from __future__ import annotations

import msgspec

from prytany.abi.budgets import Budget
from prytany.abi.events.digest import Digest


class FleetDeclared(msgspec.Struct, array_like=True, frozen=True, tag="fleet.declared/1"):
    """A fleet was brought, or brought again in another form. Its agents follow, each in an event of its own.

    `resolved` is the digest of all that its file says, without secrets; `models` gives what its agents call a model to
    the name that the kernel knows it by. One that does not stay goes with the last process of it.
    """

    fleet: int
    name: str
    resolved: Digest
    models: dict[str, str]
    tools: list[str]
    """The files of its tools."""
    stays: bool
    uid: int
    budget: Budget | None = None
    """Of each run that begins with one of its agents; None for what a run has of which nothing is said."""
    bytes_per_second: int = 0
    """That all its processes together may read and write by files and tools; 0 for any number."""


class AgentDeclared(msgspec.Struct, array_like=True, frozen=True, tag="fleet.agent_declared/1"):
    """What an agent of a fleet is, for all that are spawned by its name from now on."""

    fleet: int
    name: str
    kind: str
    program: str
    source: Digest
    pledge: list[str]
    model: str
    tools: list[str]
    unveil: dict[str, str]
    spawns: list[str]
    restarts: int
    python: str = ""
    about: str = ""
    tags: list[str] = []
    qos: int = -1
    """Its class; -1 where nothing is said: then it is that of what it is started for."""
    weight: int = 1
    budget: Budget | None = None
    """Of each process that is started by its name; None where nothing is said."""
    budget_tree: bool = False
    """The budget is that of all that is below the process as well."""
    bytes_per_second: int = 0
    """That its processes together may read and write by files and tools; 0 for any number."""
    handoff: list[str] = []
    """The agents of its fleet that it may become."""
    talks: str = ""
    """The function of its program that keeps a conversation with people; "" for the program itself."""
    restart: str = ""
    """Which of its ends are not for good, where its parent supervises it; "" for those of `restarts`."""
    shutdown_ms: int = -1
    """Between TERM and KILL; -1 where nothing is said."""
    progress_ms: int = 0
    """It fails when it does nothing of its own for so long; 0 for any time."""


class AgentWithdrawn(msgspec.Struct, array_like=True, frozen=True, tag="fleet.agent_withdrawn/1"):
    """None is spawned by that name any more; those that run go on."""

    fleet: int
    name: str


class FleetWithdrawn(msgspec.Struct, array_like=True, frozen=True, tag="fleet.withdrawn/1"):
    """It was taken down. It goes with the last process of it."""

    fleet: int
