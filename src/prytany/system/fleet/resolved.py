"""A fleet as it will run: defaults filled in, names looked up, paths whole. What `fleet show --resolved` shows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from prytany.abi.budgets import Budget
from prytany.abi.errors import Enoent
from prytany.abi.names import check_tags
from prytany.system.fleet.form import Agent, Fleet, Model, Notice, Rights, Secret
from prytany.system.fleet.form_terms import AgentBudgeted, RunBudgeted, known_budget
from prytany.system.fleet.form_trees import Group, Replicas
from prytany.system.fleet.form_triggers import Trigger
from prytany.system.fleet.meaning import entry_of, instruction_file, kind_of, model_of
from prytany.system.fleet.notifying import program_of
from prytany.system.fleet.said_budget import with_said

INSTRUCTION_BYTES_MAX = 256 << 10
TURNS = 30
RIGHTS = Rights.__struct_fields__


class Chat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a chat agent is."""

    instruction: str
    turns: int = TURNS
    answer: dict[str, Any] | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    skills: list[str] = []
    read_from: str = ""
    """Where a part of the instruction was read, if not in the fleet's folder."""


class ResolvedAgent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One agent, whole."""

    name: str
    kind: str
    about: str = ""
    program: str = ""
    """`/whole/path.py:function`; "" for a chat agent."""
    pledge: list[str] | None = None
    """None is what the program declares."""
    model: str = ""
    """A name of the fleet's, or "" for that of the run."""
    tools: list[str] = []
    unveil: dict[str, str] = {}
    """By whole path."""
    spawns: list[str] = []
    handoff: list[str] = []
    restarts: int = 0
    service: bool = False
    """It is started when its fleet is brought up."""
    python: str = ""
    chat: Chat | None = None
    tags: list[str] = []
    qos: str = ""
    """Its class; "" where nothing is said."""
    weight: int = 1
    budget: AgentBudgeted | None = None
    bytes_per_second: int = 0
    restart: str = ""
    shutdown: str = ""
    progress_within: str = ""
    replicas: Replicas | None = None
    mailbox: int = 0
    attempts: int = 0
    accepts: dict[str, dict[str, Any]] | None = None

    @property
    def mail(self) -> dict[str, Any]:
        """What bounds what is sent to it."""
        return {"mailbox": self.mailbox, "attempts": self.attempts, "accepts": self.accepts}


class Leaving(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model that the file names no more, and that somebody may still ask."""

    model: Model
    secret: Secret | None = None
    """Where its key is from."""


class ResolvedFleet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fleet, whole. It holds where secrets are from, and no secret."""

    name: str
    folder: str
    entry: str
    agents: dict[str, ResolvedAgent]
    models: dict[str, Model] = {}
    secrets: dict[str, Secret] = {}
    tools: dict[str, str] = {}
    """The files of tools, by name."""
    folders: dict[str, str] = {}
    notify: list[Notice] = []
    budget: RunBudgeted | None = None
    """Of each run that begins with one of its agents."""
    up_budget: dict[str, int] = {}
    """What `up --budget` said of it, over `budget`; see `said_budget`."""
    bytes_per_second: int = 0
    """Of all its processes together; 0 for any number."""
    triggers: dict[str, Trigger] = {}
    supervise: dict[str, Group] = {}
    """Groups, by name."""
    marks: dict[str, str] = {}
    """As it is recorded: what tells the values of its variables from others; see `variables`."""
    leaving: dict[str, Leaving] = {}
    """As it is recorded: models that it named before; see `leaving`."""

    @property
    def run_budget(self) -> Budget | None:
        """What each run may spend that begins with one of its agents; None where nobody said anything."""
        return with_said(known_budget(self.budget), self.up_budget)


def resolve(fleet: Fleet, folder: Path, folders: dict[str, str], tags: Sequence[str] = ()) -> ResolvedFleet:
    """A fleet that has no faults, whole.

    Args:
        fleet: as it was read and checked.
        folder: the file's; whole.
        folders: instead of those that the file names.
        tags: of all agents, with their own.

    Raises:
        Einval: one of the tags is none, or there are too many.
        Enoent: an instruction cannot be read.
    """
    named = {name: _whole(folder, place) for name, place in fleet.folders.items()} | folders
    return ResolvedFleet(
        name=fleet.name,
        folder=str(folder),
        entry=entry_of(fleet),
        agents={name: _agent(fleet, name, agent, folder, named, tags) for name, agent in fleet.agents.items()},
        models={
            name: model if model.file is None else msgspec.structs.replace(model, file=_whole(folder, model.file))
            for name, model in fleet.models.items()
        },
        secrets=fleet.secrets,
        tools={name: _whole(folder, tools.python) for name, tools in fleet.tools.items()},
        folders=named,
        notify=[_notice(notice, folder) for notice in fleet.notify],
        budget=fleet.budget,
        bytes_per_second=fleet.bytes_per_second or 0,
        triggers={name: _trigger(trigger, folder) for name, trigger in fleet.triggers.items()},
        supervise=fleet.supervise,
    )


def _notice(notice: Notice, folder: Path) -> Notice:
    if not notice.command:
        return notice
    return msgspec.structs.replace(notice, command=[program_of(notice.command, folder), *notice.command[1:]])


def _trigger(trigger: Trigger, folder: Path) -> Trigger:
    """With its files from the root on."""
    if trigger.files is None:
        return trigger
    return msgspec.structs.replace(trigger, files=[_whole(folder, at) for at in trigger.files])


def _whole(folder: Path, place: str) -> str:
    return os.path.normpath(folder / place)


def _agent(
    fleet: Fleet, name: str, agent: Agent, folder: Path, named: dict[str, str], tags: Sequence[str]
) -> ResolvedAgent:
    rights = {key: getattr(agent if getattr(agent, key) is not None else fleet.defaults, key) for key in RIGHTS}
    unveil: dict[str, str] = rights["unveil"] or {}
    place, _, function = (agent.program or "").rpartition(":")
    return ResolvedAgent(
        name=name,
        kind=kind_of(agent),
        about=agent.about,
        program=f"{_whole(folder, place)}:{function}" if place else "",
        pledge=agent.pledge,
        model=model_of(fleet, agent),
        tools=rights["tools"] or [],
        unveil={named.get(at) or _whole(folder, at): mode for at, mode in unveil.items()},
        spawns=rights["spawns"] or [],
        handoff=rights["handoff"] or [],
        restarts=rights["restarts"] or 0,
        service=agent.service or False,
        python=_whole(folder, agent.python) if agent.python else "",
        chat=_chat(agent, folder) if kind_of(agent) == "chat" else None,
        tags=check_tags(rights["tags"] or (), tags),
        qos=rights["qos"] or "",
        weight=rights["weight"] or 1,
        budget=rights["budget"],
        bytes_per_second=rights["bytes_per_second"] or 0,
        restart=rights["restart"] or "",
        shutdown=rights["shutdown"] or "",
        progress_within=rights["progress_within"] or "",
        replicas=agent.replicas,
        mailbox=rights["mailbox"] or 0,
        attempts=rights["attempts"] or 0,
        accepts=agent.accepts,
    )


def _chat(agent: Agent, folder: Path) -> Chat:
    parts, read_from = [agent.instruction or ""], ""
    if agent.instruction_from is not None:
        file = instruction_file(folder / agent.instruction_from)
        parts.append(_text(file, agent.instruction_from))
        read_from = str(file) if file is not None and not within(str(file), str(folder)) else ""
    return Chat(
        instruction="\n\n".join(filter(None, (part.strip() for part in parts))),
        turns=agent.turns or TURNS,
        answer=agent.answer,
        temperature=agent.temperature,
        max_tokens=agent.max_tokens,
        skills=[_whole(folder, place) for place in agent.skills or ()],
        read_from=read_from,
    )


def within(place: str, folder: str) -> bool:
    """Whether a place lies in a folder, wherever links lead."""
    return Path(os.path.realpath(place)).is_relative_to(os.path.realpath(folder))


def _text(place: Path | None, named: str) -> str:
    try:
        with (place or Path(named)).open("rb") as file:
            return file.read(INSTRUCTION_BYTES_MAX).decode("utf-8", "replace")
    except OSError as error:
        raise Enoent(f"the instruction in {named} cannot be read: {error.strerror}") from None
