"""`run 'research topic | write | review'`: each stage an agent of the fleet, or a program of a file.

The stages are a fleet of their own, or the fleet that is here with one agent more: the one that starts and joins them.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from prytany.abi.errors import Einval, Enoent
from prytany.cli.failure import advised
from prytany.cli.heeded import asked_by_nobody
from prytany.cli.may_spend import say_may_spend
from prytany.cli.run import Terms, check_program, session
from prytany.cli.stages import Written, read_stages
from prytany.cli.trusting import path_of, trusted
from prytany.system.fleet.bringing import bring
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.places import prepare_folders
from prytany.system.fleet.resolved import ResolvedAgent, ResolvedFleet, resolve
from prytany.system.fleet.target import fleet_path
from prytany.system.fleet.trust import remember
from prytany.system.models import name_model
from prytany.system.programs import find_program
from prytany.system.shard import Shard

JOINS = "pipeline"
"""The agent that starts and joins the others."""
STREAMS = "pipe"
"""Who pledges it reads its standard input."""


def run_pipeline(terms: Terms, target: str, fleet: Path, *, trust: bool, pipefail: bool) -> int:
    """Run the stages of `target` to the end of the last; the exit code of the command.

    Args:
        terms: how its kernel is to run.
        target: the stages, as they were typed.
        fleet: the fleet file, or a folder that may hold one.
        trust: the operator trusts what of the fleet is not confined, without being asked.
        pipefail: the exit code is that of the last stage that failed.

    Raises:
        Einval: a stage is empty, or a chat agent is asked nothing.
        Enoent: there is no such agent, or program.
    """
    written = read_stages(target)
    path = path_of(fleet) if fleet != Path() or fleet_path(fleet) is not None else None
    here = resolve(load_fleet(path).fleet, path.absolute().parent, {}) if path is not None else _none()
    whole, stages = _with_stages(here, written)
    digest = trusted(here, (), terms.home, trust, terms.as_json) if path is not None else ""
    needs_model = any(not agent.model for agent in whole.agents.values() if agent.name in {s["agent"] for s in stages})
    asked = name_model(terms.model) if needs_model else ""
    if path is not None:
        asked_by_nobody(terms.model, here, terms.as_json)
        prepare_folders(here, path.absolute(), terms.home)  # last: what is refused has made no folder

    async def start(shard: Shard) -> list[int]:
        if digest:
            remember(shard.home.path, digest)
        number = await bring(shard.kernel, shard.drivers, shard.logs, whole, uid=os.getuid())
        pid = shard.kernel.fleet_operator.start(
            number, whole.entry, [stages, pipefail], {}, uid=os.getuid(), model=asked, tags=terms.tags,
            budget=terms.budget,
        )  # fmt: skip
        say_may_spend(shard, pid, terms.as_json)
        return [pid]

    # What it gives would run through a table that is drawn again and again.
    plain = terms._replace(plain=terms.plain or sys.stdout.isatty())
    return uvloop.run(session(plain, start, create=True, asks=needs_model))


def _none() -> ResolvedFleet:
    return ResolvedFleet(name=JOINS, folder=os.getcwd(), entry="", agents={})


def _with_stages(fleet: ResolvedFleet, written: Sequence[Written]) -> tuple[ResolvedFleet, list[dict[str, Any]]]:
    """The fleet with all that the stages need, and the stages as their program is told of them."""
    agents = dict(fleet.agents)
    stages: list[dict[str, Any]] = []
    for at, stage in enumerate(written):
        agent = _agent(fleet, agents, stage)
        agents[agent.name] = agent
        chat = agent.chat is not None
        if chat and not at and not stage.words:
            raise advised(
                Einval(f"{agent.name} is a chat agent, and is asked nothing"), f"say what: '{agent.name} TEXT | …'"
            )
        args = [" ".join(stage.words)] if chat else list(stage.words)
        stages.append({"agent": agent.name, "args": args if any(args) else [], "reads": _reads(agent), "chat": chat})
    joins = _free(JOINS, agents)
    agents[joins] = ResolvedAgent(
        name=joins, kind="python", about="joins the stages", program=f"{_program()}:main", pledge=["pipe", "proc"],
        spawns=sorted({stage["agent"] for stage in stages}),
    )  # fmt: skip
    return msgspec.structs.replace(fleet, agents=agents, entry=joins), stages


def _agent(fleet: ResolvedFleet, known: dict[str, ResolvedAgent], stage: Written) -> ResolvedAgent:
    """An agent of the fleet by its name, or one that is made for a program."""
    name = stage.name
    if name in fleet.agents:
        return fleet.agents[name]
    place, colon, function = name.rpartition(":")
    if not colon or not place.endswith(".py"):
        there = f"agents here: {', '.join(fleet.agents)}" if fleet.agents else "there is no fleet file here"
        raise advised(
            Enoent(f"there is no agent {name[:100]!r}"),
            f"{there}; a program is named FILE.py:FUNCTION, a fleet by --fleet",
        )
    check_program(name)
    program = f"{os.path.abspath(place)}:{function}"
    same = next((agent for agent in known.values() if agent.program == program), None)
    if same is not None:
        return same
    stem = Path(place).stem if function == "main" else function
    return ResolvedAgent(
        name=_free("".join(c if c.isalnum() else "_" for c in stem), known), kind="python", program=program
    )


def _free(name: str, taken: dict[str, ResolvedAgent]) -> str:
    while name in taken:
        name += "_"
    return name


def _reads(agent: ResolvedAgent) -> bool:
    """Whether it reads its standard input: a program that pledges streams."""
    if agent.chat is not None:
        return False
    return STREAMS in (find_program(agent.program, "").pledge if agent.pledge is None else agent.pledge)


def _program() -> str:
    import prytany.runtime.pipeline as joins

    return inspect.getfile(joins)
